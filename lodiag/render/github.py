"""Annotations of GitHub Actions, and then the report for a person, which the log shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lodiag.render.cases import Case, list_cases
from lodiag.render.escaping import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lodiag.model import Report

MOST = 10
"""Errors, and warnings, that one step may show: GitHub drops what comes after."""
_LONGEST = 1000
_ESCAPES = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_ESCAPES_OF_A_PROPERTY = {**_ESCAPES, ":": "%3A", ",": "%2C"}
"""The toolkit's own escapes (actions/toolkit, packages/core/src/command.ts)."""


def render(report: Report[Any, Any]) -> str:
    """Write at most ten errors and ten warnings, the last of which counts the others, and the table."""
    from lodiag.render import table

    cases = list_cases(report)
    errors = [case for case in cases if case.status in {"fail", "error"}]
    warnings = [case for case in cases if case.status == "warn"]
    lines = [*_annotate("error", errors), *_annotate("warning", warnings)]
    return "".join(f"{line}\n" for line in lines) + _hide(table.render(report))


def _annotate(level: str, cases: Sequence[Case]) -> Iterator[str]:
    shown = cases if len(cases) <= MOST else cases[: MOST - 1]
    for case in shown:
        title = _escape(f"lodiag {case.name}", _ESCAPES_OF_A_PROPERTY)
        yield f"::{level} title={title}::{_escape(' '.join([case.message, *case.details]), _ESCAPES)}"
    if len(cases) > len(shown):
        yield f"::{level} title=lodiag::and {len(cases) - len(shown)} more, told in the log"


def _escape(text: str, escapes: dict[str, str]) -> str:
    return "".join(escapes.get(character, character) for character in printable(text)[:_LONGEST])


def _hide(text: str) -> str:
    """Keep a line of the table from being taken for a command: those begin with two colons, after blanks or not."""
    return "\n".join(f". {line}" if line.lstrip().startswith(("::", "##[")) else line for line in text.split("\n"))
