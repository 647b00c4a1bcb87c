"""``lodiag trace --watch``: a live table of hops for a person, lines of JSON for a program."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from lodiag.cli.watching import make_console, show_live

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console, RenderableType

    from lodiag.cli.output import Output
    from lodiag.hops.rounds import Round


def watch_lines(target: str, interval_s: float, choices: Mapping[str, Any], output: Output) -> int:
    """Print a line for each round, until nobody reads them."""
    from lodiag.hops.rounds import describe_start, watch_route
    from lodiag.render.events import render_round, render_start

    rounds = watch_route(target, interval_s=interval_s, keep_going=lambda: not output.has_lost_reader, **choices)
    for found in rounds:
        if found.number == 1:
            output.write(render_start(describe_start(found, interval_s)))
        output.write(render_round(found.describe()))
        if output.is_in_vain:
            break
    return 0


def watch_table(target: str, interval_s: float, choices: Mapping[str, Any]) -> int:
    """Show a live table until Ctrl-C or SIGTERM; then leave the last one on the terminal."""
    from lodiag.hops.rounds import watch_route

    console = make_console()
    watch = partial(watch_route, target, interval_s=interval_s, **choices)
    return show_live(console, _View(console, interval_s), watch)


class _View:
    """The last round, drawn for the terminal as large as it is now."""

    def __init__(self, console: Console, interval_s: float) -> None:
        self._console, self._interval_s, self._size = console, interval_s, console.size

    @property
    def is_resized(self) -> bool:
        """Whether the terminal has another size than when the last round was drawn."""
        return self._console.size != self._size

    def update(self, found: Round) -> None:
        """Take the next round."""
        self._round = found

    def draw(self) -> RenderableType:
        """Draw the last round."""
        from lodiag.render.live_trace import draw

        self._size = self._console.size
        report = self._round.report
        title = f"{report.started_at[:19]}Z  round {self._round.number}, every {self._interval_s:g} s"
        return draw(title, report, self._round.records, self._size)
