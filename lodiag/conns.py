"""Sockets that use the loopback or answer on it: their state, their ends, their owners."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from lodiag.errors import ConfigError
from lodiag.limits import require_choice
from lodiag.model import Missing, Refusal
from lodiag.model.conns import ConnCount, ConnRecord, ConnsSummary
from lodiag.report import ReportMaker
from lodiag.sockets.describing import (
    HIDDEN,
    ConnTable,
    Describer,
    answers_everywhere,
    leave_out_bound_elsewhere,
    touches_loopback,
)
from lodiag.sockets.options import STATES, ConnsOptions, parse_address, parse_state
from lodiag.system import System
from lodiag.system.facts import Question
from lodiag.targets import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from lodiag.model import Finding, Report
    from lodiag.model.conns import Owner
    from lodiag.sockets.snapshot import Taken
    from lodiag.system.facts import Socket, SocketTable


NOBODY = "", 0
_RANKS = {state: rank for rank, state in enumerate(STATES)}

_BY_SOCKET: dict[str, Callable[[Any], Any]] = {
    "state": lambda row: _RANKS.get(row.state, len(STATES)),
    "port": lambda row: row.local[1],
    "proto": lambda row: row.proto,
    "local": lambda row: row.local[0],
    "remote": lambda row: row.remote or NOBODY,
}
_BY_OWNERS: dict[str, Callable[[Any], Any]] = {
    "pid": lambda owners: owners[0].pid if owners else 0,
    "process": lambda owners: (owners[0].process or "" if owners else "").casefold(),
}
SORT_KEYS = (*_BY_SOCKET, *_BY_OWNERS)


def by_ends(row: Socket | ConnRecord) -> tuple[object, ...]:
    """Order of sockets that are equal by the chosen key."""
    address, port = row.local
    return (port, row.proto, row.family, address, row.remote or NOBODY, row.inode or 0)


def by_key(sort: str) -> Callable[[ConnRecord], Any]:
    """Order of records by a key of ``SORT_KEYS``."""
    key = _BY_SOCKET.get(sort)
    return key or (lambda record: _BY_OWNERS[sort](record.owners))


def list_connections(  # noqa: PLR0913 - netstat has this many options
    *,
    proto: str | None = None,
    family: str | None = None,
    states: Collection[str] | None = None,
    port: int | None = None,
    local_port: int | None = None,
    remote_port: int | None = None,
    local_address: str | None = None,
    pid: int | None = None,
    process: str | None = None,
    user: str | None = None,
    unit: str | None = None,
    wildcard: bool = True,
    with_process: bool = True,
    with_cmdline: bool = False,
    with_tcp: bool = False,
    with_findings: bool = False,
    sort: str = "state",
    source: str | None = None,
    system: System | None = None,
) -> Report[ConnRecord, ConnsSummary]:
    """List the TCP and UDP sockets of which an end is on the loopback, and the wildcard ones that answer on it.

    Args:
        proto: See ``ConnsOptions``, as for all that follow.
        family: ``ipv4`` or ``ipv6``, of the socket; ``None`` for both.
        states: States to show; ``None`` for all.
        port: Port that either end must have.
        local_port: Port that this end must have.
        remote_port: Port that the other end must have.
        local_address: Address that this end must have.
        pid: Process that must own the socket.
        process: Text that an owner's name must contain, in any case.
        user: Name or number of the user who made the socket, or whose process owns it.
        unit: Text that the socket's systemd unit, or its container's id, must contain.
        wildcard: Whether to show sockets bound to every address.
        with_process: Whether to resolve owners; otherwise they are ``None``.
        with_cmdline: Whether to read the owners' command lines, which may hold secrets.
        with_tcp: Whether to ask what the kernel measured of connections; otherwise ``tcp`` is ``None``.
        with_findings: Whether to judge the sockets, with knowledge of all others, and not only to list them. It takes a
            second reading a moment later, and implies ``with_tcp``.
        sort: A key of ``SORT_KEYS``; equal rows go by port, then by all else, so that the order is stable.
        source: ``sock_diag``, ``proc`` or ``psutil``; ``None`` for the best that is to be had.
        system: The machine; a test's own stands in for it.

    Returns:
        A report with one ``ConnRecord`` per socket. Owners that may not be seen are ``None``, and counted in
        ``missing``; a socket that no process holds has none: ``()``, and ``no_owner`` says why. Findings are those
        about any of the sockets listed.

    Raises:
        ConfigError: A filter is out of range.
        UnsupportedError: The socket table cannot be read.

    """
    options = ConnsOptions(
        proto=proto,
        family=family,
        states=None if states is None else frozenset(parse_state(state) for state in states),
        port=port,
        local_port=local_port,
        remote_port=remote_port,
        local_address=None if local_address is None else parse_address(local_address),
        pid=pid,
        process=process,
        user=user,
        unit=unit,
        wildcard=wildcard,
        with_process=with_process,
        with_cmdline=with_cmdline,
        with_tcp=with_tcp,
        with_findings=with_findings,
        source=source,
    )
    require_choice("sort", sort, SORT_KEYS)
    return list_chosen(options, sort, system or System())


def list_chosen(
    options: ConnsOptions, sort: str, system: System, asked: ConnsOptions | None = None
) -> Report[ConnRecord, ConnsSummary]:
    """List the sockets that checked options choose, or the more that ``asked`` does, to choose among them later."""
    maker = ReportMaker("conns", system)
    asked = asked or options
    taken = _take(asked, system) if asked.with_findings else None
    table, records = (taken.table, _pick(taken, asked, sort)) if taken else _read(asked, sort, system)
    missing = list(_find_missing(table, records, options))
    if asked.chooses_by_owner:
        records = _choose_owned(records, asked, name_users(asked.user, system))
    if sort in _BY_OWNERS:
        keys = [*map(_BY_OWNERS[sort], records.column("owners"))]
        records = records.pick(sorted(range(len(records)), key=keys.__getitem__))
    findings, unjudged = _judge(taken, records) if taken else ([], [])
    return maker.make(
        source=table.source,
        summary=_count(records, table),
        records=records,
        findings=findings,
        missing=[*missing, *unjudged],
    )


def _read(asked: ConnsOptions, sort: str, system: System) -> tuple[SocketTable, ConnTable]:
    """Read no more than what is wanted."""
    question = Question(
        proto=asked.proto,
        family=asked.family,
        states=asked.states,
        local_port=asked.local_port,
        remote_port=asked.remote_port,
        with_tcp=asked.with_tcp,
        port=asked.port,
        local_address=asked.local_address,
    )
    table = system.list_sockets(asked.source, question)
    rows = _order(leave_out_bound_elsewhere(_choose(table.sockets, asked), system), sort)
    describer = Describer(system, asked)
    return table, ConnTable(rows, describer.find_owners(rows), describer)


def _order(rows: list[Socket], sort: str) -> list[Socket]:
    rows.sort(key=by_ends)
    if sort in _BY_SOCKET:
        rows.sort(key=_BY_SOCKET[sort])
    return rows


def _take(asked: ConnsOptions, system: System) -> Taken:
    from lodiag.sockets.snapshot import take_snapshot

    return take_snapshot(system, asked)


def _pick(taken: Taken, asked: ConnsOptions, sort: str) -> ConnTable:
    """Pick what is wanted of all that was read."""
    places = {id(row): at for at, row in enumerate(taken.records.rows)}
    return taken.records.pick(places[id(row)] for row in _order(_choose(taken.records.rows, asked), sort))


def _judge(taken: Taken, records: ConnTable) -> tuple[list[Finding], list[Missing]]:
    """Judge all sockets, and report what is about these; what could not be judged likewise."""
    from lodiag.judge.sockets import find_unjudged, judge_sockets

    judged = dict(zip(map(id, taken.records.rows), taken.snapshot.records, strict=True))
    own = [judged[id(row)] for row in records.rows]
    shown = {id(record) for record in own}
    found = [j.finding for j in judge_sockets(taken.snapshot) if any(id(record) in shown for record in j.sockets)]
    return found, list(find_unjudged(taken.snapshot, own))


def _choose(rows: Sequence[Socket], wanted: ConnsOptions) -> list[Socket]:
    """Leave what was not asked for out, filter by filter: each costs only when it was given."""
    if wanted.proto is not None:
        rows = [row for row in rows if row.proto == wanted.proto]
    if wanted.family is not None:
        rows = [row for row in rows if row.family == wanted.family]
    if wanted.states is not None:
        rows = [row for row in rows if row.state in wanted.states]
    if wanted.port is not None:
        rows = [row for row in rows if wanted.port in {row.local[1], row.remote and row.remote[1]}]
    if wanted.local_port is not None:
        rows = [row for row in rows if row.local[1] == wanted.local_port]
    if wanted.remote_port is not None:
        rows = [row for row in rows if row.remote and row.remote[1] == wanted.remote_port]
    if wanted.local_address is not None:
        rows = [row for row in rows if row.local[0] == wanted.local_address]
    here = {address: is_loopback(address) for address in {row.local[0] for row in rows}}
    return [
        row
        for row in rows
        if here[row.local[0]] or touches_loopback(row) or (wanted.wildcard and answers_everywhere(row))
    ]


def _choose_owned(records: ConnTable, wanted: ConnsOptions, users: Collection[str]) -> ConnTable:
    columns = (records.column(name) for name in ("owners", "user", "unit", "container"))
    facts = enumerate(zip(*columns, strict=True))
    return records.pick([at for at, (o, u, n, c) in facts if _is_owned_as_wanted(o, u, (n, c), wanted, users)])


def is_owned_as_wanted(record: ConnRecord, wanted: ConnsOptions, users: Collection[str]) -> bool:
    """Whether a socket has the process, the user and the unit that are wanted; ``users`` is of ``name_users``."""
    return _is_owned_as_wanted(record.owners, record.user, (record.unit, record.container), wanted, users)


def _is_owned_as_wanted(
    owners: tuple[Owner, ...] | None,
    user: str | None,
    groups: tuple[str | None, ...],
    wanted: ConnsOptions,
    users: Collection[str],
) -> bool:
    held = owners or ()
    return (
        (wanted.pid is None or any(owner.pid == wanted.pid for owner in held))
        and (wanted.process is None or any(contains(owner.process, wanted.process) for owner in held))
        and (not users or user in users or any(owner.user in users for owner in held))
        and (wanted.unit is None or any(contains(group, wanted.unit) for group in groups))
    )


def contains(text: str | None, wanted: str) -> bool:
    """Whether a text is in another, in any case."""
    return wanted.casefold() in (text or "").casefold()


def name_users(user: str | None, system: System) -> set[str]:
    """Names by which a user may be told: what was given and, if that is a number, the name of that user.

    Raises:
        ConfigError: There is no user of this name.

    """
    if user is None:
        return set()
    if user.isascii() and user.isdecimal() and len(user) <= LONGEST_UID:
        return {user, system.name_user(int(user))}
    if system.has_user(user) is False:
        message = f"there is no user {user[:40]!r}"
        raise ConfigError(message, "Give the number of one that only a container knows.")
    return {user}


LONGEST_UID = 10
"""Digits of the largest user id, which has 32 bits."""


def _find_missing(table: SocketTable, records: ConnTable, wanted: ConnsOptions) -> Iterator[Missing]:
    """Say what the source could not see; before a search by owner, which hidden owners would falsify."""
    if table.partial:
        yield table.partial
    asked = {
        "unit": wanted.unit is not None,
        "user": wanted.user is not None and not wanted.with_process,
        "bound": wanted.states is not None and "bound" in wanted.states,
    }
    for name, words in _UNTOLD.items():
        if asked[name] and name in table.lacks:
            yield Missing(what=words, count=None, why=f"the source {table.source} does not tell them")
    hidden = records.column("owners").count(None) if wanted.with_process else 0
    if hidden:
        yield Missing(what="owners", count=hidden, why=HIDDEN)


_UNTOLD = {
    "unit": "units and containers of sockets",
    "user": "users of sockets",
    "bound": "sockets that are bound and do not listen",
}


def _count(records: ConnTable, table: SocketTable) -> ConnsSummary:
    tally = Counter(zip(records.column("proto"), records.column("state"), strict=True))
    counts = tuple(ConnCount(proto=p, state=s, sockets=n) for (p, s), n in sorted(tally.items()))
    refused = tuple(Refusal(method=name, reason=reason) for name, reason in table.refused)
    return ConnsSummary(sockets=tally.total(), counts=counts, refused=refused)
