"""The table of sockets, with the columns that were chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lodiag.render.cells import Table
from lodiag.render.columns import TEXT, USUAL, processes_of, write_column

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lodiag.model import Report
    from lodiag.model.conns import ConnRecord, ConnsSummary, Owner

NOTHING = "sockets"


def closing(report: Report[Any, ConnsSummary]) -> str:
    """Count the sockets of each state, those of the commonest first."""
    counts = sorted(report.summary.counts, key=lambda count: -count.sockets)
    told = ", ".join(f"{count.sockets} {count.proto} {count.state}" for count in counts)
    return f"{report.summary.sockets} sockets: {told}"


def lay_out(report: Report[ConnRecord, Any], chosen: Sequence[str]) -> list[Table]:
    """Tell of each socket; without a choice, of owners only where they were asked for."""
    records = report.records
    columns = list(chosen or USUAL)
    owned = processes_of(records)
    if "cmdline" not in columns and any(owner.cmdline is not None for owner in _list_different(owned)):
        columns.append("cmdline")
    was_asked = owned.count(None) < len(owned) or any(item.what == "owners" for item in report.missing)
    if not was_asked and not chosen:
        columns = [name for name in columns if name not in {"user", "process"}]
    rows = [*zip(*(write_column(records, name) for name in columns), strict=True)]
    return [Table(columns, rows, frozenset(columns) - TEXT)]


def _list_different(owned: Sequence[Sequence[Owner] | None]) -> Iterator[Owner]:
    """List owners; what is one object is listed once, as sockets of a process share it."""
    for found in {id(found): found for found in owned}.values():
        yield from found or ()
