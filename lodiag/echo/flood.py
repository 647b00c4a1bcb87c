"""A flood of echo probes to one address: the next burst is sent as soon as the last is answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.echo.stream import _DONE, _PENDING, ANSWERS_AT_ONCE, QUICKEST_SILENT_NS, EchoStream
from lodiag.system.probe import MethodRefusedError, SendError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lodiag.echo.fans import Fans
    from lodiag.echo.stream import PingEvent
    from lodiag.system import System
    from lodiag.system.bursts import BurstProbe
    from lodiag.system.probe import Answer


class FloodStream(EchoStream):
    """Probes to one address in bursts, of which the first is timed, or each; one by one where there are no bursts.

    A burst is kept as one while its replies come in order and whole, which are then counted and not told. When
    something else comes, or nothing, what is left of it is kept probe by probe, as ``EchoStream`` keeps all.
    """

    _bursts: BurstProbe | None = None
    _next = _left = 0
    """First probe of the burst that is unanswered, and how many there are."""
    _burst_ns = 0
    _is_refused = False
    """Whether one was refused in the midst of a burst, whose call does not say why: now they go one by one."""

    def _open_probe(self, system: System | Fans, method: str) -> None:
        if self._options.clock in {"auto", "kernel"} and self._options.preload != 1:
            try:
                self._bursts = self.probe = system.open_burst_probe(
                    method,
                    self.family,
                    self.address,
                    source=self._options.source_address,
                    size_bytes=self._options.size_bytes,
                    stamp_each=self._options.clock == "kernel",
                )
            except (MethodRefusedError, SendError):  # one by one it may be opened, and tells what each probe meets
                pass
            else:
                self.clock = "kernel"
                return
        super()._open_probe(system, method)

    def next_ns(self) -> int | None:
        """When something is next to be done, if no answer comes."""
        return self._due_ns if self._left else super().next_ns()

    def send_if_due(self, now_ns: int) -> Iterator[PingEvent]:
        """Send the next burst if the last is answered, or silent for too long."""
        if self._bursts is None:
            yield from super().send_if_due(now_ns)
            return
        if now_ns < self._due_ns:
            return
        self._part()
        if not self.wants_to_send:
            return
        first = self._attempts + 1
        try:
            fit = self._fit(first)
            sent, first_ns, last_ns = self._bursts.send_burst(first, fit, self._options.ttl)
        except SendError as error:
            yield from self._take_refusal(first, now_ns, error)
            return
        self._is_refused |= sent < fit
        self._note_sent(sent, first_ns, last_ns)
        self._next, self._left, self._burst_ns = first, sent, first_ns
        self._due_ns = last_ns + QUICKEST_SILENT_NS
        yield from self.collect()

    def _fit(self, first: int) -> int:
        fit = self._bursts.fit(first) if self._bursts is not None and not self._is_refused else 1
        most = self._options.most_probes
        return min(fit, self._options.preload or fit, fit if most is None else most - self._attempts)

    def collect(self) -> Iterator[PingEvent]:
        """Take in what has arrived: all that is left of the burst at once, if it comes as it should."""
        if self._bursts is None:
            yield from super().collect()
            return
        for _ in range(ANSWERS_AT_ONCE):
            harvest = self._bursts.receive_burst(self._next, self._left)
            if harvest is None:
                return
            if harvest.whole:
                self._count_whole(harvest.whole)
                self._rtts.extend(harvest.kernel_rtts_ns)
                self._clocks["kernel"] += len(harvest.kernel_rtts_ns)
                if not self._left:
                    self._due_ns = harvest.received_ns
                    return
            else:
                self._part()
                for answer in harvest.answers:
                    event = self._take(answer)
                    if event is not None:
                        yield event

    def give_up(self, now_ns: int | None) -> Iterator[PingEvent]:
        """Give up the probes whose timeout is over."""
        if now_ns is None:
            self._part()
        yield from super().give_up(now_ns)

    def _count_whole(self, count: int) -> None:
        start = self._next & 0xFFFF
        self._fates[start : start + count] = bytes([_DONE]) * count
        self._next += count
        self._left -= count
        self.received += count

    def _part(self) -> None:
        """Keep what is left of the burst probe by probe."""
        if self._left:
            start = self._next & 0xFFFF
            self._pending.update(dict.fromkeys(range(self._next, self._next + self._left), self._burst_ns))
            self._fates[start : start + self._left] = bytes([_PENDING]) * self._left
            self._left = 0

    def _count(self, answer: Answer, sent_ns: int) -> None:
        """Count a reply, but not for how long it took by our clock: most of that is the rest of the burst's."""
        if self._bursts is None:
            super()._count(answer, sent_ns)
            return
        self.received += 1
        self._oddities.note_reply(answer)
