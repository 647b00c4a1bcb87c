"""Round trips of the recent past as lines of little bars, as a thing that rich draws; no text is markup."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from lodiag.render.cells import milliseconds, percent
from lodiag.render.escaping import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from lodiag.echo.pulse import PulseRow

BARS = {True: "▁▂▃▄▅▆▇█", False: "_.-=+*#@"}
"""With blocks, or in ASCII; lowest first."""

FAILED = "x"
WIDEST_SPREAD = 2.0
"""Highest over lowest bar, at least: what differs by less is drawn as a level line, and not as mountains."""

LEAST_ROOM = 8
"""Columns that are left for the bars on the narrowest terminal."""

TIMES = ("last", "p50", "p99", "max")


def draw(
    title: str, rows: Sequence[PulseRow], hidden: int, size: tuple[int, int], *, with_blocks: bool
) -> RenderableType:
    """Draw the addresses, how many more there are, and as many of their last errors as fit into columns and lines.

    What is wider than the terminal is cut at its edge.
    """
    width, height = size
    headers = ["address", "sent", "lost", *(f"{name} ms" for name in TIMES)]
    cells = [
        [
            row.address if row.target == row.address else f"{row.target} ({row.address})",
            str(row.sent),
            percent(row.failed / row.sent) if row.sent else "-",
            *map(milliseconds, (row.last_ms, row.p50_ms, row.p99_ms, row.max_ms)),
        ]
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(headers, *cells, strict=True)]
    least = sum(widths) + 2 * len(widths)
    room = max(width - least, LEAST_ROOM)
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.width = least + LEAST_ROOM if least + LEAST_ROOM > width else None
    for at, name in enumerate(headers):
        table.add_column(name, no_wrap=True, justify="right" if at else "left", min_width=widths[at])
    table.add_column("recent", no_wrap=True)
    for row, line in zip(rows, cells, strict=True):
        bars = Text(spark(row.recent[-room:], with_blocks=with_blocks), no_wrap=True)
        bars.highlight_words([FAILED], "bold red")
        written = [*map(_line, line)]
        written[headers.index("lost")].stylize("bold red" if row.error else "")
        table.add_row(*written, bars)
    errors = [f"{row.address}: {row.error}" for row in rows if row.error]
    more = [f"... {hidden} more"] if hidden else []
    left = max(height - len(("title", "headers", *rows, *more)), 0)
    return Group(_line(title), table, *map(_line, [*more, *errors[:left]]))


def spark(values: Sequence[float | None], *, with_blocks: bool) -> str:
    """Draw a bar for each time, on a logarithmic scale from the least to the most of them."""
    bars = BARS[with_blocks]
    times = [value for value in values if value]
    if not times:
        return FAILED * len(values)
    low = min(times)
    span = log(max(max(times) / low, WIDEST_SPREAD))
    return "".join(
        FAILED if value is None else bars[round(log(max(value, low) / low) / span * (len(bars) - 1))]
        for value in values
    )


def _line(text: str) -> Text:
    """Keep a text on one line: it is cut where the terminal ends."""
    return Text(printable(text), no_wrap=True, overflow="ellipsis")
