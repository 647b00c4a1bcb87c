"""Statistics of round-trip times: known series, and properties of any."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lodiag.clock import to_ms
from lodiag.rtt import Jitter, describe_rtts, percentile

RTTS = st.lists(st.integers(0, 10**12), min_size=1, max_size=200)


def test_nothing_measured_is_null_and_not_zero() -> None:
    found = describe_rtts([])
    assert (found.min_ms, found.avg_ms, found.max_ms, found.stddev_ms) == (None, None, None, None)
    assert (found.p50_ms, found.p95_ms, found.p99_ms) == (None, None, None)


def test_equal_values_do_not_deviate() -> None:
    found = describe_rtts([1000] * 10)
    assert (found.avg_ms, found.stddev_ms) == (0.001, 0.0)


def test_known_series() -> None:
    """The population standard deviation: that of a sample would be 31 204.6 ns."""
    found = describe_rtts([10, 1000, 1000, 10000, 1000, 800, 1000, 40, 100000, 1000])
    assert (found.min_ms, found.max_ms) == (0.00001, 0.1)
    assert found.avg_ms == to_ms(11585)
    assert found.stddev_ms == pytest.approx(0.029603, abs=1e-6)


@pytest.mark.parametrize(
    ("count", "percent", "rank"),
    [(1, 50, 1), (2, 50, 1), (3, 50, 2), (10, 95, 10), (100, 95, 95), (100, 99, 99), (101, 99, 100)],
)
def test_percentiles_are_by_nearest_rank(count: int, percent: int, rank: int) -> None:
    assert percentile(range(1, count + 1), percent) == rank


@given(RTTS)
def test_statistics_agree_with_the_standard_library(rtts: list[int]) -> None:
    found = describe_rtts(rtts)
    assert found.avg_ms == pytest.approx(statistics.fmean(rtts) / 1e6, rel=1e-9, abs=1e-6)
    assert found.stddev_ms == pytest.approx(statistics.pstdev(rtts) / 1e6, rel=1e-6, abs=1e-6)


@given(RTTS)
def test_order_holds(rtts: list[int]) -> None:
    found = describe_rtts(rtts)
    values = (found.min_ms, found.p50_ms, found.p95_ms, found.p99_ms, found.max_ms)
    numbers = [value for value in values if value is not None]
    assert numbers == sorted(numbers)
    assert len(numbers) == len(values)


@pytest.mark.parametrize(
    ("series", "expected_ms"),
    [
        ([], None),
        ([(1, 20_000)], None),
        ([(1, 20_000), (2, 24_000), (3, 19_000), (4, 120_000), (5, 22_000), (6, 21_000)], 0.0418),
        ([(1, 10_000), (3, 90_000)], None),
        ([(1, 10_000), (3, 90_000), (4, 80_000)], 0.01),
    ],
    ids=["none", "one", "known", "broken-by-a-loss", "only-unbroken-pairs"],
)
def test_jitter(series: list[tuple[int, int]], expected_ms: float | None) -> None:
    jitter = Jitter()
    for seq, rtt_ns in series:
        jitter.add(seq, rtt_ns)
    assert jitter.value_ms == (None if expected_ms is None else pytest.approx(expected_ms))
