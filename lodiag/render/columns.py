"""Columns of a table of sockets: which there are, and how each is written."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from lodiag.model import Records, column, names_of
from lodiag.render.escaping import text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lodiag.model.conns import ConnRecord, Endpoint, Owner
    from lodiag.model.who import WhoOwner

USUAL = ("proto", "state", "local", "remote", "user", "process")
WIDE = (
    *("proto", "state", "local", "remote", "recv_q_bytes", "send_q_bytes", "accept_queue", "backlog", "drops"),
    *("timer", "no_owner", "user", "process", "unit", "tcp.rtt_ms"),
)
TEXT = {
    *("proto", "family", "state", "local", "remote", "mapped", "scope", "no_owner", "user", "process", "cmdline"),
    *("timer", "v6only", "interface", "cookie", "cgroup", "unit", "container", "congestion"),
}
"""Columns of words; all others are numbers, and are aligned so."""

PID, PROCESS, USER = range(3)
"""Indices of an ``Owner``: by its names they are found in four times the time, of each of 100 000."""

MOST_OWNERS = 2
"""Owners that a cell names; of a server with a hundred workers it counts the others."""


def list_columns() -> tuple[str, ...]:
    """Names of all columns: the fields of a record, those of its owners as two, those of TCP dotted."""
    from lodiag.model.conns import ConnRecord, ConnTcp

    own = [name for name in names_of(ConnRecord) if name not in {"owners", "tcp"}]
    return (*own, "process", "cmdline", *(f"tcp.{name}" for name in names_of(ConnTcp)))


def write_column(records: Sequence[ConnRecord], name: str) -> list[str]:
    """Write one column of a table of sockets."""
    write = _WRITERS.get(name)
    if write is not None:
        return write(records)
    outer, _, inner = name.partition(".")
    values = column(records, outer)
    if inner:
        return [text(getattr(value, inner, None)) for value in values]
    told = {value: text(value) for value in set(values)}
    return [*map(told.__getitem__, values)]


def endpoint(end: Endpoint | None, interface: str | None = None) -> str:
    """Write an address and a port as URLs have them, and as ss(8) does the interface that a socket is bound to."""
    if end is None:
        return "-"
    address, port = end
    zone = "" if interface is None else f"%{text(interface)}"
    return f"[{address}]{zone}:{port}" if ":" in address else f"{address}{zone}:{port}"


def owners(found: Sequence[Owner | WhoOwner] | None, no_owner: str | None = None) -> str:
    """Write the processes that hold a socket as name[pid]; ``?`` for unseen ones, the reason where there is none."""
    if found is None:
        return "?"
    if not found:
        return "-" if no_owner is None else f"({no_owner})"
    if len(found) == 1:
        return _name(found[0].process, found[0].pid)
    shown = [_name(owner.process, owner.pid) for owner in found[:MOST_OWNERS]]
    more = len(found) - MOST_OWNERS
    return " ".join([*shown, f"+{more}"] if more > 0 else shown)


@lru_cache(maxsize=1024)  # a process may hold 100 000 sockets
def _name(process: str | None, pid: int) -> str:
    return f"{text(process)}[{pid}]"


def users(found: Sequence[Owner] | None, user: str | None, no_owner: str | None) -> str:
    """Write the users of the processes that hold a socket, each once, or else its own; ``?`` for an unseen one."""
    if found and len(found) == 1:
        return text(found[0].user)
    if found:
        return " ".join(dict.fromkeys(text(owner.user) for owner in found))
    is_unseen = found is None and user is None and no_owner is None
    return "?" if is_unseen else text(user)


def _write_proto(records: Sequence[ConnRecord]) -> list[str]:
    pairs = zip(column(records, "proto"), column(records, "family"), strict=True)
    return [f"{proto}6" if family == "ipv6" else proto for proto, family in pairs]


def _write_ends(ends: Sequence[Endpoint | None], interfaces: Sequence[str | None]) -> list[str]:
    if interfaces.count(None) < len(interfaces):
        return [*map(endpoint, ends, interfaces)]
    hosts = {address: f"[{address}]" if ":" in address else address for address in {end[0] for end in ends if end}}
    return ["-" if end is None else f"{hosts[end[0]]}:{end[1]}" for end in ends]


def processes_of(records: Sequence[ConnRecord]) -> Sequence[Sequence[Owner] | None]:
    """Owners of each socket, as far as tables show them: without the descriptors, if that is less to make."""
    return column(records, "processes" if isinstance(records, Records) else "owners")


def _write_users(records: Sequence[ConnRecord]) -> list[str]:
    owned, reasons = processes_of(records), column(records, "no_owner")
    names = {name: text(name) for name in {found[0][USER] for found in owned if found}}
    return [
        names[found[0][USER]] if found and len(found) == 1 else users(found, user, reason)
        for found, user, reason in zip(owned, column(records, "user"), reasons, strict=True)
    ]


def _write_processes(records: Sequence[ConnRecord]) -> list[str]:
    found_and_reasons = zip(processes_of(records), column(records, "no_owner"), strict=True)
    return [
        _name(found[0][PROCESS], found[0][PID]) if found and len(found) == 1 else owners(found, reason)
        for found, reason in found_and_reasons
    ]


_WRITERS: dict[str, Callable[[Sequence[ConnRecord]], list[str]]] = {
    "proto": _write_proto,
    "local": lambda records: _write_ends(column(records, "local"), column(records, "interface")),
    "remote": lambda records: _write_ends(column(records, "remote"), [None]),
    "user": _write_users,
    "process": _write_processes,
    "cmdline": lambda records: [
        "; ".join(text(owner.cmdline) for owner in found or ()) or "-" for found in processes_of(records)
    ],
}
"""How to write what is not one value; each other column is the field of its name."""
