"""What else there is to tell of probes to one address: where and for how long they were lost, and odd replies."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from lodiag.echo.outages import Outages
from lodiag.model.ping import Outage

if TYPE_CHECKING:
    from collections.abc import Callable

    from lodiag.system.probe import Answer


class Oddities:
    """Counts them as they come."""

    def __init__(self, instant: Callable[[int], str]) -> None:
        """Start with nothing seen; ``instant`` writes a monotonic time as RFC 3339."""
        self._instant = instant
        self._outages = Outages()
        self._reached: Counter[str | None] = Counter()
        self._ttls: tuple[int, int] | None = None
        self._highest_seq = self._reordered = self._strays = 0
        self._icmp: Answer | None = None

    def note_failure(self, seq: int, sent_ns: int) -> None:
        """Take in a probe that was lost or could not be sent."""
        self._outages.add(seq, sent_ns)

    def note_silence(self, reached: str | None) -> None:
        """Take in how far a probe came of which nothing came back."""
        self._reached[reached] += 1

    def note_icmp_error(self, answer: Answer) -> None:
        """Take in what came back instead of a reply."""
        if answer.error == "reply-from-elsewhere":
            self._strays += 1
        else:
            self._icmp = answer

    def note_reply(self, answer: Answer) -> None:
        """Take in a received reply."""
        if answer.seq < self._highest_seq:
            self._reordered += 1
        else:
            self._highest_seq = answer.seq
        ttl = answer.ttl
        if ttl is not None and (self._ttls is None or not self._ttls[0] <= ttl <= self._ttls[1]):
            least, most = self._ttls or (ttl, ttl)
            self._ttls = min(least, ttl), max(most, ttl)

    def describe(self, *, can_locate: bool) -> dict[str, Any]:
        """Fields of a ``PingRecord``; where probes were lost only if there are stamps by which to know."""
        is_told = can_locate and (not self._reached[None] or any(map(self._reached.get, _LOCATED)))
        unqueued, queued, sent = (self._reached[stage] if is_told else None for stage in _LOCATED)
        ttls = self._ttls or (None, None)
        return {
            "reordered": self._reordered,
            "strays": self._strays,
            "lost_unqueued": unqueued,
            "lost_queued": queued,
            "lost_sent": sent,
            "outage_count": self._outages.count,
            "reply_ttl_min": ttls[0],
            "reply_ttl_max": ttls[1],
            "icmp_type": self._icmp.icmp_type if self._icmp else None,
            "icmp_code": self._icmp.icmp_code if self._icmp else None,
            "icmp_from": self._icmp.address if self._icmp else None,
            "outages": tuple(
                Outage(
                    first_seq=span.first,
                    started_at=self._instant(span.from_ns),
                    ended_at=self._instant(span.to_ns),
                    count=span.probes,
                )
                for span in self._outages.list()
            ),
        }


_LOCATED = ("socket", "queue", "interface")
