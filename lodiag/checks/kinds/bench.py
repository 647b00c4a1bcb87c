"""How fast the loopback is, between two processes of lodiag's own: that it is not slower than it should be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lodiag.checks.keys import choice, pause, seconds, table, whole
from lodiag.checks.outcome import Outcome
from lodiag.model import FAMILIES
from lodiag.model.bench import TESTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lodiag.model.bench import BenchRecord
    from lodiag.system import System

_RATES = ("throughput_bps", "transactions_per_s")
_TIMES = ("rtt_p50", "rtt_p99")
_LIMITS = table({**dict.fromkeys(_RATES, whole(0, 2**63 - 1)), **dict.fromkeys(_TIMES, seconds)})

TARGET = "test"
KEYS = {"test": choice(*TESTS), "family": choice("any", *FAMILIES), "time": pause, "warn": _LIMITS, "fail": _LIMITS}
TIMEOUT_S = 60.0
"""It takes some seconds by design, and longer on a busy machine."""


def attempt(settings: Mapping[str, Any], left_s: float, system: System) -> Outcome:
    """Measure one test in two slices; without limits, it is enough that it could be measured."""
    from lodiag.bench import bench_loopback

    del left_s
    family = settings.get("family", "any")
    report = bench_loopback(
        settings["test"],
        time_s=settings.get("time"),
        quick=True,
        family=None if family == "any" else family,
        system=system,
    )
    observed = "; ".join(map(_write, report.records))
    limits = settings.get("fail", {})
    wrong = [words for record in report.records for words in _exceed(record, limits)]
    if wrong:
        hint = f"lodiag bench {settings['test']} tells more, and who else uses the processors."
        return Outcome("fail", wrong[0], error="too slow", observed=observed, expected=_describe(limits), hint=hint)
    slow = [words for record in report.records for words in _exceed(record, settings.get("warn", {}))]
    return Outcome(
        "warn" if slow else "ok", slow[0] if slow else observed, observed=observed, expected=_describe(limits) or None
    )


def _name(record: BenchRecord) -> str:
    return f"{record.test} {record.address or record.proto} {record.placement}"


def _write(record: BenchRecord) -> str:
    told = []
    if record.throughput_bps is not None:
        told.append(f"{record.throughput_bps / 1e9:.3g} Gbit/s")
    if record.transactions_per_s is not None:
        told.append(f"{record.transactions_per_s:.0f}/s")
    return f"{_name(record)} {', '.join(told)}"


def _exceed(record: BenchRecord, limits: Mapping[str, float]) -> Iterator[str]:
    """Say which limits a record does not keep; the path that no network stack is in is there to compare with."""
    for name, limit in limits.items() if record.address is not None else ():
        found = getattr(record, name if name in _RATES else f"{name}_ms")
        if found is None:
            continue
        if name in _RATES and found < limit:
            yield f"{_name(record)}: {name} {found:.0f} is below {limit:.0f}"
        elif name in _TIMES and found > limit * 1000:
            yield f"{_name(record)}: {name} {found:.3f} ms is over {limit * 1000:g} ms"


def _describe(limits: Mapping[str, float]) -> str:
    return ", ".join(
        f"{name} at least {limit:.0f}" if name in _RATES else f"{name} at most {limit * 1000:g} ms"
        for name, limit in limits.items()
    )
