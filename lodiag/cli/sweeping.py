"""``lodiag ping --sweep``: many sizes, a row for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.cli import signals
from lodiag.cli.progress import show_progress
from lodiag.errors import ConfigError

if TYPE_CHECKING:
    import argparse

    from lodiag.cli.output import Output

UNFIT = ("flood", "preload", "live", "once", "histogram", "timestamps", "deadline", "reachable", "max_loss", "max_rtt")
"""Options of ping that mean nothing here."""


def run_sweep(options: argparse.Namespace, output: Output) -> int:
    """Probe with each size and print the report; Ctrl-C ends the sweep and not the report."""
    from lodiag.echo.options import PingOptions
    from lodiag.echo.sweep import USUAL_COUNT, USUAL_INTERVAL_S, USUAL_TIMEOUT_S, SweepRun
    from lodiag.render import load_format, render

    for name in UNFIT:
        if getattr(options, name) not in {None, False}:
            message = f"--{name.replace('_', '-')} does not go with --sweep"
            raise ConfigError(message, "Leave out one of them.")
    if options.count == 0:
        message = "a sweep ends by itself: --count must be at least 1"
        raise ConfigError(message)
    load_format(options.format)  # before the sockets take what may be the last descriptors
    sweep = SweepRun(
        tuple(options.targets),
        parse_sizes(options.sweep),
        PingOptions(
            count=options.count or USUAL_COUNT,
            interval_s=USUAL_INTERVAL_S if options.interval is None else options.interval,
            timeout_s=USUAL_TIMEOUT_S if options.timeout is None else options.timeout,
            ttl=options.ttl,
            source_address=options.source_address,
            family=options.family,
            method=options.method,
            clock=options.clock,
            keep_replies=False,
        ),
    )
    with signals.stopping(sweep), signals.telling(sweep), show_progress("sweep", 0) as advance:
        for _ in sweep:
            advance()
    report = sweep.report()
    output.write(render(report, options.format, width=output.width))
    return report.exit_status


def parse_sizes(text: str) -> tuple[int, int]:
    """First and last size of ``64..65507``; ``ConfigError`` if it is not written so."""
    first, dots, last = text.partition("..")
    if not (dots and first.isascii() and last.isascii() and first.isdigit() and last.isdigit()) or len(text) > len(
        "65507..65507"
    ):
        message = f"{text[:40]!r} is not a range of sizes"
        raise ConfigError(message, "Give bytes of payload from the smallest to the largest: --sweep 64..65507")
    return int(first), int(last)
