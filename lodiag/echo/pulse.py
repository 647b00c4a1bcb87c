"""What a live view of a ping shows of each address: the last round trips, and what was lost; touches nothing."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from lodiag.rtt import percentile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lodiag.echo.stream import PingEvent
    from lodiag.model.ping import PingReply

RECENT = 300
"""Probes whose round trips are kept: more than any terminal has columns, and a minute of them at the usual interval."""


class PulseRow(NamedTuple):
    """One address: times in milliseconds, those of the recent probes oldest first, with ``None`` for what failed."""

    target: str
    address: str
    sent: int
    failed: int
    recent: tuple[float | None, ...]
    last_ms: float | None
    p50_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    error: str | None


class Pulse:
    """The recent past of one address."""

    def __init__(self, target: str, address: str) -> None:
        """Begin with nothing."""
        self.target, self.address = target, address
        self.failed = self._sent = 0
        self._recent: deque[float | None] = deque(maxlen=RECENT)
        self._max_ms: float | None = None
        self._error: str | None = None

    def update(self, reply: PingReply) -> None:
        """Take in the fate of a probe; that a reply came late changes nothing, for its probe has failed before."""
        if reply.status == "late":
            return
        self._sent += 1
        is_received = reply.status == "received"
        self._recent.append(reply.rtt_ms if is_received else None)
        self._error = None if is_received else reply.error
        self.failed += not is_received
        if is_received and reply.rtt_ms is not None:
            self._max_ms = max(self._max_ms or 0, reply.rtt_ms)

    def row(self) -> PulseRow:
        """Describe how it is now."""
        times = sorted(time for time in self._recent if time is not None)
        return PulseRow(
            target=self.target,
            address=self.address,
            sent=self._sent,
            failed=self.failed,
            recent=tuple(self._recent),
            last_ms=self._recent[-1] if self._recent else None,
            p50_ms=percentile(times, 50) if times else None,
            p99_ms=percentile(times, 99) if times else None,
            max_ms=self._max_ms,
            error=self._error,
        )


class PulseBoard:
    """All addresses of a ping."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Begin with these targets and addresses."""
        self._pulses = {pair: Pulse(*pair) for pair in pairs}

    def update(self, event: PingEvent) -> None:
        """Take in what became of a probe."""
        self._pulses[event.target, event.address].update(event.reply)

    def fit(self, most: int) -> tuple[list[PulseRow], int]:
        """Rows that there is room for, in the order of the addresses, and how many more there are.

        Those that have lost probes go before others.
        """
        pulses = list(self._pulses.values())
        ranked = sorted(range(len(pulses)), key=lambda at: not pulses[at].failed)
        return [pulses[at].row() for at in sorted(ranked[:most])], max(len(pulses) - most, 0)
