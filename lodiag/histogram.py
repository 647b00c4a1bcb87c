"""Counts of durations in bounded memory: exact while they are few, in buckets of less than 1 % error after that.

The buckets are those of HdrHistogram: 128 to each power of two. A million values take no more memory than
``MOST_EXACT`` do, which is 1 MiB.
"""

from __future__ import annotations

from array import array
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MOST_EXACT = 1 << 17
"""Values that are kept one by one, so that every percentile of them is a value that was measured."""

BUCKET_BITS = 7
"""A bucket is at most 1/128 of its values wide; its middle is within 0.4 % of all of them."""


class Bucket(NamedTuple):
    """How many values were counted from ``low_ns`` to ``high_ns``, both of them included."""

    low_ns: int
    high_ns: int
    counted: int


class Histogram:
    """Durations in whole nanoseconds, at least 0. Counts, extremes and sums are exact however many there are."""

    def __init__(self, values_ns: Iterable[int] = ()) -> None:
        """Begin with these."""
        self._recent = array("q", values_ns)
        self._counts: Counter[int] = Counter()
        self._count = self._total = self._squares = 0
        self._least = self._most = 0

    def add(self, value_ns: int) -> None:
        """Count one more."""
        self._recent.append(value_ns)
        if len(self._recent) > MOST_EXACT:
            self._fold()

    def extend(self, values_ns: Iterable[int]) -> None:
        """Count many more."""
        self._recent.extend(values_ns)
        if len(self._recent) > MOST_EXACT:
            self._fold()

    def _fold(self) -> None:
        """Put what is kept one by one into buckets."""
        values = Counter(self._recent)
        least, most = min(values), max(values)
        self._least = min(self._least, least) if self._count else least
        self._most = max(self._most, most)
        self._count += len(self._recent)
        self._total += sum(self._recent)
        self._squares += sum(value * value * count for value, count in values.items())
        for value, count in values.items():
            self._counts[_find_bucket(value)] += count
        self._recent = array("q")

    def __len__(self) -> int:
        """How many there are."""
        return self._count + len(self._recent)

    @property
    def is_exact(self) -> bool:
        """Whether percentiles are values that were measured, and not the middles of buckets."""
        return not self._count

    @property
    def total_ns(self) -> int:
        """Their sum."""
        return self._total + sum(self._recent)

    @property
    def squares(self) -> int:
        """Sum of their squares, in square nanoseconds."""
        return self._squares + sum(value * value for value in self._recent)

    def percentiles_ns(self, tenths: Iterable[int]) -> list[int]:
        """Percentiles, each given in tenths of a percent (999 is p99.9), by nearest rank; at least one value is needed.

        Of what is in buckets each is the middle of the right bucket, but never beyond the least or the most value.
        """
        if not self._count:
            ordered = sorted(self._recent)
            return [ordered[find_rank(len(ordered), wanted) - 1] for wanted in tenths]
        self._fold_rest()
        return [self._find(find_rank(self._count, wanted)) for wanted in tenths]

    def _fold_rest(self) -> None:
        if self._recent:
            self._fold()

    def _find(self, rank: int) -> int:
        passed = 0
        if rank in {1, self._count}:
            return self._least if rank == 1 else self._most
        for index in sorted(self._counts):
            passed += self._counts[index]
            if passed >= rank:
                low, high = _bounds(index)
                return min(max((low + high) // 2, self._least), self._most)
        return self._most

    def buckets(self) -> Iterator[Bucket]:
        """Yield the buckets that have values, in order."""
        counts = self._counts.copy()
        for value, count in Counter(self._recent).items():
            counts[_find_bucket(value)] += count
        for index in sorted(counts):
            yield Bucket(*_bounds(index), counts[index])


def find_rank(count: int, tenths: int) -> int:
    """Nearest rank, from 1: that of the smallest of ``count`` values that at least this share does not exceed."""
    return max(1, -(-tenths * count // 1000))


def _find_bucket(value: int) -> int:
    """Number of a value's bucket: values below 256 have one each, and so every power of two above has 128."""
    shift = max(value.bit_length() - BUCKET_BITS - 1, 0)
    return (shift << BUCKET_BITS) + (value >> shift)


def _bounds(index: int) -> tuple[int, int]:
    """Least and most value of a bucket."""
    shift = max((index >> BUCKET_BITS) - 1, 0)
    low = (index - (shift << BUCKET_BITS)) << shift
    return low, low + (1 << shift) - 1
