"""What of a slice's speed is the machine's own, where others use the processors as well."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LATENCIES = frozenset({"rtt_p50_ms"})
"""Measures of which less is faster."""

MOST_TAKEN = 0.15
"""Share of a slice that others may take from ends on several cores before it tells nothing of the stack."""


class Piece(NamedTuple):
    """What a slice measured, and which share of the processor's time others took from its ends, if it was told."""

    value: float
    taken: float | None


def find_taken(spent_ns: Sequence[Sequence[int | None]], cores: tuple[int, int] | None) -> float | None:
    """Share of a slice's time that others took from its ends; ``spent_ns`` is of each how long it lasted, ran, waited.

    Ends that share a core leave none of its time unused, as one of them is always ready: what neither had is others'.
    Of ends on several cores, that which waited longest for its core counts.
    """
    lasted_ns = max((lasted for lasted, _, _ in spent_ns if lasted), default=0)
    if not lasted_ns:
        return None
    if cores is not None and cores[0] == cores[1]:
        return min(max(1 - sum(ran or 0 for _, ran, _ in spent_ns) / lasted_ns, 0.0), 1.0)
    waits = [waited / lasted for lasted, _, waited in spent_ns if waited is not None and lasted]
    return min(max(waits), 1.0) if waits else None


def find_speeds(measure: str, placement: str, pieces: Iterable[Piece]) -> list[float]:
    """Give the speeds that can be compared, so that more is faster.

    On one core a median of round trips is the same whoever else used it now and then, and a rate is one of the time
    that others left. Anywhere else a slice from which much was taken is left out: what it would have been is unknown.
    """
    found = []
    for value, taken in pieces:
        if value <= 0:
            continue
        if placement == "same-core":
            found.append(1 / value if measure in LATENCIES else value / max(1 - (taken or 0), 0.01))
        elif taken is None or taken <= MOST_TAKEN:
            found.append(1 / value if measure in LATENCIES else value)
    return found
