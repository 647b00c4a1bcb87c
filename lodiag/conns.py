"""Sockets that use the loopback or answer on it: their state, their ends, their owners."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from lodiag.errors import ConfigError
from lodiag.limits import require_choice, require_whole
from lodiag.model import FAMILIES, Missing
from lodiag.model.conns import PROTOS, ConnCount, ConnRecord, ConnsSummary, Endpoint, Owner
from lodiag.report import ReportMaker
from lodiag.system import System
from lodiag.targets import is_loopback, is_wildcard, unmap

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from lodiag.model import Report
    from lodiag.system.facts import Socket, SocketTable

STATES = (
    "listen",
    "unconnected",
    "established",
    "syn-sent",
    "syn-recv",
    "fin-wait-1",
    "fin-wait-2",
    "close-wait",
    "last-ack",
    "closing",
    "time-wait",
    "close",
    "bound",
)
"""In the order in which they are shown: what answers, what talks, what ends (RFC 9293 3.3.2)."""

LISTENING = frozenset({"listen", "unconnected"})
"""States in which a socket answers anybody: a TCP listener, a UDP socket without a peer."""

OWNERLESS = frozenset({"syn-recv", "time-wait", "fin-wait-1", "fin-wait-2", "last-ack", "closing", "close"})
"""States in which a socket may have no process any more, or not yet."""

LAST_PORT = 65_535
LAST_PID = 2**32 - 1
"""A pid of Windows is a DWORD; elsewhere they are smaller."""
_ALIASES = {"listening": "listen", "estab": "established", "unconn": "unconnected", "closed": "close"}


def _by_port(record: ConnRecord) -> tuple[object, ...]:
    remote = (record.remote.address, record.remote.port) if record.remote else ("", 0)
    return (record.local.port, record.proto, record.family, record.local.address, *remote, _first_pid(record))


def _first_pid(record: ConnRecord) -> int:
    return record.owners[0].pid if record.owners else 0


def _first_process(record: ConnRecord) -> str:
    return (record.owners[0].process or "" if record.owners else "").casefold()


SORT_KEYS: dict[str, Callable[[ConnRecord], object]] = {
    "state": lambda record: STATES.index(record.state) if record.state in STATES else len(STATES),
    "port": lambda record: record.local.port,
    "proto": lambda record: record.proto,
    "local": lambda record: record.local.address,
    "remote": lambda record: (record.remote.address, record.remote.port) if record.remote else ("", 0),
    "pid": _first_pid,
    "process": _first_process,
}


def list_connections(  # noqa: PLR0913 - netstat has this many options
    *,
    proto: str | None = None,
    family: str | None = None,
    states: Collection[str] | None = None,
    port: int | None = None,
    pid: int | None = None,
    process: str | None = None,
    wildcard: bool = True,
    with_process: bool = True,
    with_cmdline: bool = False,
    sort: str = "state",
    system: System | None = None,
) -> Report[ConnRecord, ConnsSummary]:
    """List the TCP and UDP sockets of which an end is on the loopback, and the wildcard ones that answer on it.

    Args:
        proto: ``tcp`` or ``udp``; ``None`` for both.
        family: ``ipv4`` or ``ipv6``, of the socket; ``None`` for both.
        states: States to show, by the names in ``STATES`` or those of ss(8); ``None`` for all.
        port: Port that either end must have.
        pid: Process that must own the socket.
        process: Text that an owner's name must contain, in any case.
        wildcard: Whether to show sockets bound to every address.
        with_process: Whether to resolve owners; otherwise they are ``None``.
        with_cmdline: Whether to read the owners' command lines, which may hold secrets.
        sort: A key of ``SORT_KEYS``; equal rows go by port, then by all else, so that the order is stable.
        system: The machine; a test's own stands in for it.

    Returns:
        A report with one ``ConnRecord`` per socket. Owners that may not be seen are ``None``, and counted in
        ``missing``; a socket that no process holds has none: ``()``.

    Raises:
        ConfigError: A filter is out of range.
        UnsupportedError: The socket table cannot be read.

    """
    _check(proto, family, port, pid, sort)
    if not with_process and (pid is not None or process is not None):
        message = "sockets cannot be chosen by their process when processes are not to be looked up"
        raise ConfigError(message, "Leave out --no-process, or --pid and --process.")
    wanted = None if states is None else {parse_state(state) for state in states}
    machine = system or System()
    maker = ReportMaker("conns", machine)
    table = machine.list_sockets()
    owners = _Owners(machine, with_process=with_process, with_cmdline=with_cmdline)
    records = [
        _describe(row, owners)
        for row in table.sockets
        if proto in {None, row.proto}
        and family in {None, row.family}
        and (wanted is None or row.state in wanted)
        and (port is None or port in {row.local[1], row.remote[1] if row.remote else None})
        and (_touches_loopback(row) or (wildcard and _answers_everywhere(row)))
    ]
    missing = list(_find_missing(table, records, with_process=with_process))
    if pid is not None:
        records = [r for r in records if any(o.pid == pid for o in r.owners or ())]
    if process is not None:
        needle = process.casefold()
        records = [r for r in records if any(needle in (o.process or "").casefold() for o in r.owners or ())]
    records.sort(key=_by_port)
    records.sort(key=SORT_KEYS[sort])  # type: ignore[arg-type]  # each key compares with itself
    return maker.make(source=table.source, summary=_count(records), records=records, missing=missing)


def _check(proto: str | None, family: str | None, port: int | None, pid: int | None, sort: str) -> None:
    if proto is not None:
        require_choice("proto", proto, PROTOS)
    if family is not None:
        require_choice("family", family, FAMILIES)
    if port is not None:
        require_whole("port", port, 0, LAST_PORT)
    if pid is not None:
        require_whole("pid", pid, 1, LAST_PID)
    require_choice("sort", sort, tuple(SORT_KEYS))


def parse_state(text: str) -> str:
    """Name of a state, as STATES has it, from any of the ways in which tools write it; ``ConfigError`` if unknown."""
    name = text.strip().lower().replace("_", "-")
    name = _ALIASES.get(name, name)
    squeezed = {state.replace("-", ""): state for state in STATES}
    found = squeezed.get(name.replace("-", ""))
    if found is None:
        message = f"{text[:40]!r} is not a state of a socket"
        raise ConfigError(message, f"Known states: {', '.join(STATES)}.")
    return found


def _find_missing(table: SocketTable, records: list[ConnRecord], *, with_process: bool) -> Iterator[Missing]:
    """Say what the source could not see; before a search by owner, which hidden owners would falsify."""
    if table.partial:
        yield Missing(what="other users' sockets", count=None, why=table.partial)
    hidden = sum(record.owners is None for record in records) if with_process else 0
    if hidden:
        why = "they belong to another user, to another container, or to the kernel"
        yield Missing(what="owners", count=hidden, why=why)


def _answers_everywhere(row: Socket) -> bool:
    return is_wildcard(unmap(row.local[0])[0]) and row.state in LISTENING


def _touches_loopback(row: Socket) -> bool:
    return is_loopback(row.local[0]) or (row.remote is not None and is_loopback(row.remote[0]))


def _describe(row: Socket, owners: _Owners) -> ConnRecord:
    local, mapped = unmap(row.local[0])
    remote = unmap(row.remote[0])[0] if row.remote else None
    ends = [is_loopback(end) for end in (local, remote) if end is not None]
    scope = "loopback" if all(ends) else "mixed"
    if is_wildcard(local) and row.remote is None:
        scope = "wildcard"
    return ConnRecord(
        proto=row.proto,
        family=row.family,
        state=row.state,
        local=Endpoint(address=local, port=row.local[1]),
        remote=Endpoint(address=remote, port=row.remote[1]) if row.remote and remote else None,
        mapped=mapped,
        scope=scope,
        owners=owners.find(row),
    )


class _Owners:
    """Owners of sockets; each process is asked once."""

    def __init__(self, system: System, *, with_process: bool, with_cmdline: bool) -> None:
        self._system = system
        self._with_process, self._with_cmdline = with_process, with_cmdline
        self._sees_all = system.describe_host().uid == 0
        self._known: dict[int, Owner] = {}

    def find(self, row: Socket) -> tuple[Owner, ...] | None:
        if not self._with_process:
            return None
        if not row.pids:
            held = row.state in LISTENING or not (self._sees_all or row.state in OWNERLESS)
            return None if held else ()
        return tuple(self._ask(pid) for pid in row.pids)

    def _ask(self, pid: int) -> Owner:
        if pid not in self._known:
            found = self._system.describe_process(pid, with_cmdline=self._with_cmdline)
            self._known[pid] = Owner(pid=pid, process=found.name, user=found.user, cmdline=found.cmdline)
        return self._known[pid]


def _count(records: Iterable[ConnRecord]) -> ConnsSummary:
    tally = Counter((record.proto, record.state) for record in records)
    counts = tuple(ConnCount(proto=p, state=s, sockets=n) for (p, s), n in sorted(tally.items()))
    return ConnsSummary(sockets=tally.total(), counts=counts)
