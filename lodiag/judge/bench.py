"""What is wrong with a loopback that is slow: each with what was measured of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.judge.bench_stack import judge_stack
from lodiag.judge.bench_words import describe, make
from lodiag.judge.silence import Silence, Surroundings, judge_silence, tell_errno
from lodiag.model import Evidence

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lodiag.judge.bench_words import Around
    from lodiag.model import Finding
    from lodiag.model.bench import BenchRecord, BenchSummary

BUSY_CORES = 0.2

SERVICE_ERRORS = {
    "refused": "nothing listens at {name}",
    "timeout": "{name} did not answer in time",
    "reset": "{name} closes connections without the answer that was expected",
}


def judge_bench(summary: BenchSummary, records: Sequence[BenchRecord], around: Around) -> Iterator[Finding]:
    """Judge a run."""
    yield from _judge_failures(records, around)
    yield from _judge_comparisons(records, around)
    yield from _judge_changes(summary, around)
    yield from _judge_interference(summary)
    yield from judge_stack(summary, records, around)


def _judge_failures(records: Sequence[BenchRecord], around: Around) -> Iterator[Finding]:
    """Say why an address could not be measured: a failure, or a warning if the other family could be."""
    surroundings = Surroundings(interfaces=around.interfaces, settings=around.settings)
    works = any(record.error is None and record.family for record in records)
    for record in records:
        if record.port is not None and record.error in SERVICE_ERRORS:
            told = Evidence(name="errno", value=record.errno, source="socket")
            name = f"[{record.address}]:{record.port}" if record.family == "ipv6" else f"{record.address}:{record.port}"
            message = SERVICE_ERRORS[record.error].format(name=name)
            yield make("service-unanswering", "fail", name, message, (told,), f"See: lodiag who {name}")
        elif record.error is not None:
            told = Evidence(name="test", value=f"{record.test} over {record.proto}", source="bench")
            silence = Silence(
                address=record.address or "AF_UNIX",
                family=record.family or "unix",
                error=record.error,
                evidence=(told, *tell_errno(record.errno)),
            )
            yield judge_silence(silence, surroundings, "warn" if works else "fail")


def _judge_comparisons(records: Sequence[BenchRecord], around: Around) -> Iterator[Finding]:
    """Tell what changed beside the baseline, once it was found twice, and what cannot be told."""
    for record in records:
        found = record.compared
        if found is None or found.speed_ratio is None or found.status not in {"slower", "faster"}:
            continue
        low, high = found.speed_low_ratio or 0, found.speed_high_ratio or 0
        evidence = (
            Evidence(name="speed of the baseline's", value=f"{found.speed_ratio:.2f}", source="bench"),
            Evidence(name="95 % of resamples", value=f"{low:.2f} to {high:.2f}", source="bootstrap of the slices"),
            Evidence(name="measured again", value=found.repeated, source="bench"),
        )
        name = describe(record)
        if found.status == "slower":
            times = 1 / found.speed_ratio if found.speed_ratio else 0
            is_failure = fails(record, around.limits)
            message = f"{name} is {times:.2f} times as slow as the baseline"
            yield make("slower-than-baseline", "fail" if is_failure else "warn", name, message, evidence)
        else:
            message = f"{name} is {found.speed_ratio:.2f} times as fast as the baseline"
            yield make("faster-than-baseline", "info", name, message, evidence)
    yield from _judge_unknown(records)


def _judge_unknown(records: Sequence[BenchRecord]) -> Iterator[Finding]:
    """Tell of what tests nothing can be said, in one finding: where others use the processors there are many."""
    unknown = [record for record in records if record.compared and record.compared.status == "inconclusive"]
    if not unknown:
        return
    evidence = tuple(
        Evidence(
            name=describe(record),
            value=f"{record.compared.compared_slices if record.compared else 0} slices undisturbed",
            source="/proc/PID/schedstat",
        )
        for record in unknown
    )
    message = f"{len(unknown)} of {len(records)} tests cannot be judged beside the baseline: others used the processors"
    hint = "Compare again when it is quiet."
    yield make("comparison-inconclusive", "warn", "baseline", message, evidence, hint)


def fails(record: BenchRecord, limits: Mapping[str, float]) -> bool:
    """Whether what became slower is a failure: always, or where there are limits, if it is certainly below its own."""
    if not limits:
        return True
    high = record.compared.speed_high_ratio if record.compared else None
    return high is not None and record.test in limits and high < limits[record.test]


def _judge_changes(summary: BenchSummary, around: Around) -> Iterator[Finding]:
    del summary
    if around.changes:
        names = ", ".join(name for name, _, _ in around.changes)
        evidence = tuple(
            Evidence(name=name, value=f"was {was}, is {now}", source="baseline") for name, was, now in around.changes
        )
        message = f"the machine is not as it was when the baseline was saved: {names}"
        hint = "What became slower or faster may come of it."
        yield make("machine-changed", "info", "machine", message, evidence, hint)


def _judge_interference(summary: BenchSummary) -> Iterator[Finding]:
    """Name who used the processors meanwhile: what was measured is not the machine's own speed then."""
    used = sum(item.cores_used for item in summary.interference)
    if used <= BUSY_CORES:
        return
    first = summary.interference[0]
    evidence = tuple(
        Evidence(
            name=f"{item.process or '?'}[{item.pid}]", value=f"{item.cores_used:.2f} cores", source="/proc/PID/stat"
        )
        for item in summary.interference
    )
    message = f"others used {used:.1f} cores meanwhile, {first.process or '?'}[{first.pid}] most of all"
    hint = "Results are of a machine that is busy: some tests are slower then, and some, on one core, even faster."
    yield make("others-interfere", "info", "processors", message, evidence, hint)
