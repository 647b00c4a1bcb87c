"""Whether a test became slower: what the slices of two results allow to be said, and no more."""

from __future__ import annotations

import random
import statistics
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

RESAMPLES = 1000
CONFIDENCE = 0.95
BOUND = 1.15
"""What is called a change is one of more than 15 %, with this confidence, and found twice.

Two results of an unchanged machine differ by more than 10 % in a quarter of all tests. Where others used 1.3 of 2
cores, 5 of 225 comparisons of unchanged runs were called slower with a bound of 5 or of 10 %, and none with this one,
by which 216 of 222 tests that were 1.5 times as slow were found (tests/benchmarks/bench_baseline.py, 41 runs).
"""
SEED = 20_240_229
"""The same slices give the same status."""


class Change(NamedTuple):
    """Speed now of that before, and the bounds that the slices allow."""

    ratio: float
    low: float
    high: float

    @property
    def status(self) -> str:
        """Name what these slices alone would come to."""
        if self.high < 1 / BOUND:
            return "slower"
        return "faster" if self.low > BOUND else "no-change"

    @property
    def could_miss(self) -> float:
        """A slowdown of less than this factor may lie within what the slices differ by anyway.

        One that is as large as this has its interval, which is as wide as this one, beyond the bound.
        """
        return max(BOUND * self.high / self.low, 1 / self.low)


def compare(before: Sequence[Sequence[float]], now: Sequence[float]) -> Change | None:
    """Compare speeds: ``before`` are the slices of each run of the baseline; ``None`` where nothing can be said.

    A percentile bootstrap of the ratio of medians. Of the baseline, runs are drawn first and slices of them then, as
    slices of one run are more alike than those of two.
    """
    runs = [run for run in before if run]
    if not runs or len(now) < 2 or min(min(run) for run in runs) <= 0 or min(now) <= 0:  # noqa: PLR2004 - one has no spread
        return None
    source = random.Random(SEED)  # noqa: S311 - nothing secret
    ratios = []
    for _ in range(RESAMPLES):
        drawn = [source.choice(run) for run in source.choices(runs, k=len(runs)) for _ in run]
        ratios.append(statistics.median(source.choices(now, k=len(now))) / statistics.median(drawn))
    ratios.sort()
    edge = round(RESAMPLES * (1 - CONFIDENCE) / 2)
    whole = [value for run in runs for value in run]
    return Change(statistics.median(now) / statistics.median(whole), ratios[edge], ratios[-1 - edge])
