"""A table of hops that follows them, as a thing that rich draws, in the order of mtr(8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table

from lodiag.render.cells import milliseconds, percent
from lodiag.render.escaping import text
from lodiag.render.layouts.trace import headline, write_status
from lodiag.render.live import make_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from lodiag.model import Finding, Report
    from lodiag.model.trace import HopRecord

TIMES = ("last ms", "avg", "best", "worst", "stddev")
SEVERITY_STYLES = {"fail": "red", "warn": "yellow"}
MOST_FINDINGS = 4
"""Findings that a round is shown with; they are named by their message, and there are seldom more."""


def draw(title: str, report: Report[Any, Any], records: Sequence[HopRecord], height: int) -> RenderableType:
    """Draw one round: the way, the hops, how many more there are, and what the round found.

    What is wider than the terminal is cut at its edge.
    """
    head = headline(report).splitlines()
    findings = report.findings[:MOST_FINDINGS]
    room = max(height - len((title, "headers", "more")) - len(head) - len(findings), 1)
    is_one = len({record.method for record in records}) == 1
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    for name in ("hop", "address", "by", "loss", "sent", *TIMES, "now"):
        table.add_column(name, no_wrap=True, justify="left" if name in {"address", "by", "now"} else "right")
    for record in records[:room]:
        cells = _write(record, str(record.hop) if is_one else f"{record.method} {record.hop}")
        table.add_row(*map(make_line, cells), style="red" if record.loss_ratio else "")
    hidden = len(records) - room
    more = [make_line(f"... {hidden} more")] if hidden > 0 else []
    return Group(make_line(title), *map(make_line, head), table, *more, *map(_tell, findings))


def _write(record: HopRecord, hop: str) -> list[str]:
    times = (record.rtt_last_ms, record.rtt_avg_ms, record.rtt_min_ms, record.rtt_max_ms, record.rtt_stddev_ms)
    return [
        hop,
        text(record.address),
        text(record.interface),
        percent(record.loss_ratio),
        str(record.sent),
        *map(milliseconds, times),
        " ".join(dict.fromkeys(write_status(probe) for probe in record.probes)),
    ]


def _tell(finding: Finding) -> RenderableType:
    line = make_line(f"{finding.severity:<4}  {finding.code}: {finding.message}")
    line.stylize(SEVERITY_STYLES.get(finding.severity, ""))
    return line
