"""Judging a run beside a baseline: what looks changed is measured again before it is said."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lodiag.benches.baseline import name_record
from lodiag.benches.comparing import Change, compare
from lodiag.benches.records import LATENCIES
from lodiag.dataclass import replace
from lodiag.model.bench import BenchComparison

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lodiag.benches.baseline import Baseline
    from lodiag.model.bench import BenchInterference, BenchRecord

BUSY_CORES = 0.2
"""What others use of the processors, from which a slowdown is theirs: of a quiet machine it is less than 0.05."""
MOST_TRIES = 2
"""How often a suspect is measured again where somebody interferes."""


class Repeat(NamedTuple):
    """What a suspect measured when it was measured again, and who used the processors meanwhile."""

    records: Sequence[BenchRecord]
    interference: Sequence[BenchInterference]

    @property
    def is_disturbed(self) -> bool:
        """Whether others used so much that what was measured may be their doing."""
        return sum(item.cores_used for item in self.interference) > BUSY_CORES


def speeds(measure: str, slices: Sequence[float]) -> list[float]:
    """Give values so that more is faster."""
    return [1 / value for value in slices if value > 0] if measure in LATENCIES else list(slices)


def judge(
    records: Sequence[BenchRecord], baseline: Baseline, again: Callable[[Sequence[BenchRecord]], Repeat]
) -> list[BenchRecord]:
    """Give the records with their comparisons; ``again`` measures those that it is given once more."""
    changes = {name_record(record): _compare(record, baseline) for record in records}
    first = {name: change.status for name, change in changes.items() if change is not None}
    suspects = {name for name, status in first.items() if status != "no-change"}
    found: dict[tuple[str, ...], BenchComparison] = {}
    for tried in range(1, MOST_TRIES + 1):
        asked = [record for record in records if name_record(record) in suspects]
        if not asked:
            break
        repeat = again(asked)
        repeated = {name_record(record): record for record in repeat.records}
        for record in asked:
            name = name_record(record)
            second = _compare(repeated[name], baseline) if name in repeated else None
            slices = (*record.slices, *(repeated[name].slices if name in repeated else ()))
            whole = _describe(_compare(replace(record, slices=slices), baseline), record, baseline)
            status = _conclude(first[name], second, is_disturbed=repeat.is_disturbed)
            found[name] = replace(whole, status=status, repeated=tried)
        suspects = {name for name in suspects if found[name].status == "inconclusive" and repeat.is_disturbed}
    return [
        replace(
            record, compared=found.get(name_record(record)) or _describe(changes[name_record(record)], record, baseline)
        )
        for record in records
    ]


def _compare(record: BenchRecord, baseline: Baseline) -> Change | None:
    runs = baseline.runs.get(name_record(record), ())
    return compare([speeds(record.measure, run) for run in runs], speeds(record.measure, record.slices))


def _conclude(first: str, second: Change | None, *, is_disturbed: bool) -> str:
    """Say what both measurements come to: a change only if each of them shows it and nobody interfered."""
    if second is None:
        return "inconclusive"
    if second.status != first:
        return "no-change"
    return "inconclusive" if is_disturbed else first


def _describe(change: Change | None, record: BenchRecord, baseline: Baseline) -> BenchComparison:
    runs = baseline.runs.get(name_record(record), ())
    return BenchComparison(
        status="not-compared" if change is None else "no-change",
        speed_ratio=None if change is None else change.ratio,
        speed_low_ratio=None if change is None else change.low,
        speed_high_ratio=None if change is None else change.high,
        could_miss_ratio=None if change is None else change.could_miss,
        baseline_slices=tuple(value for run in runs for value in run),
        repeated=0,
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
