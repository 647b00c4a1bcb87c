"""A table of hops that follows them, as a thing that rich draws, in the order of mtr(8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table

from lodiag.render.cells import milliseconds, percent
from lodiag.render.escaping import display_width, text
from lodiag.render.layouts.trace import headline, write_status
from lodiag.render.live import make_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from lodiag.model import Finding, Report
    from lodiag.model.trace import HopRecord

TIMES = ("last ms", "avg", "best", "worst", "stddev")
COLUMNS = ("hop", "address", "by", "loss", "sent", *TIMES, "now")
SEVERITY_STYLES = {"fail": "bold red", "warn": "bold magenta"}
"""Of the word alone, as no colour but the terminal's own can be read on every background at length."""

MOST_FINDINGS = 4
"""Findings that a round is shown with; they are named by their message, and there are seldom more."""


def draw(title: str, report: Report[Any, Any], records: Sequence[HopRecord], size: tuple[int, int]) -> RenderableType:
    """Draw one round: the way, the hops, how many more there are, and what the round found.

    What is wider than the terminal is cut at its edge.
    """
    width, height = size
    head = headline(report).splitlines()
    findings = report.findings[:MOST_FINDINGS]
    room = max(height - len((title, "headers", "more")) - len(head) - len(findings), 1)
    is_one = len({record.method for record in records}) == 1
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    for name in COLUMNS:
        table.add_column(name, no_wrap=True, justify="left" if name in {"address", "by", "now"} else "right")
    rows = [_write(r, str(r.hop) if is_one else f"{r.method} {r.hop}") for r in records[:room]]
    least = sum(1 + max(map(display_width, column)) for column in zip(COLUMNS, *rows, strict=True)) - 1
    table.width = least if least > width else None
    for record, cells in zip(records, rows, strict=False):
        line = [*map(make_line, cells)]
        line[COLUMNS.index("loss")].stylize("bold red" if record.loss_ratio else "")
        table.add_row(*line)
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
    line.stylize(SEVERITY_STYLES.get(finding.severity, ""), 0, len(finding.severity))
    return line
