"""How far a ping is, in a line for each address, as ping(8) tells on SIGQUIT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.render.cells import milliseconds, percent
from lodiag.render.escaping import text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lodiag.model.ping import PingRecord

MOST_LINES = 20
"""Addresses that are told of: of more than fit a terminal, nobody reads all."""


def render_interim(records: Sequence[PingRecord]) -> Iterator[str]:
    """Write a line for each address, and one for those that are left out."""
    for record in records[:MOST_LINES]:
        name = record.address if record.target == record.address else f"{text(record.target)} ({record.address})"
        line = f"{name}: {record.received}/{record.sent} received, {percent(record.loss_ratio)} lost"
        times = (record.rtt_min_ms, record.rtt_p50_ms, record.rtt_p99_ms, record.rtt_max_ms)
        if record.received:
            line += f", min/p50/p99/max = {'/'.join(map(milliseconds, times))} ms"
        yield line
    if len(records) > MOST_LINES:
        yield f"... {len(records) - MOST_LINES} more"
