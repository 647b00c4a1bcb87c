"""``--watch`` of ``conns``, ``trace`` and ``iface``: a live table for a person, lines of JSON for a program."""

from __future__ import annotations

import signal
import sys
from collections import Counter
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from lodiag.cli import SIGNAL_STATUS
from lodiag.errors import ConfigError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import FrameType

    from rich.console import Console, RenderableType

    from lodiag.cli.output import Output
    from lodiag.sockets.watch import Tick

FORMATS = ("table", "json", "jsonl")
ReadingT_contra = TypeVar("ReadingT_contra", contravariant=True)


class View(Protocol[ReadingT_contra]):
    """What draws the last of many readings."""

    @property
    def is_resized(self) -> bool:
        """Whether the terminal has another size than when it was last drawn."""
        ...

    def update(self, reading: ReadingT_contra, /) -> None:
        """Take the next reading."""
        ...

    def draw(self) -> RenderableType:
        """Draw the last reading."""
        ...


def choose_format(options: argparse.Namespace, command: str) -> str:
    """``table`` where standard output is a terminal and nothing else was asked for, or ``jsonl``."""
    if options.format not in FORMATS:
        message = f"the format {options.format} is of a whole report, and --watch has no end"
        raise ConfigError(message, "Leave --format out, or choose --format jsonl.")
    if options.output is not None:
        message = "--output keeps a file that is written whole, and --watch has no end"
        raise ConfigError(message, f"Direct the lines themselves: lodiag {command} --watch --format jsonl > FILE")
    is_live = options.format == "table" and sys.stdout is not None and sys.stdout.isatty()
    return "table" if is_live else "jsonl"


def watch_lines(interval_s: float, sort: str, filters: Mapping[str, Any], output: Output) -> int:
    """Print a line for each event, until nobody reads them."""
    from lodiag.render.events import render_event, render_start
    from lodiag.sockets.watch import describe_start, watch_connections

    ticks = watch_connections(
        interval_s=interval_s, sort=sort, keep_going=lambda: not output.has_lost_reader, **filters
    )
    for tick in ticks:
        if tick.elapsed_s is None:
            output.write(render_start(describe_start(tick, interval_s)))
        for event in tick.events:
            output.write(render_event(event))
            if output.is_in_vain:
                return 0
    return 0


def watch_rates(options: argparse.Namespace, output: Output) -> int:
    """Print a line for each reading of a loopback interface, until nobody reads them."""
    from lodiag.links.rates import watch_interfaces
    from lodiag.render.events import render_rates, render_reading

    is_table = choose_format(options, "iface") == "table"
    readings = watch_interfaces(
        interval_s=options.watch,
        interface=options.interface,
        source=options.source,
        keep_going=lambda: not output.has_lost_reader,
    )
    try:
        for reading in readings:
            for each in reading:
                output.write(render_rates(each) if is_table else render_reading(each))
            if output.is_in_vain:
                break
    except KeyboardInterrupt:
        output.write("\n" if is_table else "")  # the terminal has shown ^C, and the prompt is not to follow that
        raise
    return 0


def watch_table(interval_s: float, sort: str, filters: Mapping[str, Any], columns: Sequence[str]) -> int:
    """Show a live table until Ctrl-C or SIGTERM; then leave the last one on the terminal.

    The columns are those given, or if there are none the usual ones.
    """
    from lodiag.render.live import USUAL
    from lodiag.sockets.watch import watch_connections

    if not columns:
        columns = [name for name in USUAL if filters["with_process"] or name != "process"]
    console = make_console()
    watch = partial(watch_connections, interval_s=interval_s, sort=sort, **filters)
    return show_live(console, _View(console, interval_s, sort, columns), watch)


def make_console() -> Console:
    """Make what draws on the terminal that standard output is."""
    from rich.console import Console

    return Console(file=sys.stdout, highlight=False)


def show_live(console: Console, view: View[ReadingT_contra], watch: Callable[..., Iterator[ReadingT_contra]]) -> int:
    """Show each reading until Ctrl-C or SIGTERM; then leave the last one on the terminal.

    ``watch(keep_going=...)`` gives the readings.
    """
    from rich.live import Live

    live = Live(console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)

    def show() -> None:
        if console.is_dumb_terminal:  # where nothing can be drawn over, one table follows the other
            console.print(view.draw())
        else:
            live.update(view.draw(), refresh=True)

    with _noting_signals() as noted:

        def keep_going() -> bool:
            if view.is_resized:
                show()
            return not noted

        readings = watch(keep_going=keep_going)
        view.update(next(readings))  # what cannot be watched is said before the screen is taken
        with nullcontext() if console.is_dumb_terminal else live:
            show()
            for reading in readings:
                view.update(reading)
                show()
        if not console.is_dumb_terminal:
            console.print(view.draw())
    return SIGNAL_STATUS + noted[0]


class _View:
    """The last reading, drawn for the terminal as large as it is now."""

    def __init__(self, console: Console, interval_s: float, sort: str, columns: Sequence[str]) -> None:
        from lodiag.sockets.board import Board

        self._console, self._interval_s, self._columns = console, interval_s, columns
        self._board = Board(sort)
        self._size = console.size

    @property
    def is_resized(self) -> bool:
        """Whether the terminal has another size than when the last table was drawn."""
        return self._console.size != self._size

    def update(self, tick: Tick) -> None:
        """Take the next reading."""
        self._tick, self._rows = tick, self._board.update(tick)

    def draw(self) -> RenderableType:
        """Draw the last reading."""
        from lodiag.render.layout import note
        from lodiag.render.live import draw
        from lodiag.sockets.board import fit

        self._size = self._console.size
        report, notes = self._tick.report, [f"note: {note(item)}" for item in self._tick.report.missing]
        tally = Counter(event.event for event in self._tick.events)
        news = f"+{tally['opened']} ~{tally['changed']} -{tally['closed']}"
        count = f"{len(self._tick.here)} sockets ({news})"
        title = f"{report.started_at[:19]}Z  {count}  {report.source}, every {self._interval_s:g} s"
        room = max(self._size.height - len(("title", "headers", "more")) - len(notes), 1)
        rows, hidden = fit(self._rows, room)
        return draw(title, notes, rows, hidden, self._columns, self._size.width)


@contextmanager
def _noting_signals() -> Iterator[list[int]]:
    """Note Ctrl-C and SIGTERM, so that none comes while the terminal is being written to; the second one ends all."""
    noted: list[int] = []
    usual = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}
    caught = [name for name, handler in usual.items() if handler not in {None, signal.SIG_IGN}]

    def restore() -> None:
        for name in caught:
            signal.signal(name, usual[name])

    def note(number: int, _frame: FrameType | None) -> None:
        noted.append(number)
        restore()

    for name in caught:
        signal.signal(name, note)
    try:
        yield noted
    finally:
        restore()
