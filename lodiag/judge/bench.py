"""What is wrong with a loopback that is slow: each with what was measured of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lodiag.judge.silence import Silence, Surroundings, judge_silence, tell_errno
from lodiag.model import Evidence

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lodiag.model import Finding
    from lodiag.model.bench import BenchRecord, BenchSummary
    from lodiag.system.facts import Interface
    from lodiag.system.facts import Setting as Parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What was read of the machine."""

    interfaces: Sequence[Interface] | None
    settings: Mapping[str, Parameter]


def judge_bench(summary: BenchSummary, records: Sequence[BenchRecord], setting: Setting) -> Iterator[Finding]:
    """Judge a run."""
    del summary
    yield from _judge_failures(records, setting)


def _judge_failures(records: Sequence[BenchRecord], setting: Setting) -> Iterator[Finding]:
    """Say why an address could not be measured: a failure, or a warning if the other family could be."""
    around = Surroundings(interfaces=setting.interfaces, settings=setting.settings)
    works = any(record.error is None and record.family for record in records)
    for record in records:
        if record.error is not None:
            told = Evidence(name="test", value=f"{record.test} over {record.proto}", source="bench")
            silence = Silence(
                address=record.address or "AF_UNIX",
                family=record.family or "unix",
                error=record.error,
                evidence=(told, *tell_errno(record.errno)),
            )
            yield judge_silence(silence, around, "warn" if works else "fail")
