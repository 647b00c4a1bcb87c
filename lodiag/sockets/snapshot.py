"""Taking a snapshot: reading all sockets that use the loopback twice, and what the judgements need beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lodiag.clock import NS_PER_S
from lodiag.dataclass import replace
from lodiag.errors import TargetError, UnsupportedError
from lodiag.judge.services import INIT_PID
from lodiag.judge.snapshot import Snapshot
from lodiag.sockets.describing import (
    ConnTable,
    Describer,
    answers_everywhere,
    leave_out_bound_elsewhere,
    touches_loopback,
)
from lodiag.system.facts import Question

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from lodiag.model.conns import ConnRecord
    from lodiag.sockets.options import ConnsOptions
    from lodiag.system import System
    from lodiag.system.facts import Socket, SocketTable

BETWEEN_S = 0.2
"""From one reading to the next: a burst is over by then, and nobody minds waiting so long."""

ASKED = Question(with_tcp=True)


class Taken(NamedTuple):
    """A snapshot, the table that it was made from, and the sockets of which it has the records, in their order."""

    snapshot: Snapshot
    table: SocketTable
    records: ConnTable


def take_snapshot(system: System, options: ConnsOptions) -> Taken:
    """Read the sockets of this network namespace twice, by the source and with the owners that ``options`` ask for.

    Raises ``UnsupportedError`` if the table cannot be read.
    """
    counted = system.count_overflows()
    began_ns = system.monotonic_ns()
    table = system.list_sockets(options.source, ASKED)
    rows = _choose(table, system)
    describer = Describer(system, options)
    described = ConnTable(rows, describer.find_owners(rows), describer)
    records = list(described)
    processes = {pid: system.describe_condition(pid) for pid in _find_suspects(records)}
    _sleep_until(system, began_ns + round(BETWEEN_S * NS_PER_S))
    later = _read_again(system, table.source, options)
    counted_later = system.count_overflows()
    snapshot = Snapshot(
        source=table.source,
        records=records,
        held_ports=frozenset(row.local[1] for row in table.sockets if row.proto == "tcp" and row.remote is None),
        later=later,
        settings=system.read_socket_settings(),
        processes=processes,
        localhost=_resolve_localhost(system),
        overflows={kind: counted_later[kind] - counted[kind] for kind in counted_later if kind in counted},
    )
    return Taken(snapshot, table, described)


def _choose(table: SocketTable, system: System) -> list[Socket]:
    rows = [row for row in table.sockets if touches_loopback(row) or answers_everywhere(row)]
    return leave_out_bound_elsewhere(rows, system)


def _find_suspects(records: Sequence[ConnRecord]) -> Collection[int]:
    """Processes of which more matters: those that share a port, or with which connections do not go on."""
    listening = [record.local.port for record in records if record.proto == "tcp" and record.state == "listen"]
    seen: set[int] = set()
    shared = {port for port in listening if port in seen or seen.add(port)}  # type: ignore[func-returns-value]  # for its effect
    return {INIT_PID, *_find_owners(records, shared)} if shared else set(_find_owners(records, shared))


def _find_owners(records: Sequence[ConnRecord], shared: Collection[int]) -> Iterator[int]:
    for record in records:
        is_shared = record.state == "listen" and record.local.port in shared
        waits = record.accept_queue or (record.recv_q_bytes and record.state == "established")
        if is_shared or waits or record.state == "close-wait" or (record.proto == "udp" and record.drops):
            yield from (owner.pid for owner in record.owners or ())


def _sleep_until(system: System, end_ns: int) -> None:
    while (left_ns := end_ns - system.monotonic_ns()) > 0:
        system.wait((), left_ns / NS_PER_S)


def _read_again(system: System, source: str, options: ConnsOptions) -> Mapping[str, ConnRecord] | None:
    """Read the same again, without owners; ``None`` where sockets have no cookies by which to find them again."""
    if source != "sock_diag":
        return None
    try:
        table = system.list_sockets(source, ASKED)
    except UnsupportedError:  # refused now: what can be judged by one reading still is
        return None
    rows = _choose(table, system)
    describer = Describer(system, replace(options, with_process=False, pid=None, process=None))
    records = ConnTable(rows, describer.find_owners(rows), describer)
    return {record.cookie: record for record in records if record.cookie is not None}


def _resolve_localhost(system: System) -> tuple[str, ...]:
    try:
        return system.resolve("localhost", None)
    except TargetError:
        return ()
