"""The two ends of connections joined: records of sockets in, pairs out; touches nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lodiag.sockets import LISTENING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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
    """Pair the ends of all connections, in one pass.

    Addresses of records are unmapped, so an IPv4 client finds its server's end whatever the family of that socket.
    """
    kept = list(records)
    listeners = find_listeners(kept)
    waiting: dict[Key, ConnRecord] = {}
    pairs: list[Pair] = []
    for record in kept:
        if record.remote is None:
            continue
        key = proto, near, far = key_of(record)
        mirror = record if near == far else waiting.pop((proto, far, near), None)
        if mirror is not None:
            pairs.append(_orient(mirror, record, listeners))
        else:
            doubled = waiting.pop(key, None)  # as connected UDP sockets with SO_REUSEADDR can be
            if doubled is not None:
                pairs.append(_orient(doubled, None, listeners))
            waiting[key] = record
    pairs += [_orient(record, None, listeners) for record in waiting.values()]
    return pairs


def find_listeners(records: Iterable[ConnRecord]) -> Listeners:
    """What listens, or takes datagrams of anybody, by protocol, address and port."""
    found: dict[tuple[str, str, int], list[ConnRecord]] = {}
    for record in records:
        if record.remote is None and record.state in LISTENING:
            found.setdefault((record.proto, record.local.address, record.local.port), []).append(record)
    return found


def _orient(one: ConnRecord, other: ConnRecord | None, listeners: Listeners) -> Pair:
    """Tell which end is the server's: the one that a listener stands for, or else that of the lower port."""
    proto, near, far = key_of(one)
    for_near, near_listeners = _weigh(proto, near, one, listeners)
    for_far, far_listeners = _weigh(proto, far, other, listeners)
    if for_near != for_far:
        is_near, direction = for_near > for_far, "known"
    else:
        is_near, direction = (near[1], near[0]) < (far[1], far[0]), "guessed"
    if one is other:
        direction = "self"
    if is_near:
        return Pair(other, one, proto, near[1], near_listeners, direction)
    return Pair(one, other, proto, far[1], far_listeners, direction)


def _weigh(proto: str, end: End, record: ConnRecord | None, listeners: Listeners) -> tuple[int, tuple[ConnRecord, ...]]:
    """Tell what speaks for an end being the server's, and what listens there."""
    address, port = end
    found = listeners.get((proto, address, port))
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
    return weight, tuple(found)


def _find_wildcards(proto: str, address: str, port: int, listeners: Listeners) -> list[ConnRecord]:
    if ":" in address:
        return listeners.get((proto, ANY_V6, port), [])
    found = listeners.get((proto, ANY_V4, port))
    return found or [record for record in listeners.get((proto, ANY_V6, port), ()) if not record.v6only]
