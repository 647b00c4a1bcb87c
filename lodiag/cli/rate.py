"""How a flood goes, told on standard error and only to a terminal."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lodiag.echo.run import PingRun

PERIOD_S = 0.25
CLEAR = "\r\x1b[K"
"""Return to the beginning of the line, and erase to its end (ECMA-48 8.3.41)."""


@contextmanager
def show_rate(ping_run: PingRun) -> Iterator[None]:
    """Keep one line up to date: probes sent, unanswered, and sent a second."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield
        return
    from threading import Event, Thread

    ended = Event()

    def tell() -> None:
        before = 0
        while not ended.wait(PERIOD_S):
            sent, received = (
                sum(counts) for counts in zip(*((s.sent, s.received) for s in ping_run.streams), strict=True)
            )
            rate = round((sent - before) / PERIOD_S)
            before = sent
            sys.stderr.write(f"{CLEAR}{sent} sent, {sent - received} unanswered, {rate} a second")
            sys.stderr.flush()
        sys.stderr.write(CLEAR)

    teller = Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()
