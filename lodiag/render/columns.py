"""Columns of a table of sockets: which there are, and how each is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.render.escaping import text

if TYPE_CHECKING:
    from collections.abc import Callable

    from lodiag.model.conns import ConnRecord, Endpoint
    from lodiag.model.who import WhoSocket

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

MOST_OWNERS = 2
"""Owners that a cell names; of a server with a hundred workers it counts the others."""


def list_columns() -> tuple[str, ...]:
    """Names of all columns: the fields of a record, those of its owners as two, those of TCP dotted."""
    from dataclasses import fields

    from lodiag.model.conns import ConnRecord, ConnTcp

    own = [item.name for item in fields(ConnRecord) if item.name not in {"owners", "tcp"}]
    return (*own, "process", "cmdline", *(f"tcp.{item.name}" for item in fields(ConnTcp)))


def write_cell(record: ConnRecord, column: str) -> str:
    """Write one column of a record."""
    write = _WRITERS.get(column)
    if write is not None:
        return write(record)
    value: object = record
    for part in column.split("."):
        value = None if value is None else getattr(value, part)
    return text(value)


def endpoint(end: Endpoint | None, interface: str | None = None) -> str:
    """Write an address and a port as URLs have them, and as ss(8) does the interface that a socket is bound to."""
    if end is None:
        return "-"
    zone = "" if interface is None else f"%{text(interface)}"
    host = f"[{end.address}]" if ":" in end.address else end.address
    return f"{host}{zone}:{end.port}"


def owners(record: ConnRecord | WhoSocket) -> str:
    """Write the processes that hold a socket as name[pid]; ``?`` for unseen ones, the reason where there is none."""
    if record.owners is None:
        return "?"
    if not record.owners:
        return "-" if record.no_owner is None else f"({record.no_owner})"
    shown = [f"{text(owner.process)}[{owner.pid}]" for owner in record.owners[:MOST_OWNERS]]
    more = len(record.owners) - MOST_OWNERS
    return " ".join([*shown, f"+{more}"] if more > 0 else shown)


def users(record: ConnRecord) -> str:
    """Write the users of the processes that hold a socket, each once, or else its own; ``?`` for an unseen one."""
    if record.owners:
        return " ".join(dict.fromkeys(text(owner.user) for owner in record.owners))
    is_unseen = record.owners is None and record.user is None and record.no_owner is None
    return "?" if is_unseen else text(record.user)


_WRITERS: dict[str, Callable[[ConnRecord], str]] = {
    "proto": lambda record: f"{record.proto}6" if record.family == "ipv6" else record.proto,
    "local": lambda record: endpoint(record.local, record.interface),
    "remote": lambda record: endpoint(record.remote),
    "user": users,
    "process": owners,
    "cmdline": lambda record: "; ".join(text(owner.cmdline) for owner in record.owners or ()) or "-",
}
"""How to write what is not one value; each other column is the field of its name."""
