"""Words for flows, which tables and graphs share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.render.escaping import printable, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lodiag.model.map import FlowNode, FlowRecord

ESTAB = {"established": "estab"}
"""What ss(8) calls it, where room is short."""

MOST_STATES = 3
"""Pairs of states that a cell names."""

_MARKS = {"guessed": "?", "self": " self"}
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_STEP = 1024
_FEW = 9.95
"""Below it a digit after the point is shown."""


def node(end: FlowNode) -> str:
    """Write a node as name[pid], or name (number of processes); ``?`` for one of which nothing is known."""
    if end.kind == "none":
        return f"({text(end.name)})"
    if end.name is None:
        return "?" if not end.owners else f"?[{end.owners[0].pid}]"
    if not end.owners:
        return printable(end.name) if end.kind == "unit" else f"{end.kind} {printable(end.name)}"
    return f"{printable(end.name)}[{end.owners[0].pid}]" if len(end.owners) == 1 else _count(end)


def _count(end: FlowNode) -> str:
    return f"{text(end.name)} ({len(end.owners or ())})"


def port(flow: FlowRecord) -> str:
    """Write the server's port, with a question mark if which end is the server was guessed."""
    if flow.port is None:
        return "-"
    proto = "" if flow.proto == "tcp" else f"/{flow.proto}"
    return f"{flow.port}{proto}{_MARKS.get(flow.direction, '')}"


def size(count: int | None) -> str:
    """Write a number of bytes in the greatest unit of which there is one."""
    if count is None:
        return "-"
    value, unit = float(count), 0
    while round(value) >= _STEP and unit < len(_UNITS) - 1:
        value, unit = value / _STEP, unit + 1
    return f"{value:.1f} {_UNITS[unit]}" if unit and value < _FEW else f"{value:.0f} {_UNITS[unit]}"


def states(flow: FlowRecord, short: dict[str, str] | None = None) -> str:
    """Write the pairs of states as client/server, one word if both are in the same, with how many are in each."""
    words = []
    for found in flow.states[:MOST_STATES]:
        client, server = (
            (short or {}).get(state or "-", state or "-") for state in (found.client_state, found.server_state)
        )
        word = client if client == server else f"{client}/{server}"
        words.append(f"{found.connections_in_state} {word}" if len(flow.states) > 1 else word)
    more = len(flow.states) - MOST_STATES
    return ", ".join([*words, f"+{more} more"] if more > 0 else words)


def queues(flow: FlowRecord) -> dict[str, tuple[int | None, int | None]]:
    """Give what waits at each end: to be read, and to be acknowledged."""
    return {
        "client": (flow.client_recv_q_bytes, flow.client_send_q_bytes),
        "server": (flow.server_recv_q_bytes, flow.server_send_q_bytes),
    }


def _list_traits(flow: FlowRecord) -> Iterator[str]:
    """Write what else a reader of a graph must know of a flow."""
    for end, (unread, unacknowledged) in queues(flow).items():
        if unread:
            yield f"{size(unread)} unread by {end}"
        if unacknowledged:
            yield f"{size(unacknowledged)} of {end} not acknowledged"
    if flow.mapped:
        yield "IPv4-mapped"
    if flow.direction != "known":
        yield {"guessed": "direction guessed", "self": "connected to itself"}[flow.direction]


def label_lines(flow: FlowRecord) -> list[str]:
    """Write what stands at the edge of a graph."""
    connections = f"{flow.connections} connection{'' if flow.connections == 1 else 's'}"
    lines = [f"{flow.proto} {'' if flow.port is None else flow.port}".rstrip() + f": {connections}", states(flow)]
    if flow.to_server_bytes is not None or flow.to_client_bytes is not None:
        lines.append(f"{size(flow.to_server_bytes)} to server, {size(flow.to_client_bytes)} to client")
    if flow.rtt_p50_ms is not None:
        lines.append(f"rtt {flow.rtt_p50_ms:.3f} ms")
    return [*lines, *_list_traits(flow)]


def list_nodes(flows: Sequence[FlowRecord]) -> dict[str, tuple[str, str]]:
    """Give each node an id that no language has as a word, and its text: of its processes, all that any flow has."""
    found: dict[str, list[FlowNode]] = {}
    for flow in flows:
        for end in (flow.client, flow.server):
            found.setdefault(end.node, []).append(end)
    return {name: (f"n{number}", _describe(ends)) for number, (name, ends) in enumerate(found.items())}


def _describe(ends: list[FlowNode]) -> str:
    first = ends[0]
    pids = {owner.pid for end in ends for owner in end.owners or ()}
    if len(pids) <= 1 or first.name is None:
        return node(first)
    return f"{printable(first.name)} ({len(pids)})"
