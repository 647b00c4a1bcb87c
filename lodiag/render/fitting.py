"""Tables as wide as a terminal: where one does not fit, words are shortened and cells broken, and no column slips."""

from __future__ import annotations

from itertools import zip_longest
from re import split
from typing import TYPE_CHECKING

from lodiag.render.escaping import display_width

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lodiag.render.cells import Table

GAP = "  "
"""What is between two columns."""

SHORT = {"established": "estab", "unconnected": "unconn"}
"""States in the words of ss(8), for where room is short."""

MOST_LINES = 4
"""Lines of one row: what needs more is not read more easily than what the terminal makes of it."""

LEAST_WIDTH = 8
"""Columns of a cell that is broken within words."""

_WORDS = r"(?<=\S)(?= )"
_BEFORE_PID = r"(?<=\w)(?=\[\d+\])"
_BREAKS = (
    _WORDS,
    f"{_WORDS}|{_BEFORE_PID}",
    rf"{_WORDS}|{_BEFORE_PID}|(?<=[/,_-])(?=\S)",
    rf"{_WORDS}|{_BEFORE_PID}|(?<=[^\d.:[\]\s])(?=\S)|(?<=\S)(?=[^\d.:[\]\s])",
)
"""Where a cell may be broken: between words; else before the pid of a process as well; else within words, and in the
end anywhere but in an address and its port."""


def spell(table: Table, encoding: str | None) -> Table:
    """Escape what an encoding has no characters for, as the stream would when nobody measures any more."""
    if encoding is None or encoding.lower() in {"utf-8", "utf8"}:
        return table
    rows = [
        [cell if cell.isascii() else cell.encode(encoding, "backslashreplace").decode(encoding) for cell in row]
        for row in table.rows
    ]
    return table._replace(rows=rows)


def draw(table: Table, width: int | None = None) -> str:
    """Draw a table; on a terminal of ``width`` columns as wide as that, if it can be."""
    columns = list(zip(table.headers, *table.rows, strict=True))
    different = [[*map(str.strip, set(column))] for column in columns]  # few, of a column of 100 000
    length = len if all(all(map(str.isascii, cells)) for cells in different) else display_width
    widths = [max(map(length, cells)) for cells in different]
    if width is not None and _sum(widths) > width:
        rows, widths = _fit([[*map(str.strip, row)] for row in zip(*columns, strict=True)], table, width, length)
        columns = list(zip(*rows, strict=True))
    padded = [
        _pad(column, width, length, to_right=header in table.right)
        for header, column, width in zip(table.headers, columns, widths, strict=True)
    ]
    return "\n".join(map(str.rstrip, map(GAP.join, zip(*padded, strict=True))))


def _sum(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _pad(column: Sequence[str], width: int, length: Callable[[str], int], *, to_right: bool) -> Iterator[str]:
    """Fill up the cells of a column, each of those that differ once."""
    padded = {}
    for cell in set(column):
        shown = cell.strip()
        blank = " " * (width - length(shown))
        padded[cell] = blank + shown if to_right else shown + blank
    return map(padded.__getitem__, column)


def _fit(
    rows: Sequence[Sequence[str]], table: Table, width: int, length: Callable[[str], int]
) -> tuple[list[Sequence[str]], list[int]]:
    """Make rows that fit: by shorter words if that is enough, or by breaking cells, where that helps."""
    state = table.headers.index("state") if "state" in table.headers else None
    if state is not None:
        rows = [[SHORT.get(cell, cell) if at == state else cell for at, cell in enumerate(row)] for row in rows]
    widths = [max(map(length, column)) for column in zip(*rows, strict=True)]
    if _sum(widths) <= width:
        return list(rows), widths
    columns = list(zip(*rows, strict=True))
    for level, pattern in enumerate(_BREAKS):
        least = [
            _least(column, pattern, length, is_text=header not in table.right)
            for header, column in zip(table.headers, columns, strict=True)
        ]
        if _sum(least) <= width:
            fitted = _narrow(widths, least, width)
            broken = [list(_break(row, fitted, _BREAKS[: level + 1], length)) for row in rows]
            if max(map(len, broken)) <= MOST_LINES:
                rows = [line for lines in broken for line in lines]
                return rows, [max(map(length, column)) for column in zip(*rows, strict=True)]
    return list(rows), widths


def _least(column: Sequence[str], pattern: str, length: Callable[[str], int], *, is_text: bool) -> int:
    """Width below which a column cannot come; of numbers, only the header is broken."""
    broken, whole = (column, ()) if is_text else (column[:1], column[1:])
    parts = (length(part.strip()) for cell in broken for part in split(pattern, cell))
    return max(*map(length, whole), *parts, min(LEAST_WIDTH, max(map(length, broken))))


def _narrow(widths: Sequence[int], least: Sequence[int], width: int) -> list[int]:
    """Take from the widest column that may be narrower, until all fit."""
    found = list(widths)
    while _sum(found) > width:
        at = max((at for at in range(len(found)) if found[at] > least[at]), key=found.__getitem__)
        found[at] -= 1
    return found


def _break(
    row: Sequence[str], widths: Sequence[int], patterns: Sequence[str], length: Callable[[str], int]
) -> Iterator[Sequence[str]]:
    """Write a row as lines, each cell broken where it may be."""
    cells = [list(_wrap(cell, width, patterns, length)) for cell, width in zip(row, widths, strict=True)]
    yield from zip_longest(*cells, fillvalue="")


def _wrap(cell: str, width: int, patterns: Sequence[str], length: Callable[[str], int]) -> Iterator[str]:
    """Break a cell by the first of the patterns that is enough."""
    if length(cell) <= width:
        yield cell
        return
    ways = [split(pattern, cell) for pattern in patterns]
    line = ""
    for part in next((way for way in ways if all(length(part.strip()) <= width for part in way)), ways[-1]):
        if line and length(line + part) > width:
            yield line
            line = part.lstrip()
        else:
            line += part
    yield line
