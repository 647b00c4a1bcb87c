"""How far a measurement is, told on standard error and only to a terminal."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

QUIET_S = 0.5
"""Nobody needs to be told about what is over so soon."""
PAUSE_S = 0.1
"""Nobody reads faster."""


@contextmanager
def show_progress(title: str, total: int) -> Iterator[Callable[[], None]]:
    """Show a bar of ``total`` steps, or with 0 one without end; gives the function that says "one more"."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield _ignore
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total or None)
        yield lambda: bar.advance(task)


@contextmanager
def show_status() -> Iterator[Callable[[str | None], None]]:
    """Show a line that tells how far it is, if it takes a while; gives what sets it, or with ``None`` ends it."""
    if sys.stderr is None or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield lambda _: None
        return
    next_s, shown = time.monotonic() + QUIET_S, False

    def show(text: str | None) -> None:
        nonlocal shown, next_s
        now_s = time.monotonic()
        if (text is None and shown) or (text is not None and now_s >= next_s):
            sys.stderr.write(f"\r{text or ''}\x1b[K")
            sys.stderr.flush()
            shown, next_s = text is not None, now_s + PAUSE_S

    try:
        yield show
    finally:
        show(None)


def _ignore() -> None:
    """Nobody watches."""


@contextmanager
def show_steps(title: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar that is drawn only when it is told how far it is, so that it disturbs nothing that is measured."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield _ignore_steps
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, auto_refresh=False) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total, refresh=True)


def _ignore_steps(_done: int, _total: int) -> None:
    """Nobody watches."""
