"""The results of ``bench`` as a picture: rates with every slice, and round trips by how long they took.

Plain text of SVG 1.1, so that nothing has to be installed for it.
"""

from __future__ import annotations

from math import ceil, floor, log2, log10
from typing import TYPE_CHECKING

from lodiag.render.escaping import text
from lodiag.render.layouts.bench import PLACES, headline, microseconds, path_of, write_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lodiag.model import Report
    from lodiag.model.bench import BenchBucket, BenchRecord, BenchSummary

WIDTH, LEFT, RIGHT, MARGIN = 960, 260, 180, 16
"""In pixels: of all, of the names, of the values beside the bars, and around."""
ROW, STRIP, HEAD = 22, 44, 40
"""Heights: of a bar, of a distribution, and of what is above those of a test."""
SPAN = WIDTH - LEFT - RIGHT
PER_OCTAVE = 6
"""Columns of a distribution for each power of two."""
US_PER_MS = 1000
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1f2328}.h{font-size:15px;font-weight:600}.n{fill:#59636e}"
    ".b{fill:#9ec5fe}.d{fill:#3d8bfd}.s{stroke:#084298;stroke-width:1.5}.g{stroke:#d8dee4}.p{stroke:#d63384}"
)


def render(report: Report[BenchRecord, BenchSummary]) -> str:
    """Draw all tests, one below the other."""
    parts: list[str] = []
    top = MARGIN + 30
    for test in dict.fromkeys(record.test for record in report.records):
        records = [record for record in report.records if record.test == test]
        timed = [record for record in records if record.histogram]
        is_timed = bool(timed) and timed[0].throughput_bps is None and test != "crr"
        rows = _draw_times(test, records, top) if is_timed else _draw_rates(test, records, top)
        parts += rows
        top += HEAD + len(records) * (STRIP if is_timed else ROW) + MARGIN
    title = _escape(headline(report))
    head = (
        '<svg xmlns="http://www.w3.org/2000/svg" role="img" '
        f'width="{WIDTH}" height="{top}" viewBox="0 0 {WIDTH} {top}">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n"
        f'<rect width="{WIDTH}" height="{top}" fill="#fff"/>\n{_write(MARGIN, MARGIN + 14, headline(report), "h")}\n'
    )
    return head + "\n".join(parts) + "\n</svg>\n"


def _draw_rates(test: str, records: Sequence[BenchRecord], top: int) -> Iterator[str]:
    """Draw a bar as long as the median of each, and a line across it for each slice."""
    yield _write(MARGIN, top + 18, f"{test}: median, and each slice", "h")
    most = max((value for record in records for value in record.slices), default=0) or 1
    for number, record in enumerate(records):
        y = top + HEAD + number * ROW
        yield _write(MARGIN, y + 14, _name(record))
        value = getattr(record, record.measure)
        if value is not None:
            yield _fill("b", LEFT, y + 2, value / most * SPAN, ROW - 6)
        for slice_value in record.slices:
            x = LEFT + slice_value / most * SPAN
            yield _line("s", x, y + 2, x, y + ROW - 4)
        told = text(record.error) if record.error else write_value(record.measure, value)
        yield _write(WIDTH - RIGHT + 12, y + 14, told, "n")


def _draw_times(test: str, records: Sequence[BenchRecord], top: int) -> Iterator[str]:
    """Draw how many round trips took how long, each as high as its most frequent time, over a logarithmic axis."""
    yield _write(MARGIN, top + 18, f"{test}: how long round trips took, p50 and p99 marked", "h")
    edges = [
        edge for record in records for bucket in record.histogram for edge in (bucket.from_ms, bucket.below_ms) if edge
    ]
    first, last = floor(log10(min(edges) * US_PER_MS)), ceil(log10(max(edges) * US_PER_MS))
    bottom = top + HEAD + len(records) * STRIP

    def place(value_ms: float) -> float:
        share = (log10(max(value_ms * US_PER_MS, 10.0**first)) - first) / max(last - first, 1)
        return LEFT + min(share, 1.0) * SPAN

    for power in range(first, last + 1):
        x = place(10.0**power / US_PER_MS)
        yield _line("g", x, top + HEAD - 8, x, bottom)
        yield _write(x + 3, top + HEAD - 2, f"{10.0**power:g} us", "n")
    for number, record in enumerate(records):
        y = top + HEAD + (number + 1) * STRIP - 6
        yield _write(MARGIN, y - 6, _name(record))
        columns = _count(record.histogram)
        most = max(columns.values(), default=1)
        for index, count in sorted(columns.items()):
            x, end = (place(2 ** (edge / PER_OCTAVE) / US_PER_MS) for edge in (index, index + 1))
            height = max(count / most * (STRIP - 12), 1)
            yield _fill("d", x, y - height, max(end - x, 1), height)
        for mark in (record.rtt_p50_ms, record.rtt_p99_ms):
            if mark is not None:
                yield _line("p", place(mark), y - STRIP + 12, place(mark), y)
        told = f"{microseconds(record.rtt_p50_ms)} us, p99 {microseconds(record.rtt_p99_ms)}"
        yield _write(WIDTH - RIGHT + 12, y - 6, text(record.error) if record.error else told, "n")


def _count(buckets: Iterable[BenchBucket]) -> dict[int, int]:
    """Put buckets into columns that are equally wide on a logarithmic axis."""
    found: dict[int, int] = {}
    for bucket in buckets:
        middle_us = max((bucket.from_ms + bucket.below_ms) / 2 * US_PER_MS, 0.001)
        index = floor(log2(middle_us) * PER_OCTAVE)
        found[index] = found.get(index, 0) + bucket.count
    return found


def _name(record: BenchRecord) -> str:
    return f"{path_of(record, with_congestion=record.test == 'stream')}, {PLACES[record.placement]}"


def _fill(name: str, x: float, y: float, width: float, height: float) -> str:
    return f'<rect class="{name}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'


def _line(name: str, x: float, y: float, to_x: float, to_y: float) -> str:
    return f'<line class="{name}" x1="{x:.1f}" y1="{y:g}" x2="{to_x:.1f}" y2="{to_y:g}"/>'


def _write(x: float, y: float, words: str, name: str = "") -> str:
    kind = f' class="{name}"' if name else ""
    return f'<text{kind} x="{x:g}" y="{y:g}">{_escape(words)}</text>'


def _escape(words: str) -> str:
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
