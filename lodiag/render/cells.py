"""Tables as formats draw them, and how numbers are written in their cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class Table(NamedTuple):
    """Headers and rows of text; the columns in ``right`` are numbers, and are aligned so."""

    headers: list[str]
    rows: Sequence[Sequence[str]]
    right: frozenset[str]


def milliseconds(value: float | None) -> str:
    """Write a time to the microsecond."""
    return "-" if value is None else f"{value:.3f}"


def percent(ratio: float | None) -> str:
    """Write a ratio as a percentage, with enough digits that little is not shown as none, nor almost all as all."""
    if ratio is None:
        return "-"
    digits = next(d for d in (4, 7, 12) if ratio == 1 or f"{ratio * 100:.{d}g}" != "100")
    return f"{ratio * 100:.{digits}g} %"
