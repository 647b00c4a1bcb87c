"""The table of sockets, with the columns that were chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lodiag.model import column
from lodiag.render.cells import Table
from lodiag.render.columns import TEXT, USUAL, write_column

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lodiag.model import Report
    from lodiag.model.conns import ConnRecord

NOTHING = "sockets"


def lay_out(report: Report[ConnRecord, Any], chosen: Sequence[str]) -> list[Table]:
    """Tell of each socket; without a choice, of owners only where they were asked for."""
    records = report.records
    columns = list(chosen or USUAL)
    owned = column(records, "owners")
    if "cmdline" not in columns and any(owner.cmdline is not None for found in owned for owner in found or ()):
        columns.append("cmdline")
    was_asked = owned.count(None) < len(owned) or any(item.what == "owners" for item in report.missing)
    if not was_asked and not chosen:
        columns = [name for name in columns if name not in {"user", "process"}]
    rows = [*zip(*(write_column(records, name) for name in columns), strict=True)]
    return [Table(columns, rows, frozenset(columns) - TEXT)]
