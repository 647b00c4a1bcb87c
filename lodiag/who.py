"""Who answers a port on the loopback, and who holds it: without a packet, and without root."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from lodiag.dataclass import replace
from lodiag.errors import TargetError, UnsupportedError
from lodiag.judge.services import INIT_PID, is_same_service
from lodiag.judge.silence import UNSEEN_INTERFACES, Surroundings
from lodiag.judge.who import judge_who
from lodiag.judge.who_meets import tell_what_is_met
from lodiag.limits import require_choice
from lodiag.model import FAMILIES, PROTOS, Missing, Refusal
from lodiag.model.who import HOWS, WhoRecord, WhoSummary
from lodiag.report import ReportMaker
from lodiag.sockets.answers import Finder, Teller, find_group, rank, sort_out
from lodiag.sockets.describing import HIDDEN, LISTENING
from lodiag.system import System
from lodiag.system.facts import Question
from lodiag.targets import ADDRESSES, BROADCAST, family_of, is_loopback, is_wildcard, resolve_target, split_target

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lodiag.model import Report
    from lodiag.sockets.answers import Answer, Sorts
    from lodiag.system.facts import Condition, Interface, Socket, SocketTable


class _Asked(NamedTuple):
    """What is asked: in words, and in addresses; of localhost (``host`` is ``None``) more are looked at than it has."""

    target: str
    host: str | None
    port: int
    family: str | None
    protos: tuple[str, ...]
    order: tuple[str, ...]

    @property
    def name(self) -> str:
        """What a client is taken to ask for."""
        return f"localhost:{self.port}" if self.host is None else self.target


def find_answerer(
    target: str | int,
    *,
    proto: str | None = None,
    family: str | None = None,
    with_cmdline: bool = False,
    system: System | None = None,
) -> Report[WhoRecord, WhoSummary]:
    """Find which socket answers a port on the loopback, by the kernel's own lookup; nothing is sent.

    Args:
        target: A port, or an address or name and a port: ``5432``, ``127.0.0.2:5432``, ``[::1]:5432``.
        proto: ``tcp`` or ``udp``; ``None`` for both.
        family: ``ipv4`` or ``ipv6``, of the addresses that are asked; ``None`` for both.
        with_cmdline: Whether to read the owners' command lines, which may hold secrets.
        system: The machine; a test's own stands in for it.

    Returns:
        A report with one ``WhoRecord`` per protocol and address: those of localhost in the resolver's order, 127.0.0.1,
        ::1 and every other loopback address that a socket of the port is bound to; or those of the target alone.
        That nobody answers is a failed finding.

    Raises:
        TargetError: The target is malformed, unknown, or not on the loopback.
        ConfigError: The port, or an option, is out of range.
        UnsupportedError: It cannot be found out on this machine.

    """
    for name, choice, choices in (("proto", proto, PROTOS), ("family", family, FAMILIES)):
        if choice is not None:
            require_choice(name, choice, choices)
    host, port = split_target(target)
    machine = system or System()
    order = _resolve_localhost(family, machine) if host is None else resolve_target(host, family, machine)
    protos = PROTOS if proto is None else (proto,)
    return _find(_Asked(str(target), host, port, family, protos, order), machine, with_cmdline=with_cmdline)


def _find(asked: _Asked, machine: System, *, with_cmdline: bool) -> Report[WhoRecord, WhoSummary]:
    maker = ReportMaker("who", machine)
    table = _read_table(asked, machine)
    interfaces = machine.list_loopback_interfaces()
    finder = Finder(machine, table.sockets, interfaces[0].name if interfaces else None)
    answers = {
        (proto, address): finder.find(proto, address, asked.port)
        for proto in asked.protos
        for address in _list_addresses(asked, table.sockets)
    }
    found = [answer.row for answer in answers.values() if answer.row]
    sorts = sort_out(table.sockets)
    shown = list(dict.fromkeys((*sorts.listeners, *sorts.held, *found)))
    teller = Teller(machine, shown, with_cmdline=with_cmdline)
    records = [
        _describe(proto, address, answer, _Around(asked.port, sorts.listeners, teller, interfaces, machine))
        for (proto, address), answer in answers.items()
    ]
    _require_an_answer(records, table)
    refusals = [(f"sock_diag lookup of {own} and {family}", why) for (own, family), why in finder.refused.items()]
    summary = _summarise(asked, records, sorts, teller, [*refusals, *table.refused])
    processes = _describe_owners(summary, machine)
    summary = replace(summary, verdict=tell_what_is_met(summary, records, processes))
    return maker.make(
        source="sock_diag" if any(record.method == "lookup" for record in records) else table.source,
        summary=summary,
        records=records,
        findings=judge_who(summary, records, _look_around(machine, interfaces, records), processes),
        missing=list(_find_missing(table, interfaces, summary, processes)),
    )


def _summarise(
    asked: _Asked, records: Sequence[WhoRecord], sorts: Sorts, teller: Teller, refused: Sequence[tuple[str, str]]
) -> WhoSummary:
    wait_ms = max((row.timer_ms for row in sorts.waits if row.timer_ms is not None), default=None)
    return WhoSummary(
        target=asked.target,
        port=asked.port,
        name=asked.name,
        resolved=asked.order,
        answered=any(record.answered for record in records),
        verdict="",
        listeners=tuple(map(teller.tell, sorts.listeners)),
        held=tuple(map(teller.tell, sorts.held)),
        time_waits=len(sorts.waits),
        time_wait_ms=wait_ms,
        refused=tuple(Refusal(method=name, why=why) for name, why in refused),
    )


def _describe_owners(summary: WhoSummary, system: System) -> Mapping[int, Condition]:
    """Describe the owners of what listens, if there is more than one socket, which may be strangers to each other."""
    if len(summary.listeners) == 1:
        return {}
    pids = {INIT_PID, *(owner.pid for item in summary.listeners for owner in item.owners or ())}
    return {pid: system.describe_condition(pid) for pid in pids}


def _resolve_localhost(family: str | None, system: System) -> tuple[str, ...]:
    """Addresses of localhost in the resolver's order; none if it does not resolve, which is worth a finding only."""
    try:
        return system.resolve("localhost", family)
    except TargetError:
        return ()


def _read_table(asked: _Asked, system: System) -> SocketTable:
    """Read all sockets of the port."""
    proto = asked.protos[0] if len(asked.protos) == 1 else None
    table = system.list_sockets(None, Question(proto, local_port=asked.port, everywhere=True))
    rows = [row for row in table.sockets if row.local[1] == asked.port and row.proto in asked.protos]
    if asked.host is not None:  # what is bound elsewhere is in nobody's way there
        there = set(asked.order)
        rows = [row for row in rows if row.local[0] in there or is_wildcard(row.local[0]) or row.state in LISTENING]
    return table._replace(sockets=tuple(rows))


def _list_addresses(asked: _Asked, rows: Sequence[Socket]) -> tuple[str, ...]:
    """Addresses to look at: with localhost also the usual ones, and those that somebody bound."""
    if asked.host is not None:
        return asked.order
    bound = sorted(row.local[0] for row in rows if row.remote is None)
    every = dict.fromkeys(a for a in (*asked.order, *ADDRESSES.values(), *bound) if is_loopback(a) and a != BROADCAST)
    return tuple(address for address in every if asked.family in {None, family_of(address)})


class _Around(NamedTuple):
    """What a record is made from besides its answer."""

    port: int
    listeners: Sequence[Socket]
    teller: Teller
    interfaces: Sequence[Interface] | None
    system: System


def _describe(proto: str, address: str, answer: Answer, around: _Around) -> WhoRecord:
    row = answer.row
    silence = _find_silence(address, around.interfaces, around.system)
    status = silence or ("refused" if row is None else "answered" if answer.is_certain else "unknown")
    fit = None if row is None else rank(row.local[0], address)
    return WhoRecord(
        proto=proto,
        address=address,
        port=around.port,
        answered=None if status == "unknown" else status == "answered",
        status=status,
        how=None if fit is None else HOWS[fit],
        method=answer.method,
        socket=None if row is None else around.teller.tell(row),
        shared_by=() if row is None else tuple(map(around.teller.tell, find_group(row, around.listeners))),
    )


def _find_silence(address: str, interfaces: Sequence[Interface] | None, system: System) -> str | None:
    """Why nothing can reach an address, whoever listens there; ``None`` if it can, or if that is not known."""
    if not interfaces:
        return None
    if not any(interface.is_up for interface in interfaces):
        return "lo-down"
    own = [address for interface in interfaces for address in interface.addresses]
    has_family = any(is_loopback(a) and family_of(a) == family_of(address) for a in own)
    return None if has_family and system.has_address(address) else "no-address"


def _require_an_answer(records: Sequence[WhoRecord], table: SocketTable) -> None:
    """Raise ``UnsupportedError`` if whoever may answer is not known to, and nobody else does."""
    if any(record.answered for record in records):
        return
    for record in records:
        if record.answered is None:
            message = f"whether [::]:{record.port} takes IPv4 is not told by the source {table.source}"
            refused = "; ".join(f"{name}: {reason}" for name, reason in table.refused)
            raise UnsupportedError(message, f"sock_diag tells it, but is refused here: {refused}" if refused else None)


def _look_around(system: System, interfaces: Sequence[Interface] | None, records: Sequence[WhoRecord]) -> Surroundings:
    """Read the kernel's settings, if there is something that they explain."""
    is_silent = any(record.status == "no-address" for record in records)
    settings = system.read_settings(interfaces[0].name) if is_silent and interfaces else {}
    return Surroundings(interfaces=interfaces, settings=settings)


def _find_missing(
    table: SocketTable,
    interfaces: Sequence[Interface] | None,
    summary: WhoSummary,
    processes: Mapping[int, Condition],
) -> Iterator[Missing]:
    if table.partial:
        yield table.partial
    if interfaces is None:
        yield UNSEEN_INTERFACES
    untold = f"the source {table.source} does not tell them"
    if "bound" in table.lacks:
        yield Missing(what="sockets that are bound and do not listen", count=None, why=untold)
    if "interface" in table.lacks and summary.listeners:
        why = f"{untold}: what is bound to another one does not answer here"
        yield Missing(what="interfaces that sockets are bound to", count=None, why=why)
    hidden = sum(item.owners is None for item in (*summary.listeners, *summary.held))
    if hidden:
        yield Missing(what="owners", count=hidden, why=HIDDEN)
    if any(is_same_service(a, b, processes) is None for a, b in combinations(summary.listeners, 2)):
        why = "their processes may not be seen"
        yield Missing(what="whether what listens there is one service or several", count=None, why=why)
