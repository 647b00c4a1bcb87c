"""What is measured beside the tests, for findings alone."""

from __future__ import annotations

import statistics
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

from lodiag.system.ends.paths import Path, connect_ends
from lodiag.system.ends.pool import EndError, Task
from lodiag.targets import ADDRESSES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from lodiag.benches.options import BenchOptions
    from lodiag.benches.rounds import Measured
    from lodiag.system import System
    from lodiag.system.ends.pool import Ends

BURST_BYTES = 1 << 21
"""Several times what ten segments of the loopback hold, with which TCP begins (RFC 6928)."""
BURSTS = 5
BURST_S = 1.0
TRACKED = 32
"""Connections that are opened to see whether they are tracked."""


class Idle(NamedTuple):
    """What a pause does to a connection, by the medians of all pauses; windows are in segments."""

    warm_ms: float
    after_ms: float
    window_before: int
    window_after: int


class Tracking(NamedTuple):
    """How many connections the packet filter tracked before and after so many were opened."""

    before: int
    after: int
    opened: int


class Aside:
    """A connection that rests between two rounds, and is used after each."""

    def __init__(self, ends: Ends, options: BenchOptions) -> None:
        """Open nothing before it is used."""
        self._ends, self._answers = ends, list[dict[str, Any]]()
        self._opened = ExitStack()
        self._pair: Sequence[Any] | None = None
        self._family = options.family or "ipv4"
        self._path = Path("stream", self._family, ADDRESSES[self._family], options.window_bytes, options.congestion)
        self._is_wanted = "stream" in options.tests and options.total_bytes is None

    def __enter__(self) -> Self:
        """Return this."""
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        """Close it with a reset."""
        from lodiag.system.ends.stream import abort

        for sock in self._pair or ():
            abort(sock)
        self._opened.close()

    def use(self, measured: Measured) -> None:
        """Send some bursts, unless a test could not be measured."""
        if not self._is_wanted or measured.failures:
            return
        if self._pair is None:
            try:
                self._pair = [self._opened.enter_context(sock) for sock in connect_ends(self._path)]
            except OSError:
                self._pair = ()
        if not self._pair:
            return
        settings = {"size_bytes": BURST_BYTES, "count": BURSTS}
        tasks = [
            Task(name, [sock], settings) for name, sock in zip(("burst-send", "burst-take"), self._pair, strict=True)
        ]
        try:
            self._answers.append(self._ends.run(tasks, BURST_S)[0])
        except EndError:
            self._pair = ()

    def conclude(self) -> Idle | None:
        """Tell what the pauses did; ``None`` if there was none, or the kernel does not tell its window."""
        rested = self._answers[1:]  # before the first, it was new
        if not rested or any(answer["window_after"] is None for answer in rested):
            return None
        return Idle(
            statistics.median(time for answer in rested for time in answer["times_ns"][1:]) / 1e6,
            statistics.median(answer["times_ns"][0] for answer in rested) / 1e6,
            round(statistics.median(answer["window_before"] for answer in rested)),
            round(statistics.median(answer["window_after"] for answer in rested)),
        )


def count_tracked(system: System, family: str | None) -> Tracking | None:
    """Open some connections and see whether the packet filter tracks them; ``None`` where it cannot be told."""
    before = system.count_tracked()
    if before is None:
        return None
    path = Path("stream", family or "ipv4", ADDRESSES[family or "ipv4"])
    with ExitStack() as opened:
        try:
            for _ in range(TRACKED):
                for sock in connect_ends(path):
                    opened.enter_context(sock)
        except OSError:
            return None
        after = system.count_tracked()
    return None if after is None else Tracking(before, after, TRACKED)
