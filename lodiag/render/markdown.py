"""Tables and findings in Markdown, as GitHub shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lodiag.render.escaping import printable
from lodiag.render.layout import headline, lay_out, note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lodiag.model import Finding, Missing, Report
    from lodiag.render.cells import Table

_SPECIAL = str.maketrans({c: f"\\{c}" for c in "\\`*_[]<>|#~"})


def render(report: Report[Any, Any], columns: Sequence[str] = ()) -> str:
    """Write the tables, then the findings as a list."""
    parts = [f"## lodiag {report.command}"]
    head = headline(report)
    parts += [_escape(line) for line in (head or "").splitlines()]
    parts += [_draw(table) for table in lay_out(report, columns)] or ["Nothing to show."]
    if report.findings:
        parts.append("\n".join(describe_finding(finding) for finding in report.findings))
    if report.missing:
        parts.append("\n".join(map(describe_missing, report.missing)))
    return "\n\n".join(parts) + "\n"


def _draw(table: Table) -> str:
    from tabulate import tabulate

    rows = [[_escape(cell) for cell in row] for row in table.rows]
    alignment = ["right" if header in table.right else "left" for header in table.headers]
    return tabulate(rows, table.headers, tablefmt="pipe", disable_numparse=True, colalign=alignment)


def describe_finding(finding: Finding) -> str:
    """Write a finding as an item of a list."""
    line = f"- **{finding.severity}** `{finding.code}`: {_escape(finding.message)}"
    if finding.hint:
        line += f"  \n  {_escape(finding.hint)}"
    for command in finding.fix.commands if finding.fix else ():
        line += f"  \n  Fix: `{printable(command)}`"
    return line


def describe_missing(item: Missing) -> str:
    """Write what could not be seen as an item of a list."""
    return f"- note: {_escape(note(item))}"


def _escape(text: str) -> str:
    return printable(text).translate(_SPECIAL)
