"""A table of sockets that follows them, as a thing that rich draws; each text is a cell and never markup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Group
from rich.table import Table
from rich.text import Text

from lodiag.render.columns import TEXT, write_column
from lodiag.render.escaping import printable
from lodiag.render.flows import size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from lodiag.sockets.board import Row

USUAL = ("proto", "state", "local", "remote", "process")
"""Columns of a live table: the user is left out, so that rates fit 80 columns."""

STYLES = {"+": "bold green", "-": "bold red", "~": "bold magenta", "": ""}
"""Colour of each mark, which itself tells the same without colours.

The row keeps the terminal's own colour: no other can be read on a dark background and on a light one.
"""

SHORT = {"established": "estab"}
"""A state that was, in the word of ss(8): both have to fit beside the ends."""

RATES = ("in/s", "out/s")
RATE_WIDTH = len("1023 KiB")
"""No rate is wider: columns keep their places from one reading to the next."""

FLEXIBLE = {"user", "process", "cmdline", "unit", "cgroup"}
"""Columns that are cut short where there is no room for all: no port and no state is."""

LEAST_WIDTH = 5
"""Characters that are left of them."""


def draw(  # noqa: PLR0913, PLR0917 - what a screen is made of
    title: str, notes: Sequence[str], rows: Sequence[Row], hidden: int, columns: Sequence[str], width: int
) -> RenderableType:
    """Draw one reading: what is watched, the rows, how many more there are, what could not be seen.

    What is wider than the terminal is cut at its edge.
    """
    headers = ["", *columns, *RATES]
    records = [row.record for row in rows]
    written = [_write(rows, name, write_column(records, name)) for name in columns]
    cells = [
        [row.mark, *texts, *(size(None if rate is None else round(rate)) for rate in (row.in_rate, row.out_rate))]
        for row, *texts in zip(rows, *written, strict=True)
    ]
    least = 0
    for name, column in zip(headers, zip(headers, *cells, strict=True), strict=True):
        length = max(RATE_WIDTH if name in RATES else 1, *map(cell_len, column))
        least += 1 + (min(LEAST_WIDTH, length) if name in FLEXIBLE else length)
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    table.width = least if least > width else None
    for name in headers:
        is_rate = name in RATES
        table.add_column(
            name,
            no_wrap=name not in FLEXIBLE,
            justify="right" if is_rate or (name and name not in TEXT) else "left",
            min_width=RATE_WIDTH if is_rate else 1,  # of marks, too, if there is none
        )
    for row, line in zip(rows, cells, strict=True):
        mark, *texts = map(make_line, line)
        mark.stylize(STYLES[row.mark])
        table.add_row(mark, *texts)
    more = [f"... {hidden} more"] if hidden else []
    return Group(make_line(title), table, *map(make_line, [*more, *notes]))


def _write(rows: Sequence[Row], column: str, cells: Sequence[str]) -> Sequence[str]:
    if column != "state":
        return cells
    return [
        cell if row.was is None else f"{SHORT.get(row.was, row.was)}->{cell}"
        for row, cell in zip(rows, cells, strict=True)
    ]


def make_line(text: str) -> Text:
    """Keep a text on one line: it is cut where the terminal ends."""
    return Text(printable(text), no_wrap=True, overflow="ellipsis")
