"""The Test Anything Protocol, version 13 (testanything.org/tap-version-13-specification.html)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lodiag.render.cases import Case, list_cases
from lodiag.render.escaping import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lodiag.model import Report


def render(report: Report[Any, Any]) -> Iterator[str]:
    """Write the plan and a line for each check or finding; why one failed follows it in YAML."""
    cases = list_cases(report)
    yield f"TAP version 13\n1..{len(cases)}\n"
    for number, case in enumerate(cases, 1):
        yield from _write(case, number)


def _write(case: Case, number: int) -> Iterator[str]:
    result = "not ok" if case.status in {"fail", "error"} else "ok"
    skip = f" # SKIP {_escape(case.message)}" if case.status == "skipped" else ""
    yield f"{result} {number} - {_escape(case.name)}{skip}\n"
    if case.status in {"fail", "error", "warn"}:
        yield "  ---\n"
        severity = "comment" if case.status == "warn" else case.status
        told = {"message": case.message, "severity": severity, "kind": case.kind}
        for key, value in told.items():
            yield f"  {key}: {_quote(value)}\n"
        if case.details:
            yield "  details: |\n"  # the reader of prove takes no list of quoted texts that hold a colon
            yield from (f"    {printable(line)}\n" for line in case.details)
        yield "  ...\n"


def _escape(text: str) -> str:
    """A ``#`` would begin a directive, and a backslash escapes it."""
    return printable(text).replace("\\", "\\\\").replace("#", "\\#")


def _quote(text: str) -> str:
    """A text of JSON is one of YAML."""
    return json.dumps(text)
