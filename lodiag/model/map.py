"""Records of ``map``."""

from __future__ import annotations

from lodiag.dataclass import dataclass
from lodiag.model import PROTOS, Refusal, detail, fact, label, metric

DIRECTIONS = ("known", "guessed", "self")
NODE_KINDS = ("process", "unit", "container", "user", "none", "unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowOwner:
    """A process that holds sockets of a flow."""

    pid: int = fact("Process id.")
    process: str | None = fact("Name of the process; null if it ended meanwhile or is hidden.")
    user: str | None = fact("User that the process runs as.")


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowNode:
    """Who is at one end: a process, or all of a program that share what they listen on."""

    node: str = label("Name of the node, the same wherever it is an end: name@unit:ports that it listens on.")
    kind: str = fact("What the name is a name of; none: no process holds these sockets; unknown: nothing.", NODE_KINDS)
    name: str | None = fact(
        "Process; or container, unit or user where the process may not be seen; or why there is no process; "
        "null if nothing is known."
    )
    owners: tuple[FlowOwner, ...] | None = fact("Processes of the node in this flow; null if they may not be seen.")
    user: str | None = fact("User who made its sockets.")
    unit: str | None = fact("systemd unit that they were made in.")
    container: str | None = fact("Short id of the container that they were made in.")
    ports: tuple[int, ...] = fact("Ports that its processes listen on, as far as can be seen.")


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowStates:
    """How many connections are in one pair of states."""

    client_state: str | None = label("State of the client's end; null if there is no such socket, or was none to see.")
    server_state: str | None = label("State of the server's end, likewise; unconnected: a UDP socket that takes all.")
    connections_in_state: int = metric("Connections whose two ends are in these states.")


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowRecord:
    """All connections of one client with one port of one server."""

    proto: str = label("Protocol.", PROTOS)
    client: FlowNode = fact("Who connected.")
    server: FlowNode = fact("Who was connected to.")
    port: int | None = label(
        "Port of the server; null for connections that are over, of which nothing is known and no two share a port."
    )
    direction: str = label(
        "Which end is the server: known from what listens; guessed, the one that more connections share, or of the "
        "lower port; or self, a socket connected to itself, which is both.",
        DIRECTIONS,
    )
    mapped: bool = fact("Whether an IPv6 socket carries the IPv4 addresses of any of them (::ffff:a.b.c.d).")
    connections: int = metric("Connections, those that wait out their end included.")
    states: tuple[FlowStates, ...] = detail("Connections by the states of their two ends, the most frequent first.")
    to_server_bytes: int | None = metric("Bytes that came to the server, over the connections that tell it.")
    to_client_bytes: int | None = metric("Bytes that came to the client, likewise.")
    rtt_p50_ms: float | None = metric(
        "Median, by nearest rank, of the smoothed round trips that the client's ends have measured."
    )
    rtt_max_ms: float | None = metric("Longest of them.")
    client_recv_q_bytes: int | None = metric("Bytes that the client has not read yet.")
    client_send_q_bytes: int | None = metric("Bytes of the client that are not acknowledged yet.")
    server_recv_q_bytes: int | None = metric("Bytes that the server has not read yet.")
    server_send_q_bytes: int | None = metric("Bytes of the server that are not acknowledged yet.")


@dataclass(frozen=True, slots=True, kw_only=True)
class MapSummary:
    """Totals over the flows shown."""

    flows: int = metric("Flows shown.")
    connections: int = fact("Connections of them.")
    one_sided: int = fact("Those of which one end only is in the table: the other is closed, or takes all (UDP).")
    refused: tuple[Refusal, ...] = detail("Better sources that could not be had, best first.")


RECORD, SUMMARY = FlowRecord, MapSummary
