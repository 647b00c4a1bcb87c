"""How the results of ``bench`` are written for a person: a table for each kind of test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lodiag.model.bench import SERVICE_TESTS
from lodiag.render.bars import bar, spark
from lodiag.render.cells import Table
from lodiag.render.escaping import text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lodiag.model import Report
    from lodiag.model.bench import BenchBucket, BenchComparison, BenchRecord, BenchSummary

NOTHING = "tests"
GIGA = 1e9
US_PER_MS = 1000
MOST_BARS = 16
WIDTH = 80
PLACES = {"same-core": "one core", "across-cores": "two cores", "chosen-cores": "chosen", "unpinned": "any core"}


def headline(report: Report[BenchRecord, BenchSummary]) -> str:
    """Say on what it was measured, and how."""
    summary, machine = report.summary, report.summary.machine
    if summary.verdict is not None:
        return text(summary.verdict)
    cores = f"{machine.cores} core{'s' if machine.cores != 1 else ''}"
    congestion = next((record.congestion for record in report.records if record.congestion), None)
    by = f", TCP by {text(congestion)}" if congestion else ""
    slices = f"{summary.rounds} slices of each test in turn" + (f", {summary.runs} times" if summary.runs > 1 else "")
    return f"bench on {text(machine.kernel)}, {text(machine.cpu)}, {cores}{by}; {slices}"


def lay_out(report: Report[BenchRecord, BenchSummary]) -> list[Table]:
    """Make a table of each kind of test; then of what is compared with a baseline."""
    found = []
    for test, columns in _COLUMNS.items():
        records = [record for record in report.records if record.test == test]
        if not records:
            continue
        headers = [test, *columns]
        several = test == "stream" and len({record.congestion for record in records if record.congestion}) > 1
        rows = [
            [path_of(record, with_congestion=several), *(write(record) for write in columns.values())]
            for record in records
        ]
        found.append(Table(headers, rows, frozenset(headers) - _WORDS - {test}))
    compared = [record for record in report.records if record.compared]
    if compared:
        headers = ["beside baseline", "on", "was", "is", "status"]
        rows = [
            [
                f"{r.test} {path_of(r, with_congestion=r.test == 'stream')}",
                PLACES[r.placement],
                _was(r),
                headline_of(r),
                describe(r.compared),
            ]
            for r in compared
        ]
        found.append(Table(headers, rows, frozenset({"was", "is"})))
    return found


def _was(record: BenchRecord) -> str:
    slices = record.compared.baseline_slices if record.compared else ()
    return write_value(record.measure, sorted(slices)[len(slices) // 2] if slices else None)


def headline_of(record: BenchRecord) -> str:
    """Write what the speed of a test is told by."""
    return write_value(record.measure, getattr(record, record.measure))


def write_value(measure: str, value: float | None) -> str:
    """Write a value of a field, with its unit."""
    if value is None:
        return "-"
    if measure == "throughput_bps":
        return f"{giga(value)} Gbit/s"
    return f"{microseconds(value)} us" if measure == "rtt_p50_ms" else f"{thousands(value)}/s"


def path_of(record: BenchRecord, *, with_congestion: bool = False) -> str:
    """Name protocol and address, with the way of the data where it is not the usual one."""
    port = "" if record.port is None else f" port {record.port}"
    if record.test in SERVICE_TESTS and record.port is None:
        port = " stack"
    by = f" {text(record.congestion)}" if with_congestion and record.congestion else ""
    back = " <-" if record.direction == "to-client" else ""
    return f"{record.proto} {record.address or ''}{port}".rstrip() + by + back


def describe(found: BenchComparison | None) -> str:
    """Write a comparison: how many times as slow or as fast, within which bounds, or what could be missed."""
    if found is None or found.speed_ratio is None:
        return "-" if found is None else found.status
    if found.status in {"slower", "faster"}:
        ratios = [found.speed_ratio, found.speed_low_ratio or 0, found.speed_high_ratio or 0]
        if found.status == "slower":
            ratios = [1 / ratio if ratio else 0 for ratio in ratios]
        low, high = sorted(ratios[1:])
        return f"{ratios[0]:.2f}x {found.status} ({low:.2f}-{high:.2f})"
    missed = "" if found.could_miss_ratio is None else f" (could miss < {found.could_miss_ratio:.2f}x)"
    return f"{found.status.replace('-', ' ')}{missed}"


def number(value: float | None, digits: int = 3) -> str:
    """Write a number with so many significant digits, in full."""
    if value is None:
        return "-"
    whole = len(str(int(abs(value)))) if abs(value) >= 1 else 0
    return f"{value:.{max(digits - whole, 0)}f}"


def giga(value: float | None) -> str:
    """Write bits a second in thousands of millions."""
    return "-" if value is None else number(value / GIGA)


def thousands(value: float | None) -> str:
    """Write a rate; a large one in thousands."""
    if value is None:
        return "-"
    return f"{number(value / 1000)} k" if value >= 1000 else number(value)  # noqa: PLR2004


def microseconds(value: float | None) -> str:
    """Write a time."""
    return "-" if value is None else number(value * US_PER_MS)


def _range(record: BenchRecord, write: Callable[[float], str]) -> str:
    return f"{write(min(record.slices))}-{write(max(record.slices))}" if record.slices else "-"


def _cpu(record: BenchRecord) -> str:
    sides = (record.client_cpu_s_per_gb, record.server_cpu_s_per_gb)
    return "-" if None in sides else "+".join(number(side, 2) for side in sides)


def _slices(record: BenchRecord) -> str:
    return text(record.error) if record.error else spark(record.slices)


_PERCENTILES: dict[str, Callable[[BenchRecord], str]] = {
    "p50 us": lambda r: microseconds(r.rtt_p50_ms),
    "p90": lambda r: microseconds(r.rtt_p90_ms),
    "p99": lambda r: microseconds(r.rtt_p99_ms),
    "p99.9": lambda r: microseconds(r.rtt_p999_ms),
    "max": lambda r: microseconds(r.rtt_max_ms),
}
_COLUMNS: dict[str, dict[str, Callable[[BenchRecord], str]]] = {
    "stream": {
        "Gbit/s": lambda r: giga(r.throughput_bps),
        "range": lambda r: _range(r, giga),
        "of unix": lambda r: number(r.unix_ratio),
        "resent": lambda r: text(r.retransmits),
        "cpu s/GB": _cpu,
        "slices": _slices,
    },
    "rr": {
        "on": lambda r: PLACES[r.placement],
        **_PERCENTILES,
        "a second": lambda r: thousands(r.transactions_per_s),
        "slices": _slices,
    },
    "crr": {
        "a second": lambda r: thousands(r.transactions_per_s),
        "range": lambda r: _range(r, thousands),
        "of unix": lambda r: number(r.unix_ratio),
        "p50 us": lambda r: microseconds(r.rtt_p50_ms),
        "p99": lambda r: microseconds(r.rtt_p99_ms),
        "limited by": lambda r: text(r.limited_by),
        "slices": _slices,
    },
    "udp": {
        "a second": lambda r: thousands(r.received_per_s),
        "Gbit/s": lambda r: giga(r.throughput_bps),
        "lost": lambda r: "-" if r.loss_ratio is None else f"{number(r.loss_ratio * 100)} %",
        "reordered": lambda r: text(r.reordered),
        "doubled": lambda r: text(r.duplicates),
        "cpu s/GB": _cpu,
        "slices": _slices,
    },
    "connect": {
        **_PERCENTILES,
        "times": lambda r: text(r.transactions),
        "answered": lambda r: text(r.error or "yes"),
    },
    "request": {
        **_PERCENTILES,
        "times": lambda r: text(r.transactions),
        "answered": lambda r: text(r.error or r.status_line),
    },
}
_WORDS = frozenset({"on", "range", "slices", "limited by", "answered"})


def render_histograms(report: Report[BenchRecord, Any]) -> str:
    """Draw the round trips of each record that has some."""
    parts = []
    for record in report.records:
        if record.histogram:
            title = f"round trips of {record.test} {path_of(record)}, {PLACES[record.placement]}, in us"
            parts.append("\n".join([title, *_draw(record.histogram)]))
    return "\n\n".join(parts) + "\n" if parts else ""


def _draw(buckets: Sequence[BenchBucket]) -> list[str]:
    """Draw a bar for each of few buckets, which are two to a power of two; the last takes in all that is longer."""
    counts: dict[int, int] = {}
    for bucket in buckets:
        index = _octave((bucket.from_ms + bucket.below_ms) / 2 * US_PER_MS)
        counts[index] = counts.get(index, 0) + bucket.count
    first = min(counts)
    rows = {index: counts.get(index, 0) for index in range(first, min(max(counts), first + MOST_BARS - 1) + 1)}
    drawn = [(f"{_edge(index)} - {_edge(index + 1)}", count) for index, count in rows.items()]
    beyond = sum(count for index, count in counts.items() if index not in rows)
    drawn += [("longer", beyond)] if beyond else []
    most = max(count for _, count in drawn)
    digits = len(str(most))
    width = max(len(name) for name, _ in drawn)
    room = WIDTH - len(f"  {'':{width}}  {'':{digits}}  ")
    return [f"  {name:>{width}}  {count:>{digits}}  {bar(count / most, room)}".rstrip() for name, count in drawn]


def _octave(value: float) -> int:
    """Number of a bucket: two to each power of two."""
    from math import floor, log2

    return floor(log2(max(value, 0.001)) * 2)


def _edge(index: int) -> str:
    return number(2 ** (index / 2))
