"""Tables of pings: one of counts and one of times, or a single one for many addresses or sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lodiag.render.cells import Table, milliseconds, percent
from lodiag.render.escaping import text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lodiag.model import Report
    from lodiag.model.ping import PingRecord

NOTHING = "addresses"
MOST_SPREAD = 16
"""Addresses that have a row in each of two tables; more of them are looked for in one."""


def headline(report: Report[PingRecord, Any]) -> str | None:
    """Say how many of many addresses answered, or what was probed with which sizes."""
    found = report.summary
    if report.records and _is_sweep(report.records):
        return _head_sweep(report.records)
    return f"{found.answered} of {found.addresses} addresses answered" if found.addresses > MOST_SPREAD else None


def lay_out(report: Report[PingRecord, Any]) -> list[Table]:
    """Tables for the records of a report."""
    records = report.records
    if _is_sweep(records):
        return [_sweep(records)]
    if len(records) > MOST_SPREAD:
        return [_many(records)]
    in_haste = any(record.interval_s == 0 for record in records)
    doubled = not in_haste or any(record.duplicates for record in records)  # else there is no room for the column
    counts = ["sent", "received", "lost", "loss", *["duplicates"] * doubled, *["per second"] * in_haste]
    times = ["min", "avg", "max", "stddev", "p50", "p95", "p99", "jitter", "user"]
    named = any(record.target != record.address for record in records)
    who = ["target", "address"] if named else ["address"]
    first = [
        [
            *([text(r.target)] if named else []),
            r.address,
            text(r.method),
            str(r.sent),
            str(r.received),
            str(r.lost),
            percent(r.loss_ratio),
            *[str(r.duplicates)] * doubled,
            *([text(None if r.sent_per_s is None else round(r.sent_per_s))] if in_haste else []),
        ]
        for r in records
    ]
    addresses = [record.address for record in records]
    second = [
        [
            r.address if addresses.count(r.address) == 1 else f"{r.address} as {text(r.target)}",
            *map(
                milliseconds,
                (
                    r.rtt_min_ms,
                    r.rtt_avg_ms,
                    r.rtt_max_ms,
                    r.rtt_stddev_ms,
                    r.rtt_p50_ms,
                    r.rtt_p95_ms,
                    r.rtt_p99_ms,
                    r.jitter_ms,
                    r.rtt_user_p50_ms,
                ),
            ),
        ]
        for r in records
    ]
    tables = [Table([*who, "method", *counts], first, frozenset(counts))]
    if any(r.rtt_min_ms is not None for r in records):
        tables.append(Table(["rtt in ms", *times], second, frozenset(times)))
    return tables


def _is_sweep(records: Sequence[PingRecord]) -> bool:
    return any(record.fragments is not None for record in records) or len({r.size_bytes for r in records}) > 1


def _head_sweep(records: Sequence[PingRecord]) -> str:
    """Say what the table of sizes leaves out."""
    names = dict.fromkeys(r.address if r.target == r.address else f"{text(r.target)} ({r.address})" for r in records)
    sizes = [record.size_bytes for record in records]
    how = " and ".join(dict.fromkeys(f"{text(r.method)}, {text(r.clock)} clock" for r in records))
    return f"sweep of {' and '.join(names)} by {how}: {min(sizes)} to {max(sizes)} bytes"


def _sweep(records: Sequence[PingRecord]) -> Table:
    """A row for each size."""
    named = len({(record.target, record.address) for record in records}) > 1
    numbers = ["bytes", "fragments", "sent", "received", "min ms", "p50 ms", "max ms", "user ms"]
    rows = [
        [
            *([r.address] if named else []),
            str(r.size_bytes),
            text(r.fragments),
            str(r.sent),
            str(r.received),
            *map(milliseconds, (r.rtt_min_ms, r.rtt_p50_ms, r.rtt_max_ms, r.rtt_user_p50_ms)),
            text(r.error),
        ]
        for r in records
    ]
    return Table([*(["address"] if named else []), *numbers, "error"], rows, frozenset(numbers))


def _many(records: Sequence[PingRecord]) -> Table:
    """A row for each address; those that lost something, or got nothing, first."""
    records = sorted(records, key=lambda record: record.received == record.sent > 0)
    named = any(record.target != record.address for record in records)
    numbers = ["sent", "received", "loss", "min ms", "avg ms", "max ms", "user ms"]
    rows = [
        [
            *([text(r.target)] if named else []),
            r.address,
            str(r.sent),
            str(r.received),
            percent(r.loss_ratio),
            *map(milliseconds, (r.rtt_min_ms, r.rtt_avg_ms, r.rtt_max_ms, r.rtt_user_p50_ms)),
            text(r.error),
        ]
        for r in records
    ]
    return Table([*(["target"] if named else []), "address", *numbers, "error"], rows, frozenset(numbers))
