"""The table of what was looked at, and of what was repaired."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lodiag.render.cells import Table
from lodiag.render.escaping import text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lodiag.model import Report
    from lodiag.model.doctor import DiagnosisGroup, DiagnosisRecord, DoctorSummary

NOTHING = "diagnoses"


def headline(report: Report[Any, DoctorSummary]) -> str:
    """Give the verdict."""
    return text(report.summary.verdict)


def name_status(item: DiagnosisRecord | DiagnosisGroup) -> str:
    """Name how bad it is; or that what it found is a symptom of what another found."""
    return item.severity or ("symptom" if item.status == "finding" else item.status)


def lay_out(report: Report[DiagnosisRecord, DoctorSummary], columns: Sequence[str]) -> list[Table]:
    """Tell of each family of diagnoses, or of each diagnosis; then what was done."""
    if columns:
        headers = ["group", "diagnosis", "status", "measured"]
        rows = [[r.group, r.diagnosis, name_status(r), text(r.why or r.measured)] for r in report.records]
    else:
        headers = ["group", "status", "measured"]
        rows = [[g.group, name_status(g), text(g.told)] for g in report.summary.groups]
    tables = [Table(headers, rows, frozenset())]
    if report.summary.repairs:
        done = [
            [r.code, text(r.command), text(r.failure) if r.failure else "done", text("; ".join(r.undo) or None)]
            for r in report.summary.repairs
        ]
        tables.append(Table(["repair of", "command", "status", "undo"], done, frozenset()))
    return tables
