"""Losses in a row as ranges, in whatever order they become known."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lodiag.echo.outages import MOST_OPEN, MOST_TOLD, Outages


def collect(seqs: list[int]) -> list[tuple[int, int]]:
    found = Outages()
    for seq in seqs:
        found.add(seq, seq * 10)
    assert found.count == len(found.list())
    assert all((span.from_ns, span.to_ns) == (span.first * 10, span.last * 10) for span in found.list())
    return [(span.first, span.last) for span in found.list()]


@given(st.sets(st.integers(1, 60)).flatmap(lambda seqs: st.permutations(sorted(seqs))))
def test_ranges_are_those_of_the_numbers_in_any_order(seqs: list[int]) -> None:
    wanted = [
        (first, last)
        for first in range(1, 61)
        for last in range(first + 1, 61)
        if set(range(first, last + 1)) <= set(seqs) and not {first - 1, last + 1} & set(seqs)
    ]
    assert collect(seqs) == wanted


def test_of_many_the_first_are_told_and_all_are_counted() -> None:
    found = Outages()
    for seq in range(0, 3 * 5_000, 3):
        found.add(seq, seq)
        found.add(seq + 1, seq + 1)
    assert found.count == 5_000
    assert [span.first for span in found.list()] == list(range(0, 3 * MOST_TOLD, 3))
    assert len(found._by_first) <= MOST_OPEN  # noqa: SLF001 - memory is what this is about
