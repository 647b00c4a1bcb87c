"""Percentiles in bounded memory: exact while the values are few, within the stated error after that."""

from __future__ import annotations

import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lodiag.histogram import MOST_EXACT, Histogram, find_rank
from lodiag.rtt import describe_rtts, percentile

DAY_NS = 86_400 * 10**9
STEPS = (0, 10, 500, 900, 990, 999, 1000)
DURATIONS = st.lists(st.integers(0, DAY_NS), min_size=1, max_size=100)


@given(DURATIONS)
def test_few_are_told_as_measured(values: list[int]) -> None:
    found = Histogram(values).percentiles_ns(STEPS)

    assert found[2] == percentile(sorted(values), 50)
    assert set(found) <= set(values)
    assert (found[0], found[-1]) == (min(values), max(values))


@given(DURATIONS)
def test_each_is_in_its_bucket_and_buckets_do_not_overlap(values: list[int]) -> None:
    buckets = list(Histogram(values).buckets())

    assert [b.counted for b in buckets] == [sum(b.low_ns <= v <= b.high_ns for v in values) for b in buckets]
    assert sum(bucket.counted for bucket in buckets) == len(values)
    assert all(before.high_ns < after.low_ns for before, after in pairwise(buckets))
    assert all(bucket.high_ns - bucket.low_ns <= bucket.low_ns / 128 for bucket in buckets)


@pytest.mark.parametrize("most", [300, 20_000, 10**9, DAY_NS])
def test_many_are_told_within_the_stated_error(most: int) -> None:
    values = [n * n * most // 200_000**2 for n in range(200_001)]
    found = Histogram()
    for value in values[:1000]:
        found.add(value)
    found.extend(values[1000:])

    assert not found.is_exact
    assert len(found) == len(values)
    for step, told in zip(STEPS, found.percentiles_ns(STEPS), strict=True):
        true = values[find_rank(len(values), step) - 1]
        assert abs(told - true) <= true * 0.004
    few = describe_rtts(Histogram(values[:1000]))
    many = describe_rtts(found)
    assert (few.min_ms, few.max_ms) == (0, values[999] / 1e6)
    assert (many.min_ms, many.max_ms) == (0, most / 1e6)
    assert many.avg_ms == pytest.approx(sum(values) / len(values) / 1e6, abs=1e-6)


def test_a_million_take_no_more_than_the_exact_ones() -> None:
    found = Histogram()
    most = 0
    for start in range(0, 1_000_000, 10_000):
        found.extend(range(start, start + 10_000))
        most = max(most, sys.getsizeof(found._recent) + sys.getsizeof(found._counts))  # noqa: SLF001 - what it holds

    assert most < 2 * 8 * (MOST_EXACT + 10_000)
    assert len(found) == 1_000_000
