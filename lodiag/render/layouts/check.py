"""The table of checks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lodiag.render.cells import Table
from lodiag.render.escaping import text

if TYPE_CHECKING:
    from lodiag.model import Report
    from lodiag.model.check import CheckRecord, CheckSummary

NOTHING = "checks"


def headline(report: Report[Any, CheckSummary]) -> str:
    """Give the verdict."""
    return text(report.summary.verdict)


def lay_out(report: Report[CheckRecord, Any]) -> list[Table]:
    """Tell how each check ended."""
    rows = [
        [text(r.status), text(r.id), text(r.message), "-" if r.elapsed_ms is None else f"{r.elapsed_ms:.1f}"]
        for r in report.records
    ]
    return [Table(["status", "check", "result", "ms"], rows, frozenset({"ms"}))]
