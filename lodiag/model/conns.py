"""Records of ``conns``."""

from __future__ import annotations

from dataclasses import dataclass

from lodiag.model import FAMILIES, detail, fact, label, metric

PROTOS = ("tcp", "udp")
SCOPES = ("loopback", "wildcard", "mixed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One end of a socket."""

    address: str = fact("Address; an IPv4-mapped one is given as the IPv4 address.")
    port: int = fact("Port.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A process that holds a socket."""

    pid: int = fact("Process id.")
    process: str | None = fact("Name of the process; null if it ended meanwhile or is hidden.")
    user: str | None = fact("User that the process runs as.")
    cmdline: str | None = fact("Command line; null unless it was asked for, because it may hold secrets.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnRecord:
    """One socket that uses the loopback, or answers on it."""

    proto: str = label("Protocol.", PROTOS)
    family: str = label("Family of the socket.", FAMILIES)
    state: str = label("TCP state; for UDP, unconnected or established.")
    local: Endpoint = fact("This end.")
    remote: Endpoint | None = fact("The other end; null if there is none.")
    mapped: bool = fact("Whether an IPv6 socket carries IPv4 addresses (::ffff:a.b.c.d).")
    scope: str = fact("loopback: every end is; wildcard: any address; mixed: one end only is.", SCOPES)
    owners: tuple[Owner, ...] | None = fact(
        "Processes that hold the socket; empty if none does, null if that was not asked or may not be seen."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnCount:
    """How many sockets are in one state."""

    proto: str = label("Protocol.", PROTOS)
    state: str = label("State of the sockets.")
    sockets: int = metric("Sockets in that state.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnsSummary:
    """Totals over the sockets shown."""

    sockets: int = fact("Sockets shown.")
    counts: tuple[ConnCount, ...] = detail("Sockets by protocol and state.")


RECORD, SUMMARY = ConnRecord, ConnsSummary
