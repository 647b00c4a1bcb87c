"""Judging a run beside a baseline: what looks changed is measured again before it is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.benches.baseline import name_record
from lodiag.benches.comparing import Change, compare
from lodiag.benches.shares import Piece, find_speeds
from lodiag.dataclass import replace
from lodiag.model.bench import BenchComparison

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lodiag.benches.baseline import Baseline
    from lodiag.model.bench import BenchRecord

UNKNOWN = "inconclusive"

LEAST_SLICES = 3
"""Of a result, that others have left alone: from fewer nothing is said."""
MOST_TRIES = 2
"""How often what is suspect, or was disturbed, is measured again."""


def judge(
    records: Sequence[BenchRecord],
    baseline: Baseline,
    again: Callable[[Sequence[BenchRecord]], Sequence[BenchRecord]],
) -> list[BenchRecord]:
    """Give the records with their comparisons; ``again`` measures those that it is given once more."""
    results = {name_record(record): [record] for record in records}
    for _ in range(MOST_TRIES):
        undecided = [record for record in records if _is_undecided(results[name_record(record)], baseline)]
        for record in again(undecided) if undecided else ():
            if (name := name_record(record)) in results:
                results[name].append(record)
    return [replace(record, compared=_describe(results[name_record(record)], baseline)) for record in records]


def _is_undecided(results: Sequence[BenchRecord], baseline: Baseline) -> bool:
    return bool(results[0].slices and _find_before(results[0], baseline)) and _conclude(results, baseline) == UNKNOWN


def _conclude(results: Sequence[BenchRecord], baseline: Baseline) -> str:
    """Say what all results of a test come to: a change only if it was found twice."""
    found = [change.status for result in results if (change := _compare([result], baseline)) is not None]
    if not found:
        whole = _compare(results, baseline)  # each was disturbed, and what was not is enough together
        return UNKNOWN if whole is None or whole.status != "no-change" else "no-change"
    if found[-1] == "no-change":
        return "no-change"
    if len(found) == 1:
        return UNKNOWN
    return found[-1] if found[-2] == found[-1] else "no-change"


def _compare(results: Sequence[BenchRecord], baseline: Baseline) -> Change | None:
    """Compare all slices of these results; ``None`` where too few can be."""
    before = [_find_speeds(results[0], run) for run in _find_before(results[0], baseline)]
    now = [speed for result in results for speed in _find_speeds(result, _list_pieces(result))]
    if min(len(now), sum(map(len, before))) < LEAST_SLICES:
        return None
    return compare(before, now)


def _find_before(record: BenchRecord, baseline: Baseline) -> Sequence[Sequence[Piece]]:
    return baseline.runs.get(name_record(record), ())


def _list_pieces(record: BenchRecord) -> list[Piece]:
    return [Piece(value, taken) for value, taken in zip(record.slices, record.taken_ratios, strict=True)]


def _find_speeds(record: BenchRecord, pieces: Sequence[Piece]) -> list[float]:
    return find_speeds(record.measure, record.placement, pieces)


def _describe(results: Sequence[BenchRecord], baseline: Baseline) -> BenchComparison:
    first = results[0]
    before = _find_before(first, baseline)
    whole = _compare(results, baseline)
    return BenchComparison(
        status=_conclude(results, baseline) if before and first.slices else "not-compared",
        speed_ratio=None if whole is None else whole.ratio,
        speed_low_ratio=None if whole is None else whole.low,
        speed_high_ratio=None if whole is None else whole.high,
        could_miss_ratio=None if whole is None else whole.could_miss,
        compared_slices=sum(len(_find_speeds(result, _list_pieces(result))) for result in results),
        baseline_slices=tuple(piece.value for run in before for piece in run),
        repeated=len(results) - 1,
    )


def parse_limits(texts: Sequence[str]) -> dict[str, float]:
    """Read ``stream<0.9``: of what part of its speed before a test may not fall short."""
    from lodiag.errors import ConfigError
    from lodiag.limits import suggest
    from lodiag.model.bench import TESTS

    found: dict[str, float] = {}
    for text in texts:
        for part in text.split(","):
            name, sign, number = (word.strip() for word in part.partition("<"))
            try:
                limit = float(number) if number.isascii() else 0.0
            except ValueError:
                limit = 0.0
            if sign != "<" or name not in (*TESTS, "all") or not 0 < limit <= 1:
                close = suggest(name, TESTS) if name not in (*TESTS, "all") else ""
                message = f"{part[:40]!r} is no limit of speed{close}"
                raise ConfigError(
                    message, "Write it as stream<0.9: stream, rr, crr, udp or all, and more than 0 up to 1."
                )
            found |= dict.fromkeys(TESTS if name == "all" else (name,), limit)
    return found
