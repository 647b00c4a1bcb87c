"""The two ends of connections joined: records of sockets in, pairs out; touches nothing."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from lodiag.sockets.describing import LISTENING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from lodiag.model.conns import ConnRecord

    End = tuple[str, int]
    Key = tuple[str, End, End]
    Listeners = Mapping[tuple[str, str, int], list[ConnRecord]]

ANY_V4, ANY_V6 = "0.0.0.0", "::"  # noqa: S104 - compared with, not bound to

CERTAIN, EXACT, WILDCARD, NONE, OPENING = 3, 2, 1, 0, -1
"""How much speaks for an end being the server: its socket is not accepted yet, a listener has its very address, or
every address; nothing; or it is the one that opens the connection."""


class Pair(NamedTuple):
    """A connection: its ends, of which one may be missing, and what listens where the server's end is.

    A socket that is connected to itself is both ends.
    """

    client: ConnRecord | None
    server: ConnRecord | None
    proto: str
    port: int
    listeners: tuple[ConnRecord, ...]
    direction: str

    @property
    def lone(self) -> ConnRecord | None:
        """The end that has no mirror; ``None`` if both are there."""
        if self.client is None:
            return self.server
        return self.client if self.server is None else None


def key_of(record: ConnRecord) -> Key:
    """Name a connection from this end: protocol, local end, remote end. That of its mirror has the ends swapped."""
    near, far = record.local, record.remote or record.local
    return record.proto, (near.address, near.port), (far.address, far.port)


def join(records: Iterable[ConnRecord]) -> list[Pair]:
    """Pair the ends of all connections, in one pass, and tell which is the server's.

    Addresses of records are unmapped, so an IPv4 client finds its server's end whatever the family of that socket.
    """
    kept = list(records)
    listeners = find_listeners(kept)
    found = [_weigh(one, other, listeners) for one, other in _match(kept)]
    # Where nothing tells, an end that many connections share is likelier the server's than one that has its port once.
    shared = Counter(end for ends in found if ends.direction == "guessed" for end in ends.ends)
    return [_orient(ends, shared) for ends in found]


def _match(records: Iterable[ConnRecord]) -> Iterator[tuple[ConnRecord, ConnRecord | None]]:
    """Give each connection: an end, and its mirror if there is one."""
    waiting: dict[Key, ConnRecord] = {}
    for record in records:
        if record.remote is None:
            continue
        key = proto, near, far = key_of(record)
        mirror = record if near == far else waiting.pop((proto, far, near), None)
        if mirror is not None:
            yield mirror, record
            continue
        doubled = waiting.pop(key, None)  # as connected UDP sockets with SO_REUSEADDR can be
        if doubled is not None:
            yield doubled, None
        waiting[key] = record
    for record in waiting.values():
        yield record, None


def find_listeners(records: Iterable[ConnRecord]) -> Listeners:
    """What listens, or takes datagrams of anybody, by protocol, address and port."""
    found: dict[tuple[str, str, int], list[ConnRecord]] = {}
    for record in records:
        if record.remote is None and record.state in LISTENING:
            found.setdefault((record.proto, record.local.address, record.local.port), []).append(record)
    return found


class _Ends(NamedTuple):
    """A connection before its ends are told apart: what speaks for each being the server's, and what listens there."""

    proto: str
    ends: tuple[End, End]
    records: tuple[ConnRecord, ConnRecord | None]
    weights: tuple[int, int]
    listeners: tuple[list[ConnRecord], list[ConnRecord]]
    direction: str


def _weigh(one: ConnRecord, other: ConnRecord | None, listeners: Listeners) -> _Ends:
    proto, near, far = key_of(one)
    for_near, near_listeners = _weigh_end(proto, near, one, listeners)
    for_far, far_listeners = _weigh_end(proto, far, other, listeners)
    # A listener at either end is no proof: one may have begun to listen at a port that a client had.
    is_known = for_near != for_far and (min(for_near, for_far) <= NONE or CERTAIN in {for_near, for_far})
    direction = "self" if one is other else "known" if is_known else "guessed"
    return _Ends(proto, (near, far), (one, other), (for_near, for_far), (near_listeners, far_listeners), direction)


def _weigh_end(proto: str, end: End, record: ConnRecord | None, listeners: Listeners) -> tuple[int, list[ConnRecord]]:
    """Tell what speaks for an end being the server's, and what listens there."""
    address, port = end
    found = listeners.get((proto, address, port), [])
    weight = EXACT if found else NONE
    if not found:
        found = _find_wildcards(proto, address, port, listeners)
        weight = WILDCARD if found else NONE
    if proto == "udp":  # every UDP socket without a peer takes what comes, whether it serves or not
        weight = min(weight, WILDCARD)
    elif record is not None and (record.state == "syn-recv" or record.no_owner == "not-accepted"):
        weight = CERTAIN
    elif record is not None and record.state == "syn-sent":
        weight = OPENING
    return weight, found


def _find_wildcards(proto: str, address: str, port: int, listeners: Listeners) -> list[ConnRecord]:
    if ":" in address:
        return listeners.get((proto, ANY_V6, port), [])
    found = listeners.get((proto, ANY_V4, port))
    return found or [record for record in listeners.get((proto, ANY_V6, port), ()) if not record.v6only]


def _orient(found: _Ends, shared: Mapping[End, int]) -> Pair:
    """Make the pair: the server's is the end that more speaks for, or that more share, or of the lower port."""
    (near, far), (one, other) = found.ends, found.records
    order = [
        (weight, shared.get(end, 0), -end[1], end[0]) for weight, end in zip(found.weights, found.ends, strict=True)
    ]
    if order[0] < order[1]:
        return Pair(one, other, found.proto, far[1], tuple(found.listeners[1]), found.direction)
    return Pair(other, one, found.proto, near[1], tuple(found.listeners[0]), found.direction)
