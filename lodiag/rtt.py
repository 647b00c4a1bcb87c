"""Statistics of round-trip times, each by one named definition.

Times go in as whole nanoseconds and come out as milliseconds. With no time measured each is ``None``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

NS_PER_MS = 1_000_000
NumberT = TypeVar("NumberT", int, float)


def to_ms(nanoseconds: float) -> float:
    """Milliseconds, exact to the nanosecond."""
    return round(nanoseconds / NS_PER_MS, 6)


@dataclass(frozen=True, slots=True, kw_only=True)
class RttStatistics:
    """Milliseconds, or ``None`` where nothing was measured."""

    min_ms: float | None = None
    avg_ms: float | None = None
    max_ms: float | None = None
    stddev_ms: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None


def percentile(ordered: Sequence[NumberT], percent: int) -> NumberT:
    """Nearest rank: the smallest value that at least ``percent`` % of all values do not exceed.

    Its index is ceil(percent / 100 * n) - 1, so it is always a value that was measured.
    """
    return ordered[-(-percent * len(ordered) // 100) - 1]


def describe_rtts(rtts_ns: Sequence[int]) -> RttStatistics:
    """Describe the round-trip times of the received probes.

    ``stddev_ms`` is the population standard deviation (divided by n), which ping(8) prints as mdev.
    It is computed in whole numbers, so it does not lose digits to cancellation.
    """
    if not rtts_ns:
        return RttStatistics()
    ordered = sorted(rtts_ns)
    count, total = len(ordered), sum(ordered)
    squares = sum(rtt * rtt for rtt in ordered)
    return RttStatistics(
        min_ms=to_ms(ordered[0]),
        avg_ms=to_ms(total / count),
        max_ms=to_ms(ordered[-1]),
        stddev_ms=to_ms(sqrt(count * squares - total * total) / count),
        p50_ms=to_ms(percentile(ordered, 50)),
        p95_ms=to_ms(percentile(ordered, 95)),
        p99_ms=to_ms(percentile(ordered, 99)),
    )


class Jitter:
    """Mean absolute difference between the round trips of consecutive probes.

    A pair that a loss breaks is left out. It is a measure of round trips, not the one-way delay
    variation of RFC 3393, nor the smoothed estimate of RFC 3550 section 6.4.1.
    """

    def __init__(self) -> None:
        """Start with nothing measured."""
        self._previous: tuple[int, int] | None = None
        self._total_ns = 0
        self._pairs = 0

    def add(self, seq: int, rtt_ns: int) -> None:
        """Take in the round trip of probe ``seq``."""
        if self._previous is not None and self._previous[0] == seq - 1:
            self._total_ns += abs(rtt_ns - self._previous[1])
            self._pairs += 1
        self._previous = (seq, rtt_ns)

    @property
    def value_ms(self) -> float | None:
        """The jitter in milliseconds; ``None`` without two consecutive replies."""
        return to_ms(self._total_ns / self._pairs) if self._pairs else None
