"""Who is connected to a listener, and whether that is this host."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from lodiag.sockets.answers import DUAL_STACK, rank
from lodiag.targets import is_loopback

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from lodiag.system import System
    from lodiag.system.facts import Socket


class Peers(NamedTuple):
    """How many connections a listener has, how many of them are of this host, and how many came by the loopback."""

    all: int
    local: int
    by_loopback: int


def place_of(row: Socket) -> tuple[object, ...]:
    """Say where a socket is bound: several that share a port by SO_REUSEPORT are at one place."""
    return row.proto, row.family, row.local, row.interface_index


def count_peers(
    listeners: Sequence[Socket], rows: Iterable[Socket], own: Container[str] | None, system: System
) -> Mapping[object, Peers]:
    """Count the connections of TCP listeners, by where those are bound: of several that share a place, all have all.

    ``own`` are the addresses of this host; where they are not told, each that matters is tried.
    """
    by_port: dict[int, list[Socket]] = {}
    for row in listeners:
        if row.proto == "tcp":
            by_port.setdefault(row.local[1], []).append(row)
    seen: dict[str, bool] = {}
    every: Counter[object] = Counter()
    local: Counter[object] = Counter()
    by_loopback: Counter[object] = Counter()
    for row in rows:
        if row.proto != "tcp" or row.remote is None or row.local[1] not in by_port:
            continue
        place = _find_place(row, by_port[row.local[1]])
        if place is None:
            continue
        address = row.remote[0]
        if address not in seen:
            is_own = address == row.local[0] or (address in own if own is not None else system.has_address(address))
            seen[address] = is_own or is_loopback(address)
        every[place] += 1
        local[place] += seen[address]
        by_loopback[place] += is_loopback(row.local[0])
    return {place: Peers(count, local[place], by_loopback[place]) for place, count in every.items()}


def _find_place(row: Socket, listeners: Sequence[Socket]) -> object | None:
    """Find where the listener is bound that has accepted a connection: the nearest, as the kernel chooses."""
    fits = [
        (fit, other.family != row.family, other)
        for other in listeners
        if (fit := rank(other.local[0], row.local[0])) is not None
    ]
    fits = [found for found in fits if not (found[0] == DUAL_STACK and found[2].v6only)]
    return place_of(min(fits, key=lambda found: found[:2])[2]) if fits else None
