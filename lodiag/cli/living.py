"""``lodiag ping --live``: what happens now, on a terminal; the report when it has ended."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from time import monotonic
from typing import TYPE_CHECKING

from lodiag.errors import ConfigError

if TYPE_CHECKING:
    import argparse

    from rich.console import Console, RenderableType

    from lodiag.echo.pulse import PulseBoard
    from lodiag.echo.run import PingRun

DRAW_EVERY_S = 0.1
"""More often than this nobody sees."""

PRINT_EVERY_S = 1.0
"""Where nothing can be drawn over, one table follows the other."""


def require_terminal(options: argparse.Namespace) -> None:
    """Raise ``ConfigError`` where there is nothing to draw on."""
    if options.format != "table" or sys.stdout is None or not sys.stdout.isatty():
        message = "--live draws on a terminal, and standard output is none, or is to have another format"
        raise ConfigError(message, "Leave --live out, or read lines as they come: lodiag ping --format jsonl")


def follow(ping_run: PingRun, interval_s: float) -> None:
    """Draw until the run ends, and give the terminal back as it was."""
    from rich.console import Console
    from rich.live import Live

    from lodiag.echo.pulse import PulseBoard

    ping_run.open()
    console = Console(file=sys.stdout, highlight=False)
    board = PulseBoard((stream.target, stream.address) for stream in ping_run.streams)
    live = Live(console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
    every_s = PRINT_EVERY_S if console.is_dumb_terminal else DRAW_EVERY_S
    drawn_s = monotonic() - every_s
    with nullcontext() if console.is_dumb_terminal else live:
        for event in ping_run:
            board.update(event)
            if monotonic() - drawn_s >= every_s:
                drawn_s = monotonic()
                picture = _draw(board, console, interval_s)
                console.print(picture) if console.is_dumb_terminal else live.update(picture, refresh=True)
    if console.is_dumb_terminal:  # which may have shown ^C
        console.print()


def _draw(board: PulseBoard, console: Console, interval_s: float) -> RenderableType:
    from lodiag.echo.pulse import RECENT
    from lodiag.render.histogram import can_draw_blocks
    from lodiag.render.pulse import draw

    width, height = console.size
    rows, hidden = board.fit(max(height - len(("title", "headers", "more")), 1))
    title = f"ping every {interval_s:g} s; p50 and p99 are of the last {RECENT} probes; Ctrl-C ends it"
    return draw(title, rows, hidden, (width, height), with_blocks=can_draw_blocks(console.encoding))
