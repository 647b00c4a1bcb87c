"""The verdict on checks and a line for each: for a person, and for what keeps the beginning of what is printed.

A container's runtime keeps the first 4096 bytes of what a health check prints, and shows the first line first.
"""

from __future__ import annotations

from lodiag.render.escaping import display_width, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Protocol

    from lodiag.model import Report
    from lodiag.model.check import CheckRecord, CheckSummary

    class Line(Protocol):
        """What is shown of a check."""

        @property
        def id(self) -> str:
            """Its name."""

        @property
        def status(self) -> str:
            """One of ``ORDER``."""

        @property
        def message(self) -> str:
            """What was found."""

        @property
        def hint(self) -> str | None:
            """What to try next."""


MOST_BYTES = 4000
"""Bytes of the text: what a health check prints is kept up to 4096 (Docker Engine API, HealthConfig)."""
_MOST_OF_ONE = 600
"""Characters of one message or hint, so that one check cannot push all others out."""
WIDTH = 80
_LONGEST_ID = 24
ORDER = ("fail", "timeout", "error", "interrupted", "warn", "skipped", "ok")
"""Worst first, as in the model, which takes too long to load for a check that passes."""


def render(verdict: str, records: Sequence[Line], width: int = WIDTH) -> str:
    """Write the verdict, then a line for each check, worst first, as far as there is room."""
    ordered = sorted(records, key=lambda record: ORDER.index(record.status))
    widths = _measure(ordered)
    parts = [printable(verdict), "", *_heading(widths)]
    size = len("\n".join(parts).encode()) + 1
    for at, record in enumerate(ordered):
        lines = list(_write(record, widths, width))
        size += len("\n".join(lines).encode()) + 1
        if size > MOST_BYTES:
            parts.append(f"... and {len(ordered) - at} more, none worse than the last: lodiag check -v shows all")
            break
        parts += lines
    return "\n".join(parts) + "\n"


def render_whole(report: Report[CheckRecord, CheckSummary], width: int = WIDTH) -> str:
    """Write all that is known of each check."""
    widths = _measure(report.records)
    parts = [printable(report.summary.verdict), "", *_heading(widths)]
    for record in report.records:
        parts += _write(record, widths, width)
        for name in ("target", "expected", "observed"):
            value = getattr(record, name)
            if value is not None:
                parts += _wrap(f"{name}: {printable(value)}", " " * (sum(widths) + 4), width)
        for tries in record.history:
            parts += _wrap(f"{tries.count} x {printable(tries.error)}", " " * (sum(widths) + 4), width)
    return "\n".join(parts) + "\n"


def _measure(records: Sequence[Line]) -> tuple[int, int]:
    """Widths of the columns of statuses and names."""
    status = max((len(record.status) for record in records), default=0)
    name = max((display_width(printable(record.id)) for record in records), default=0)
    return max(status, len("status")), max(min(name, _LONGEST_ID), len("check"))


def _heading(widths: tuple[int, int]) -> Iterator[str]:
    yield f"{'status':<{widths[0]}}  {'check':<{widths[1]}}  result"


def _write(record: Line, widths: tuple[int, int], width: int) -> Iterator[str]:
    status, name = f"{record.status:<{widths[0]}}", printable(record.id)
    lead = f"{status}  {name}{' ' * (widths[1] - display_width(name))}"
    indent = " " * (sum(widths) + 4)
    if display_width(name) > widths[1]:
        yield lead
        lead = " " * (sum(widths) + 2)
    for at, line in enumerate(_wrap(_cut(record.message), indent, width)):
        yield line if at else f"{lead}  {line.lstrip()}"
    if record.hint and record.status not in {"ok", "skipped"}:
        yield from _wrap(_cut(record.hint), indent, width)


def _cut(text: str) -> str:
    shown = printable(text)
    return shown if len(shown) <= _MOST_OF_ONE else f"{shown[:_MOST_OF_ONE]}..."


def _wrap(text: str, indent: str, width: int) -> Iterator[str]:
    """Break a text between words; textwrap loads what takes half as long as Python takes to start."""
    line = ""
    for word in text.split():
        if line and len(indent) + display_width(line) + 1 + display_width(word) > width:
            yield indent + line
            line = word
        else:
            line = f"{line} {word}" if line else word
    yield indent + line
