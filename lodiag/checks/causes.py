"""Why a measurement failed, by its own findings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lodiag.model import Report


def find_cause(report: Report[Any, Any]) -> tuple[str, str]:
    """What the worst finding says, as the end of a sentence, and what to do about it."""
    finding = next((found for found in report.findings if found.severity in {"fail", "warn"}), None)
    if finding is None:
        return "", "lodiag doctor looks for the cause."
    hint = finding.hint or "lodiag doctor tells more."
    if finding.fix and finding.fix.commands:
        hint = f"{hint.rstrip('.')}, or: {'; '.join(finding.fix.commands)}"
    return f": {finding.message}", hint
