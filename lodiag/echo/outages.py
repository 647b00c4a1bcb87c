"""Losses in a row as ranges, in bounded memory and in whatever order they become known."""

from __future__ import annotations

from lodiag.dataclass import dataclass

LEAST_PROBES = 2
"""A single probe that is lost is loss; from the next one on it lasted for a time."""

MOST_TOLD = 100
"""Outages that are told with their times; the others are counted."""

MOST_OPEN = 1_000
"""Ranges that may still grow: what is lost becomes known within a timeout, so that older ones do not."""


@dataclass(slots=True)
class Span:
    """Probes in a row that failed: the numbers of the first and the last, and when those were sent."""

    first: int
    last: int
    from_ns: int
    to_ns: int

    @property
    def probes(self) -> int:
        """How many they are."""
        return self.last - self.first + 1


class Outages:
    """Joins failed probes to ranges."""

    def __init__(self) -> None:
        """Start without any."""
        self._by_first: dict[int, Span] = {}
        self._by_last: dict[int, Span] = {}
        self._told: list[Span] = []
        self._closed = 0

    def add(self, seq: int, sent_ns: int) -> None:
        """Take in probe ``seq``, which failed."""
        span = Span(seq, seq, sent_ns, sent_ns)
        before, after = self._by_last.pop(seq - 1, None), self._by_first.pop(seq + 1, None)
        if before is not None:
            del self._by_first[before.first]
            span.first, span.from_ns = before.first, before.from_ns
        if after is not None:
            del self._by_last[after.last]
            span.last, span.to_ns = after.last, after.to_ns
        self._by_first[span.first] = self._by_last[span.last] = span
        if len(self._by_first) > MOST_OPEN:
            self._close(self._by_first[next(iter(self._by_first))])

    def _close(self, span: Span) -> None:
        del self._by_first[span.first], self._by_last[span.last]
        if span.probes >= LEAST_PROBES:
            self._closed += 1
            if len(self._told) < MOST_TOLD:
                self._told.append(span)

    @property
    def count(self) -> int:
        """How many there were until now."""
        return self._closed + sum(span.probes >= LEAST_PROBES for span in self._by_first.values())

    def list(self) -> list[Span]:
        """The first hundred, in order."""
        found = self._told + [span for span in self._by_first.values() if span.probes >= LEAST_PROBES]
        return sorted(found, key=lambda span: span.first)[:MOST_TOLD]
