"""Records of ``conns``."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from lodiag.dataclass import dataclass
from lodiag.model import FAMILIES, PROTOS, Refusal, detail, fact, label, metric

SCOPES = ("loopback", "wildcard", "mixed")
NO_OWNER = ("time-wait", "handshake", "not-accepted", "orphan")


class Endpoint(NamedTuple):  # of 100 000, four times as fast to make as a dataclass
    """One end of a socket."""

    address: Annotated[str, "Address; an IPv4-mapped one is given as the IPv4 address."]
    port: Annotated[int, "Port."]


class Owner(NamedTuple):
    """A process that holds a socket."""

    pid: Annotated[int, "Process id."]
    process: Annotated[str | None, "Name of the process; null if it ended meanwhile or is hidden."]
    user: Annotated[str | None, "User that the process runs as."]
    fd: Annotated[int | None, "Lowest descriptor by which it holds the socket; null where the source does not tell."]
    cmdline: Annotated[str | None, "Command line; null unless it was asked for, because it may hold secrets."]


@dataclass(slots=True, kw_only=True)  # not frozen: of each of 100 000, that takes four times as long to make
class ConnTcp:
    """A TCP connection as the kernel measures it; null for what this kernel does not tell."""

    rtt_ms: float | None = fact("Smoothed round trip.")
    rttvar_ms: float | None = fact("How far round trips stray from it.")
    min_rtt_ms: float | None = fact("Shortest round trip.")
    cwnd: int | None = fact("Congestion window, in segments.")
    retransmits: int | None = fact("Segments that were sent again.")
    bytes_sent: int | None = fact("Bytes sent, again sent ones included.")
    bytes_acked: int | None = fact("Bytes that the peer has acknowledged, SYN and FIN counted as one.")
    bytes_received: int | None = fact("Bytes received, FIN counted as one.")
    delivery_rate_bps: int | None = fact("Bits per second at which the last bytes were delivered.")
    rwnd_limited_ms: float | None = fact("How long the peer's receive window kept this end from sending.")
    last_sent_ms: int | None = fact("Milliseconds since data was last sent.")
    last_received_ms: int | None = fact("Milliseconds since data was last received.")
    last_ack_ms: int | None = fact("Milliseconds since an acknowledgement last came.")


@dataclass(slots=True, kw_only=True)  # not frozen: of each of 100 000, that takes four times as long to make
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
    no_owner: str | None = fact(
        "Why no process holds it: it waits out its end (time-wait), its handshake is under way, the server has not "
        "accepted it yet, or its process has closed it or ended (orphan).",
        NO_OWNER,
    )
    uid: int | None = fact("User id that the socket was made under; null for one that no process has any more.")
    user: str | None = fact("Name of that user, or the number of one without a name.")
    recv_q_bytes: int | None = fact(
        "Bytes received that the process has not read, the end of the stream counted as one; null for a listener."
    )
    send_q_bytes: int | None = fact(
        "Bytes sent that the peer has not acknowledged, SYN and FIN counted as one; null for a listener."
    )
    accept_queue: int | None = fact("Connections of a listener that wait to be accepted.")
    backlog: int | None = fact("Limit of that queue, from listen(2); one more than it may wait.")
    drops: int | None = fact(
        "Packets, or connections to a listener, dropped because a queue was full; of a TCP connection with tcp."
    )
    timer: str | None = fact("Timer that runs: retransmit, keepalive, time-wait, persist or delayed-ack.")
    timer_ms: int | None = fact("Milliseconds until it expires.")
    timer_retransmits: int | None = fact("Retransmissions, or probes, without an answer.")
    v6only: bool | None = fact("Whether an IPv6 socket takes no IPv4.")
    interface: str | None = fact("Interface that the socket is bound to; null if to none.")
    inode: int | None = fact("Inode of the socket; 0 if no process has it.")
    cookie: str | None = fact("Number that the kernel gives each socket, in hexadecimal: it stays from state to state.")
    cgroup: str | None = fact("Control group that the socket was made in.")
    unit: str | None = fact("systemd unit of that group.")
    container: str | None = fact("Short id of the container of that group.")
    congestion: str | None = fact("Congestion control.")
    tcp: ConnTcp | None = fact("What the kernel knows of a TCP connection; null for other sockets and sources.")


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
    refused: tuple[Refusal, ...] = detail("Better sources that could not be had, best first.")


RECORD, SUMMARY = ConnRecord, ConnsSummary
