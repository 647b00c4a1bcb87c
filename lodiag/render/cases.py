"""A judging report as test cases: what junit, tap, nagios and github have in common.

A record that has a ``status`` is a case, and so is each finding that is not about such a record; a
report without any is one case, that of the command itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from lodiag.dataclass import fields

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lodiag.model import Finding, Report

STATUSES = {
    "ok": "ok",
    "warn": "warn",
    "skipped": "skipped",
    "error": "error",
    "interrupted": "error",
    "fail": "fail",
    "timeout": "fail",
}
"""What a status of a record is to a test runner; one that has findings says no more than they do."""
SEVERITIES = {"fail": "fail", "warn": "warn", "info": "ok", "ok": "ok"}


class Case(NamedTuple):
    """One case: ``status`` is ok, warn, fail, error or skipped; ``kind`` says what sort of case or failure it is."""

    name: str
    group: str
    kind: str
    status: str
    message: str
    details: tuple[str, ...]
    seconds: float | None


def list_cases(report: Report[Any, Any]) -> list[Case]:
    """Cases of a report, in the order of its records; findings about none of them come after those."""
    group = f"lodiag.{report.command}"
    by_subject: dict[str, Finding] = {finding.subject: finding for finding in reversed(report.findings)}
    cases, told = [], set()
    for record in report.records:
        word = getattr(record, "status", None)
        status = STATUSES.get(str(word))
        if status is None:
            continue
        name = getattr(record, "id", None) or " ".join(_labels(record))
        finding = by_subject.get(name) if hasattr(record, "id") else None
        told |= {finding.subject} if finding else set()
        cases.append(_from_record(record, str(name), group, status, finding))
    cases += [_from_finding(finding, group) for finding in report.findings if finding.subject not in told]
    return cases or [Case(report.command, group, "report", "ok", "nothing was found", (), report.duration_ms / 1000)]


def _labels(record: Any) -> Iterator[str]:  # noqa: ANN401 - of any command
    for item in fields(record):
        value = getattr(record, item.name)
        if item.metadata["role"] == "label" and value is not None:
            yield str(value)


def _from_record(record: Any, name: str, group: str, status: str, finding: Finding | None) -> Case:  # noqa: ANN401
    elapsed_ms = getattr(record, "elapsed_ms", None)
    said = [getattr(record, key, None) for key in ("message", "why", "measured")]
    return Case(
        name=name,
        group=f"{group}.{record.kind}" if hasattr(record, "kind") else group,
        kind=finding.code if finding else str(getattr(record, "kind", "record")),
        status=status,
        message=next((text for text in said if text), status),
        details=tuple(_detail(finding)) if finding else (),
        seconds=None if elapsed_ms is None else elapsed_ms / 1000,
    )


def _from_finding(finding: Finding, group: str) -> Case:
    return Case(
        name=f"{finding.code} {finding.subject}",
        group=group,
        kind=finding.code,
        status=SEVERITIES[finding.severity],
        message=finding.message,
        details=tuple(_detail(finding)),
        seconds=None,
    )


def _detail(finding: Finding) -> Iterator[str]:
    for item in finding.evidence:
        yield f"{item.name}: {'-' if item.value is None else item.value} ({item.source})"
    if finding.hint:
        yield finding.hint
    if finding.fix:
        yield from (f"fix: {command}" for command in finding.fix.commands)
