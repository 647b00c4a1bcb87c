"""Echo requests to a loopback address, with limits on loss and round trips."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lodiag.checks.causes import find_cause
from lodiag.checks.keys import choice, host, pause, seconds, shorten, table, whole
from lodiag.checks.outcome import Answer, Outcome
from lodiag.echo.options import PING_METHODS, USUAL_COUNT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lodiag.checks.keys import Reading
    from lodiag.model.ping import PingRecord
    from lodiag.system import System

MOST = 10_000
INTERVAL_S = 0.02
"""Seconds between probes: the loopback answers in microseconds, and a check should not take longer than it must."""


def ratio(value: Any, _: Reading) -> float:  # noqa: ANN401 - as TOML has it
    """Read a percentage such as "0%"."""
    digits = value.removesuffix("%").strip() if isinstance(value, str) and value.endswith("%") else ""
    if digits.isascii() and digits.replace(".", "", 1).isdecimal() and float(digits) <= 100:  # noqa: PLR2004 - percent
        return float(digits) / 100
    message = f'must be a percentage, such as "0%", not {shorten(value)}'
    raise ValueError(message)


_TIMES = ("rtt_min", "rtt_avg", "rtt_max", "rtt_p50", "rtt_p95", "rtt_p99", "jitter")
_LIMITS = table({"loss": ratio, **dict.fromkeys(_TIMES, seconds)})
TARGET = "target"
KEYS = {
    "target": host,
    "count": whole(1, MOST),
    "family": choice("any", "both", "ipv4", "ipv6"),
    "method": choice(*PING_METHODS),
    "pause": pause,
    "warn": _LIMITS,
    "fail": _LIMITS,
}


def attempt(settings: Mapping[str, Any], left_s: float, system: System) -> Outcome:
    """Ping each address; by default any loss at all is a failure, for the loopback has no reason to lose anything."""
    from lodiag.ping import ping_address

    target, family = settings["target"], settings.get("family", "any")
    if not target.addresses:
        return Outcome("fail", target.unknown, error="unknown name", is_permanent=True, hint="See /etc/hosts.")
    report = ping_address(
        target.host,
        count=settings.get("count", USUAL_COUNT),
        interval_s=settings.get("pause", INTERVAL_S),
        timeout_s=left_s,
        deadline_s=left_s,
        family=family if family in {"ipv4", "ipv6"} else None,
        method=settings.get("method", "auto"),
        system=system,
    )
    limits = {"loss": 0.0, **settings.get("fail", {})}
    answers = [_answer(record, limits) for record in report.records]
    bad = [answer for answer in answers if answer.error]
    message = "; ".join(map(str, answers))
    expected = _describe(limits)
    if bad and (len(bad) == len(answers) or family == "both"):
        error = bad[0].error
        cause, hint = find_cause(report) if not any(record.received for record in report.records) else ("", None)
        return Outcome("fail", f"{message}{cause}", error=error, hint=hint, answers=answers, expected=expected)
    over = [words for record in report.records for words in _exceed(record, settings.get("warn", {}))]
    if bad or over:
        message = f"{message}: {over[0] if over else 'clients that try the other first will fail'}"
        return Outcome("warn", message, answers=answers, expected=expected)
    return Outcome("ok", message, answers=answers, expected=expected)


def _answer(record: PingRecord, limits: Mapping[str, float]) -> Answer:
    if not record.received:
        return Answer(record.address, None, record.error or "timeout", words=f"did not answer ({record.error})")
    wrong = next(_exceed(record, limits), None)
    words = f"{wrong}" if wrong else f"answered {record.received} of {record.sent}, on average"
    return Answer(record.address, None, wrong, record.rtt_avg_ms, words)


def _exceed(record: PingRecord, limits: Mapping[str, float]) -> Iterator[str]:
    """Say which limits a record exceeds."""
    for name, most in limits.items():
        if name == "loss":
            if record.loss_ratio is not None and record.loss_ratio > most:
                yield f"lost {record.loss_ratio:.2%} of {record.sent}"
            continue
        found = getattr(record, f"{name}_ms")
        if found is not None and found > most * 1000:
            yield f"{name} {found:.3f} ms is over {most * 1000:g} ms"


def _describe(limits: Mapping[str, float]) -> str:
    return ", ".join(
        f"{name} at most {most:.0%}" if name == "loss" else f"{name} at most {most * 1000:g} ms"
        for name, most in limits.items()
    )
