"""What a live table of sockets shows of them, and how each is marked; touches nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lodiag.sockets.changes import find_changes, measure_rate
from lodiag.sockets.ordering import by_ends, by_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lodiag.model.conns import ConnRecord
    from lodiag.sockets.changes import Sight
    from lodiag.sockets.watch import Tick

MARKED_READINGS = 3
"""Readings for which a mark stays, so that it can be seen; a socket that is gone is shown as long."""

NEW, CHANGED, GONE = "+", "~", "-"


class Row(NamedTuple):
    """A socket, its mark or none, the state that it had before it changed, and bytes a second in and out."""

    record: ConnRecord
    mark: str
    was: str | None
    in_rate: float | None
    out_rate: float | None


class _Mark(NamedTuple):
    """A mark of a socket, and the number of the last reading for which it stays."""

    sight: Sight
    mark: str
    was: str | None
    until: int


class Board:
    """Follows the readings and makes the rows of each; marks of three readings are kept, and no more."""

    def __init__(self, sort: str) -> None:
        """Show nothing yet."""
        self._sort = by_key(sort)
        self._readings = 0
        self._marks: dict[int, _Mark] = {}

    def update(self, tick: Tick) -> list[Row]:
        """Rows after a reading, in order; what is gone is shown where it was."""
        self._readings += 1
        self._marks = {number: mark for number, mark in self._marks.items() if mark.until > self._readings}
        if tick.elapsed_s is not None:
            self._note(tick)
        numbers = {sight.number for sight in tick.here}
        absent = [mark.sight for number, mark in self._marks.items() if number not in numbers]
        rows = [self._make_row(sight, tick.elapsed_s) for sight in tick.here]
        if absent:
            rows += [self._make_row(sight, None) for sight in absent]
            rows.sort(key=lambda row: by_ends(row.record))
            rows.sort(key=lambda row: self._sort(row.record))
        return rows

    def _note(self, tick: Tick) -> None:
        until = self._readings + MARKED_READINGS
        for sight in (*tick.here, *tick.left):
            if sight.before is None:
                self._marks[sight.number] = _Mark(sight, NEW, None, until)
            elif changed := find_changes(sight.before, sight.record):
                was = str(changed["state"]) if "state" in changed else None
                self._marks[sight.number] = _Mark(sight, CHANGED, was, until)
        for sight in tick.gone:
            self._marks[sight.number] = _Mark(sight, GONE, None, until)

    def _make_row(self, sight: Sight, elapsed_s: float | None) -> Row:
        mark = self._marks.get(sight.number)
        rates = [measure_rate(sight, counter, elapsed_s) for counter in ("bytes_received", "bytes_acked")]
        return Row(sight.record, mark.mark if mark else "", mark.was if mark else None, *rates)


def fit(rows: Sequence[Row], most: int) -> tuple[list[Row], int]:
    """Choose the rows that there is room for, and count the others: what is marked comes first, in its order."""
    if len(rows) <= most:
        return list(rows), 0
    ranked = sorted(range(len(rows)), key=lambda i: not rows[i].mark)
    chosen: Iterable[int] = sorted(ranked[:most])
    return [rows[i] for i in chosen], len(rows) - most
