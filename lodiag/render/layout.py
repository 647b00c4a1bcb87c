"""What a person sees of a report: shared by the formats that are tables."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lodiag.model import Missing, Report
    from lodiag.render.cells import Table

CHOOSABLE = ("conns", "doctor")
"""Commands whose tables can be had in several ways."""


def lay_out(report: Report[Any, Any], columns: Sequence[str] = ()) -> list[Table]:
    """Tables for the records of a report; none where there is no record. ``columns`` are those of sockets to show."""
    if not report.records:
        return []
    layout = import_module(f"lodiag.render.layouts.{report.command}")
    tables: list[Table] = layout.lay_out(report, columns) if report.command in CHOOSABLE else layout.lay_out(report)
    return tables


def headline(report: Report[Any, Any]) -> str | None:
    """Lines above the tables, where the summary says what they do not."""
    write = getattr(import_module(f"lodiag.render.layouts.{report.command}"), "headline", None)
    return None if write is None else write(report)


def closing(report: Report[Any, Any]) -> str | None:
    """Lines below tables of which the beginning has left the screen: what all rows say together."""
    write = getattr(import_module(f"lodiag.render.layouts.{report.command}"), "closing", None)
    return headline(report) if write is None else write(report)


def tell_nothing(report: Report[Any, Any]) -> str:
    """Say that there is no record."""
    nothing = import_module(f"lodiag.render.layouts.{report.command}").NOTHING
    return f"no {nothing} to show"


def note(item: Missing) -> str:
    """Say what could not be seen."""
    sockets = "socket" if item.count == 1 else "sockets"
    count = "" if item.count is None else f" of {item.count} {sockets}"
    return f"{item.what}{count} cannot be seen: {item.why}"
