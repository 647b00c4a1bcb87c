"""The one loop in which all streams of probes send, wait and collect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.clock import NS_PER_S
from lodiag.echo.timetable import Timetable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lodiag.echo.fans import Fans
    from lodiag.echo.options import PingOptions
    from lodiag.echo.stream import EchoStream, PingEvent
    from lodiag.system import System
    from lodiag.system.probe import Waitable

SENDS_AT_ONCE = 16
"""Probes to send to different addresses before what came back is taken in: it is to wait for a fraction of 1 ms."""

LAST_LOOKS = 256
"""At the end what has arrived is taken in, but a storm of foreign messages is not waited out."""


class ProbeLoop:
    """Asks of the streams only those for which something is due, or may have arrived."""

    def __init__(self, streams: Sequence[EchoStream], fans: Fans, options: PingOptions, system: System) -> None:
        """Keep what to loop over; the streams need not be open yet."""
        self._streams, self._fans, self._options, self._system = streams, fans, options, system
        self.is_stopped = False
        self.was_cut = False
        """Whether the deadline came before all probes were sent."""
        self._shared: dict[str, int] = {}
        self._alone: list[int] = []
        self._waited: list[Waitable] = []

    def run(self, started_ns: int) -> Iterator[PingEvent]:
        """Go on until every probe has met its fate, the deadline is over, or ``is_stopped`` was set."""
        self._start()
        timetable = Timetable(self._streams)
        deadline_s = self._options.deadline_s
        end_ns = None if deadline_s is None else started_ns + round(deadline_s * NS_PER_S)
        while not self.is_stopped:
            now_ns = self._system.monotonic_ns()
            if end_ns is not None and now_ns >= end_ns:
                self.was_cut = any(stream.wants_to_send for stream in self._streams)
                break
            arrived = (*self._alone, *self._sort())
            for number in arrived:
                yield from self._streams[number].collect()
            due = timetable.take_due(now_ns, SENDS_AT_ONCE)
            for number in due:
                yield from self._streams[number].send_if_due(now_ns)
                yield from self._streams[number].give_up(now_ns)
            for number in (*arrived, *due):
                timetable.plan(number)
            next_ns = timetable.next_ns()
            if next_ns is None or (self._options.once and self.has_enough):
                break
            pause_ns = (next_ns if end_ns is None else min(next_ns, end_ns)) - self._system.monotonic_ns()
            if pause_ns > 0:
                self._system.wait(self._waited, pause_ns / NS_PER_S)
        yield from self._finish()

    def _start(self) -> None:
        """Begin all schedules side by side; of so many that they share sockets, spread over the interval."""
        opened = [(number, s.address, s.probe) for number, s in enumerate(self._streams) if s.probe is not None]
        sharing = {number for number, _, probe in opened if self._fans.shares(probe)}
        self._shared = {address: number for number, address, _ in opened if number in sharing}
        self._alone = [number for number, _, _ in opened if number not in sharing]
        self._waited = [*(probe for number, _, probe in opened if number not in sharing), *self._fans.sockets]
        spread_ns = round(self._options.pace_s * NS_PER_S) if self._shared else 0
        for number, stream in enumerate(self._streams):
            stream.start(self._system.monotonic_ns() + number * spread_ns // len(self._streams))

    def _sort(self) -> list[int]:
        """Numbers of the streams for which something arrived at a shared socket."""
        return [self._shared[address] for address in self._fans.sort()]

    def _finish(self) -> Iterator[PingEvent]:
        """Take in what has arrived, and give up what has not."""
        for _ in range(LAST_LOOKS):
            arrived = self._sort()
            if not arrived:
                break
            for number in arrived:
                yield from self._streams[number].collect()
        for stream in self._streams:
            yield from stream.collect()
            yield from stream.give_up(None)

    @property
    def has_enough(self) -> bool:
        """Whether so many addresses have answered as are to; never, if it was not said how many."""
        answered = sum(stream.received > 0 for stream in self._streams)
        return self._options.reachable is not None and answered >= self._options.reachable
