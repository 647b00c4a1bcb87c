"""Connections with the same two ends counted together: pairs in, records out; touches nothing."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from lodiag.flows.nodes import End, Node
from lodiag.model.map import FlowNode, FlowOwner, FlowRecord, FlowStates
from lodiag.rtt import percentile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from lodiag.flows.nodes import Cast
    from lodiag.flows.pairs import Pair
    from lodiag.model.conns import ConnRecord, Owner

FIN_RECEIVED = frozenset({"close-wait", "last-ack", "closing", "time-wait"})
FIN_ACKED = frozenset({"fin-wait-2", "time-wait"})
"""States in which the end of a stream, which counts as a byte, was received or acknowledged (RFC 9293 3.3.2)."""
UNANSWERED = frozenset({"syn-sent", "fin-wait-1", "last-ack", "closing"})
"""States in which the beginning or the end of a stream was sent and is not acknowledged."""


def gather(pairs: Iterable[Pair], cast: Cast) -> list[tuple[FlowRecord, list[Pair]]]:
    """Count the pairs by who is at their ends: flows in order of port, server and client, and the pairs of each."""
    flows: dict[tuple[int, str, str, str, str], _Flow] = {}
    for pair in pairs:
        client, server = cast.find_client(pair), cast.find_server(pair)
        key = pair.port, pair.proto, server.node.node, client.node.node, pair.direction
        flow = flows.get(key)
        if flow is None:
            flow = flows[key] = _Flow(pair, client, server)
        flow.add(pair, client, server)
    kept = [flows[key] for key in sorted(flows)]
    return [(flow.describe(), flow.pairs) for flow in _fold_strays(kept)]


def _fold_strays(flows: Sequence[_Flow]) -> Iterator[_Flow]:
    """Put what is left of connections of which nothing is known, and no two share a port, into one flow, the last."""
    strays = [flow for flow in flows if flow.is_stray]
    if len(strays) <= 1:
        yield from flows
        return
    yield from (flow for flow in flows if not flow.is_stray)
    by_name: dict[str, _Flow] = {}
    for flow in strays:
        found = by_name.setdefault(flow.client.node.node, flow)
        if found is not flow:
            found.merge(flow)
    yield from by_name.values()


class _Flow:
    """What was counted of one client with one port of one server."""

    def __init__(self, first: Pair, client: End, server: End) -> None:
        self._first, self.client, self._server = first, client, server
        self._port: int | None = first.port
        self._owners: tuple[dict[int, Owner], dict[int, Owner]] = {}, {}
        self.pairs: list[Pair] = []

    @property
    def is_stray(self) -> bool:
        """Whether it is one connection that no process has any more, to a server that nothing tells."""
        kinds = self.client.node.kind, self._server.node.kind, self._first.direction
        return kinds == ("none", "unknown", "guessed") and len(self.pairs) == 1

    def merge(self, other: _Flow) -> None:
        """Take in another one; they have no port in common."""
        self.pairs += other.pairs
        self._port, self._server = None, End(Node("?", "unknown", None), None)

    def add(self, pair: Pair, client: End, server: End) -> None:
        """Count a connection."""
        self.pairs.append(pair)
        for kept, end in zip(self._owners, (client, server), strict=True):
            for owner in end.owners or ():
                kept.setdefault(owner.pid, owner)

    def describe(self) -> FlowRecord:
        """Make the record."""
        pair, pairs = self._first, self.pairs
        clients = [pair.client for pair in pairs if pair.client is not None]
        servers = [pair.server for pair in pairs if pair.server is not None]
        times = sorted(end.tcp.rtt_ms for end in clients if end.tcp is not None and end.tcp.rtt_ms is not None)
        return FlowRecord(
            proto=pair.proto,
            client=_describe_end(self.client, self._owners[0]),
            server=_describe_end(self._server, self._owners[1]),
            port=self._port,
            direction=pair.direction,
            mapped=any(end.mapped for end in (*clients, *servers)),
            connections=len(pairs),
            states=_count_states(pairs),
            to_server_bytes=_total(_count_to_server(pair) for pair in pairs),
            to_client_bytes=_total(_count_to_client(pair) for pair in pairs),
            rtt_p50_ms=percentile(times, 50) if times else None,
            rtt_max_ms=times[-1] if times else None,
            client_recv_q_bytes=_total(map(_count_unread, clients)),
            client_send_q_bytes=_total(map(_count_unacked, clients)),
            server_recv_q_bytes=_total(map(_count_unread, servers)),
            server_send_q_bytes=_total(map(_count_unacked, servers)),
        )


def _describe_end(end: End, owners: Mapping[int, Owner]) -> FlowNode:
    node = end.node
    shown = tuple(FlowOwner(pid=pid, process=o.process, user=o.user) for pid, o in sorted(owners.items()))
    return FlowNode(
        node=node.node,
        kind=node.kind,
        name=node.name,
        owners=None if end.owners is None else shown,
        user=node.user,
        unit=node.unit,
        container=node.container,
        ports=node.ports,
    )


def _count_states(pairs: Iterable[Pair]) -> tuple[FlowStates, ...]:
    counts = Counter((_state_of_client(pair), _state_of_server(pair)) for pair in pairs)
    order = sorted(counts.items(), key=lambda item: (-item[1], item[0][0] or "", item[0][1] or ""))
    return tuple(
        FlowStates(client_state=client, server_state=server, connections_in_state=count)
        for (client, server), count in order
    )


def _state_of_client(pair: Pair) -> str | None:
    return None if pair.client is None else pair.client.state


def _state_of_server(pair: Pair) -> str | None:
    if pair.server is not None:
        return pair.server.state
    return "unconnected" if pair.proto == "udp" and pair.listeners else None


def _count_to_server(pair: Pair) -> int | None:
    """Bytes that the server's end received or else, if it is gone, those that it acknowledged, the SYN left out."""
    received = _count_received(pair.server)
    acked = _count_acked(pair.client) if received is None else None
    return received if acked is None else max(acked - 1, 0)


def _count_to_client(pair: Pair) -> int | None:
    received = _count_received(pair.client)
    return _count_acked(pair.server) if received is None else received


def _count_received(end: ConnRecord | None) -> int | None:
    count = end.tcp.bytes_received if end is not None and end.tcp is not None else None
    if end is None or count is None:
        return None
    return max(count - (end.state in FIN_RECEIVED), 0)


def _count_acked(end: ConnRecord | None) -> int | None:
    count = end.tcp.bytes_acked if end is not None and end.tcp is not None else None
    if end is None or count is None:
        return None
    return max(count - (end.state in FIN_ACKED), 0)


def _count_unread(end: ConnRecord) -> int | None:
    """Bytes in the receive queue, without the end of the stream, which is in it until it is read."""
    return end.recv_q_bytes and end.recv_q_bytes - (end.state in FIN_RECEIVED)


def _count_unacked(end: ConnRecord) -> int | None:
    """Bytes in the send queue, without the beginning or the end of the stream, which is in it until it is answered."""
    return end.send_q_bytes and end.send_q_bytes - (end.state in UNANSWERED)


def _total(values: Iterable[int | None]) -> int | None:
    """Sum of what was measured; ``None`` if nothing was."""
    measured = [value for value in values if value is not None]
    return sum(measured) if measured else None
