"""When to look again at what is watched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.clock import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from lodiag.system import System


class Schedule:
    """When to read: at whole intervals from the first reading."""

    def __init__(self, system: System, interval_ns: int, keep_going: Callable[[], bool]) -> None:
        """Go on for as long as ``keep_going`` says."""
        self._system, self._interval_ns, self._keep_going = system, interval_ns, keep_going
        self._first_ns: int | None = None
        self._last_ns = 0

    def begin(self) -> float | None:
        """Begin a reading: seconds since the last began, ``None`` for the first."""
        now_ns, last_ns = self._system.monotonic_ns(), self._last_ns
        self._last_ns = now_ns
        if self._first_ns is None:
            self._first_ns = now_ns
            return None
        return (now_ns - last_ns) / NS_PER_S

    def wait(self) -> bool:
        """Wait until the next reading is due; false if it is not wanted."""
        first_ns = self._first_ns or 0
        due_ns = first_ns + ((self._system.monotonic_ns() - first_ns) // self._interval_ns + 1) * self._interval_ns
        while self._keep_going():
            pause_ns = due_ns - self._system.monotonic_ns()
            if pause_ns <= 0:
                return True
            self._system.wait((), pause_ns / NS_PER_S)
        return False
