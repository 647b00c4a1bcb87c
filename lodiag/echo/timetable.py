"""Which of many streams of probes has something to do, without asking all of them."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class Planned(Protocol):
    """What has a time at which it is to be asked next."""

    def next_ns(self) -> int | None:
        """When that is; ``None`` if it is done."""
        ...


class Timetable:
    """Keeps for each stream when it is next due; one that changes its mind is planned anew."""

    def __init__(self, streams: Sequence[Planned]) -> None:
        """Plan all of them."""
        self._streams = streams
        self._planned: list[int | None] = [None] * len(streams)
        self._queue: list[tuple[int, int]] = []
        for number in range(len(streams)):
            self.plan(number)

    def plan(self, number: int) -> None:
        """Ask a stream when it is next due."""
        at_ns = self._streams[number].next_ns()
        if at_ns != self._planned[number]:
            self._planned[number] = at_ns
            if at_ns is not None:
                heappush(self._queue, (at_ns, number))

    def next_ns(self) -> int | None:
        """When the first of them is due; ``None`` if all are done."""
        while self._queue and self._planned[self._queue[0][1]] != self._queue[0][0]:
            heappop(self._queue)
        return self._queue[0][0] if self._queue else None

    def take_due(self, now_ns: int, most: int) -> list[int]:
        """Take out the numbers of those that are due, the longest first; each is to be planned again."""
        taken: list[int] = []
        while len(taken) < most and (at_ns := self.next_ns()) is not None and at_ns <= now_ns:
            _, number = heappop(self._queue)
            self._planned[number] = None
            taken.append(number)
        return taken
