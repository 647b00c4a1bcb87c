"""Sockets that use the loopback or answer on it: their state, their ends, their owners."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from lodiag.limits import require_choice
from lodiag.model import Missing, Refusal
from lodiag.model.conns import ConnCount, ConnRecord, ConnsSummary
from lodiag.options import STATES, ConnsOptions, parse_address, parse_state
from lodiag.report import ReportMaker
from lodiag.sockets import HIDDEN, Describer, answers_everywhere, leave_out_bound_elsewhere, touches_loopback
from lodiag.system import System
from lodiag.system.facts import Question
from lodiag.targets import unmap

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from lodiag.model import Report
    from lodiag.system.facts import Socket, SocketTable


LONGEST_UID = 10
"""Digits of the largest user id, which has 32 bits."""


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
        sort: A key of ``SORT_KEYS``; equal rows go by port, then by all else, so that the order is stable.
        source: ``sock_diag``, ``proc`` or ``psutil``; ``None`` for the best that is to be had.
        system: The machine; a test's own stands in for it.

    Returns:
        A report with one ``ConnRecord`` per socket. Owners that may not be seen are ``None``, and counted in
        ``missing``; a socket that no process holds has none: ``()``, and ``no_owner`` says why.

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
        source=source,
    )
    require_choice("sort", sort, tuple(SORT_KEYS))
    return _list(options, sort, system or System())


def _list(options: ConnsOptions, sort: str, system: System) -> Report[ConnRecord, ConnsSummary]:
    maker = ReportMaker("conns", system)
    question = Question(
        options.proto, options.family, options.states, options.local_port, options.remote_port, options.with_tcp
    )
    table = system.list_sockets(options.source, question)
    rows = leave_out_bound_elsewhere([row for row in table.sockets if _is_wanted(row, options)], system)
    describer = Describer(system, rows, options)
    records = [describer.describe(row) for row in rows]
    missing = list(_find_missing(table, records, options))
    users = _name_users(options.user, system)
    records = [record for record in records if _is_owned_as_wanted(record, options, users)]
    records.sort(key=_by_port)
    records.sort(key=SORT_KEYS[sort])  # type: ignore[arg-type]  # each key compares with itself
    return maker.make(source=table.source, summary=_count(records, table), records=records, missing=missing)


def _is_wanted(row: Socket, wanted: ConnsOptions) -> bool:
    remote_port = row.remote[1] if row.remote else None
    return (
        wanted.proto in {None, row.proto}
        and wanted.family in {None, row.family}
        and (wanted.states is None or row.state in wanted.states)
        and wanted.port in {None, row.local[1], remote_port}
        and wanted.local_port in {None, row.local[1]}
        and (wanted.remote_port is None or wanted.remote_port == remote_port)
        and wanted.local_address in {None, unmap(row.local[0])[0]}
        and (touches_loopback(row) or (wanted.wildcard and answers_everywhere(row)))
    )


def _name_users(user: str | None, system: System) -> set[str]:
    """Names by which a user may be told: what was given and, if that is a number, the name of that user."""
    if user is None:
        return set()
    is_uid = user.isascii() and user.isdecimal() and len(user) <= LONGEST_UID
    return {user, system.name_user(int(user))} if is_uid else {user}


def _is_owned_as_wanted(record: ConnRecord, wanted: ConnsOptions, users: Collection[str]) -> bool:
    owners = record.owners or ()
    group = f"{record.unit or ''} {record.container or ''}"
    return (
        (wanted.pid is None or any(owner.pid == wanted.pid for owner in owners))
        and (wanted.process is None or any(contains(owner.process, wanted.process) for owner in owners))
        and (not users or record.user in users or any(owner.user in users for owner in owners))
        and (wanted.unit is None or contains(group, wanted.unit))
    )


def contains(text: str | None, wanted: str) -> bool:
    """Whether a text is in another, in any case."""
    return wanted.casefold() in (text or "").casefold()


def _find_missing(table: SocketTable, records: list[ConnRecord], wanted: ConnsOptions) -> Iterator[Missing]:
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
    hidden = sum(record.owners is None for record in records) if wanted.with_process else 0
    if hidden:
        yield Missing(what="owners", count=hidden, why=HIDDEN)


_UNTOLD = {
    "unit": "units and containers of sockets",
    "user": "users of sockets",
    "bound": "sockets that are bound and do not listen",
}


def _count(records: Iterable[ConnRecord], table: SocketTable) -> ConnsSummary:
    tally = Counter((record.proto, record.state) for record in records)
    counts = tuple(ConnCount(proto=p, state=s, sockets=n) for (p, s), n in sorted(tally.items()))
    refused = tuple(Refusal(method=name, reason=reason) for name, reason in table.refused)
    return ConnsSummary(sockets=tally.total(), counts=counts, refused=refused)
