"""Judging checks: each that did not pass is a finding about it, by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.model import Evidence, Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lodiag.model.check import CheckRecord

_JUDGED = {
    "fail": ("check-failed", "fail"),
    "timeout": ("check-timed-out", "fail"),
    "error": ("check-not-run", "fail"),
    "interrupted": ("check-interrupted", "fail"),
    "warn": ("check-warning", "warn"),
    "skipped": ("check-skipped", "info"),
}
"""Code and severity by status."""

CODES = tuple(code for code, _ in _JUDGED.values())


def judge_checks(records: Iterable[CheckRecord]) -> Iterator[Finding]:
    """Judge what became of each."""
    for record in records:
        if record.status in _JUDGED:
            code, severity = _JUDGED[record.status]
            yield Finding(
                code=code,
                severity=severity,
                subject=record.id,
                message=f"{record.id}: {record.message}",
                evidence=tuple(_prove(record)),
                hint=record.hint,
                fix=None,
                see=(),
            )


def _prove(record: CheckRecord) -> Iterator[Evidence]:
    for name, value in (("expected", record.expected), ("observed", record.observed)):
        if value is not None:
            yield Evidence(name=name, value=value, source=f"{record.kind} check")
