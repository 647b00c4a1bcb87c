"""Round trips drawn as bars, a row for each bucket; text that any terminal shows, and a log or a file as well."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from lodiag.render.escaping import text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lodiag.model.ping import PingRecord

WIDTH = 80
US_PER_MS = 1_000
BLOCKS = " ▏▎▍▌▋▊▉█"
"""Eighths of a block."""


def can_draw_blocks(encoding: str | None) -> bool:
    """Whether text in this encoding can hold them."""
    try:
        BLOCKS.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def render_histograms(records: Sequence[PingRecord], *, with_blocks: bool, width: int = WIDTH) -> str:
    """Draw those of all records that have round trips."""
    drawn = ["\n".join(_draw(record, with_blocks=with_blocks, width=width)) for record in records if record.histogram]
    return "\n\n".join(drawn) + "\n" if drawn else ""


def _draw(record: PingRecord, *, with_blocks: bool, width: int) -> Iterator[str]:
    name = record.address if record.target == record.address else f"{text(record.target)} ({record.address})"
    yield f"round trips to {name} in µs, by the {record.clock} clock".replace("µ", "µ" if with_blocks else "u")
    buckets = record.histogram
    edges = [(microseconds(bucket.from_ms), microseconds(bucket.below_ms)) for bucket in buckets]
    widths = [max(len(edge[at]) for edge in edges) for at in (0, 1)]
    digits = max(len(str(bucket.count)) for bucket in buckets)
    most = max(bucket.count for bucket in buckets)
    room = width - len(f"  {'':{widths[0]}} - {'':{widths[1]}}  {'':{digits}}  ")
    gaps = [False, *(one.below_ms < other.from_ms for one, other in pairwise(buckets))]
    for bucket, (low, high), is_gap in zip(buckets, edges, gaps, strict=True):
        if is_gap:
            yield "  " + "...".rjust(widths[0])
        bar = draw_bar(bucket.count / most, room, with_blocks=with_blocks)
        yield f"  {low:>{widths[0]}} - {high:>{widths[1]}}  {bucket.count:>{digits}}  {bar}".rstrip()


def draw_bar(share: float, room: int, *, with_blocks: bool) -> str:
    """Draw a bar of this share of the room; what is not nothing is never drawn as nothing."""
    if not with_blocks:
        return "#" * max(round(share * room), 1)
    eighths = max(round(share * room * 8), 1)
    return BLOCKS[-1] * (eighths // 8) + BLOCKS[eighths % 8].strip()


def microseconds(value_ms: float) -> str:
    """Write a time in microseconds, to three digits or to the microsecond."""
    value = value_ms * US_PER_MS
    digits = 2 if value < 10 else 1 if value < 100 else 0  # noqa: PLR2004 - where a digit is gained
    return f"{value:.{digits}f}"
