"""How far a measurement is, told on standard error and only to a terminal."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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


def _ignore() -> None:
    """Nobody watches."""
