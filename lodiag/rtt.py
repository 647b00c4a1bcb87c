"""Statistics of round-trip times, each by one named definition.

Times go in as whole nanoseconds and come out as milliseconds. With no time measured each is ``None``.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, TypeVar

from lodiag.clock import to_ms
from lodiag.dataclass import dataclass
from lodiag.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lodiag.model.ping import RttBucket

NumberT = TypeVar("NumberT", int, float)


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
    p999_ms: float | None = None


def percentile(ordered: Sequence[NumberT], percent: int) -> NumberT:
    """Nearest rank: the smallest value that at least ``percent`` % of all values do not exceed.

    Its index is ceil(percent / 100 * n) - 1, so it is always a value that was measured.
    """
    return ordered[-(-percent * len(ordered) // 100) - 1]


def describe_rtts(rtts_ns: Histogram | Sequence[int]) -> RttStatistics:
    """Describe the round-trip times of the received probes.

    ``stddev_ms`` is the population standard deviation (divided by n), which ping(8) prints as mdev.
    It is computed in whole numbers, so it does not lose digits to cancellation.
    """
    rtts = rtts_ns if isinstance(rtts_ns, Histogram) else Histogram(rtts_ns)
    count = len(rtts)
    if not count:
        return RttStatistics()
    total = rtts.total_ns
    least, p50, p95, p99, p999, most = rtts.percentiles_ns((0, 500, 950, 990, 999, 1000))
    return RttStatistics(
        min_ms=to_ms(least),
        avg_ms=to_ms(total / count),
        max_ms=to_ms(most),
        stddev_ms=to_ms(sqrt(count * rtts.squares - total * total) / count),
        p50_ms=to_ms(p50),
        p95_ms=to_ms(p95),
        p99_ms=to_ms(p99),
        p999_ms=to_ms(p999),
    )


STEP_BITS = 3
"""Binary digits of a time that its bucket keeps: the first is 1, so that there are four to each power of two."""


def describe_buckets(rtts: Histogram) -> tuple[RttBucket, ...]:
    """Count the round-trip times in buckets that are few enough to be drawn, and grow as the times do."""
    from lodiag.model.ping import RttBucket

    counts: dict[tuple[int, int], int] = {}
    for bucket in rtts.buckets():  # of which none is in two of these
        shift = max(bucket.low_ns.bit_length() - STEP_BITS, 0)
        at = (shift, bucket.low_ns >> shift)
        counts[at] = counts.get(at, 0) + bucket.counted
    return tuple(
        RttBucket(from_ms=to_ms(step << shift), below_ms=to_ms(step + 1 << shift), count=count)
        for (shift, step), count in sorted(counts.items())
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
