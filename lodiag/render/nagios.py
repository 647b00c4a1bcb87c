"""One line as monitoring plugins print it (monitoring-plugins.org/doc/guidelines.html), and details below it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lodiag.render.cases import Case, list_cases
from lodiag.render.escaping import printable

if TYPE_CHECKING:
    from lodiag.model import Report

STATES = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
"""By what the plugin's exit status says."""
_MOST_LINES = 20
_MOST_SERIES = 50
_LONGEST = 200


def render(report: Report[Any, Any]) -> str:
    """Write the state, what is wrong, and performance data behind a bar; a ``|`` in any text would end it early."""
    cases = list_cases(report)
    bad = [case for case in cases if case.status in {"fail", "error"}] or [c for c in cases if c.status == "warn"]
    verdict = getattr(report.summary, "verdict", None) or (bad[0].message if bad else f"{len(cases)} well")
    series = [_measure(case) for case in cases if case.seconds is not None][:_MOST_SERIES]
    series.append(f"'run'={report.duration_ms / 1000:.6f}s;;;0")
    state = STATES[report.nagios_status]
    lines = [f"LODIAG {report.command.upper()} {state} - {_clean(verdict)} | {' '.join(series)}"]
    lines += [f"{case.status}: {_clean(case.name)}: {_clean(case.message)}" for case in bad[:_MOST_LINES]]
    return "\n".join(lines) + "\n"


def _measure(case: Case) -> str:
    label = _clean(case.name).replace("=", "_").replace("'", "")
    return f"'{label}'={case.seconds:.6f}s;;;0"


def _clean(text: str) -> str:
    shown = printable(text).replace("|", "/")
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."
