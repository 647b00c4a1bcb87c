"""The bookkeeping of echo probes to one address: which were sent, and what became of each."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from lodiag.clock import NS_PER_S
from lodiag.echo.fates import describe_fate, name_times
from lodiag.echo.oddities import Oddities
from lodiag.histogram import Histogram
from lodiag.model import Refusal
from lodiag.model.ping import PingRecord
from lodiag.rtt import Jitter
from lodiag.system.probe import MethodRefusedError, SendError
from lodiag.targets import family_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from lodiag.echo.fans import Fans
    from lodiag.echo.options import PingOptions
    from lodiag.model.ping import PingReply
    from lodiag.system import System
    from lodiag.system.probe import Answer, ProbeSocket

QUICKEST_SILENT_NS = NS_PER_S // 100
"""With no interval the next probe follows the answer to the last, or comes after 10 ms, as in ping -f."""

CATCH_UP_NS = NS_PER_S // 500
"""How far the schedule may lag: a wake-up comes up to some tenths of a millisecond late, a stall later than this."""

ANSWERS_AT_ONCE = 256

MOST_REPLIES = 1 << 16
"""Fates of probes that a record holds: the last of them, so that no run takes ever more memory."""

_NEVER, _PENDING, _TIMED_OUT, _DONE, _REFUSED = range(5)


class PingEvent(NamedTuple):
    """The fate of one probe, told as it happens; a late reply is told after its timeout was."""

    target: str
    address: str
    method: str | None
    reply: PingReply


class EchoStream:
    """Probes to one address on a steady schedule."""

    def __init__(self, target: str, address: str, options: PingOptions, instant: Callable[[int], str]) -> None:
        """Prepare; nothing is opened yet. ``instant`` writes a monotonic time as RFC 3339."""
        self.target, self.address, self.family = target, address, family_of(address)
        self.probe: ProbeSocket | None = None
        self.clock: str | None = None
        self.refused: list[Refusal] = []
        self.error: str | None = None
        self._send_error: str | None = None
        self._errno: str | None = None
        self.received = 0
        self._options, self._instant = options, instant
        self._keeps_replies = options.keep_replies and not options.flood
        self._attempts = self.sent = self._not_sent = 0
        self._duplicates = self._corrupted = self._late = 0
        self._rtts = Histogram()
        self._user_rtts = Histogram()
        self._clocks: Counter[str] = Counter()
        self._oddities = Oddities(instant)
        self._jitter = Jitter()
        self._pending: dict[int, int] = {}
        self._overdue: dict[int, int] = {}
        most = options.most_probes
        self._fates = bytearray(1 << 16 if most is None else min(most, 0xFFFF) + 1)
        self._replies: dict[int, PingReply] = {}
        self._due_ns = self._first_ns = self._last_ns = 0

    def open(self, system: System | Fans, methods: tuple[str, ...]) -> None:
        """Take the first method that opens, and its best clock; without one, ``error`` or ``refused`` says why."""
        for method in methods:
            try:
                self._open_probe(system, method)
            except MethodRefusedError as refusal:
                self.refused.append(Refusal(method=method, why=str(refusal)))
            except SendError as error:
                self.error, self._errno = error.code, error.errno_name
                return
            else:
                return

    def _open_probe(self, system: System | Fans, method: str) -> None:
        options = self._options
        probe = system.open_probe(
            method, self.family, self.address, source=options.source_address, size_bytes=options.size_bytes
        )
        closely = options.pace_s > 0  # without a pause, more stamps would slow the run
        self.probe = probe
        self.clock = next((clock for clock in options.clocks if probe.use_clock(clock, closely=closely)), None)

    def close(self) -> None:
        """Take in what has arrived, give up what has not, and close the socket."""
        for _ in (*self.collect(), *self.give_up(None)):
            pass
        if self.probe is not None:
            self.probe.close()

    @property
    def wants_to_send(self) -> bool:
        """Whether probes are still to be sent."""
        most = self._options.most_probes
        is_done = self._options.once and self.received > 0
        return self.probe is not None and not is_done and (most is None or self._attempts < most)

    def start(self, now_ns: int) -> None:
        """Begin the schedule; an idle read first, so that the first round trip does not pay for cold code."""
        self._due_ns = now_ns
        if self.probe is not None:
            self.probe.receive()

    def next_ns(self) -> int | None:
        """When something is next to be done, if no answer comes: send a probe, or give one up."""
        times = []
        if self.wants_to_send:
            times.append(self._due_ns)
        if self._pending:
            times.append(next(iter(self._pending.values())) + round(self._options.timeout_s * NS_PER_S))
        return min(times, default=None)

    def send_if_due(self, now_ns: int) -> Iterator[PingEvent]:
        """Send the next probe if it is time, and take in what came back at once."""
        if self.probe is None or not self.wants_to_send or now_ns < self._due_ns:
            return
        seq = self._attempts + 1
        try:
            sent_ns = self.probe.send(seq, self._options.ttl)
        except SendError as error:
            yield from self._take_refusal(seq, now_ns, error)
            return
        self._note_sent(1, sent_ns, sent_ns)
        self._pending[seq] = sent_ns
        self._fates[seq & 0xFFFF] = _PENDING
        self._schedule(sent_ns)
        yield from self.collect()

    def _note_sent(self, count: int, first_ns: int, last_ns: int) -> None:
        self._attempts += count
        self.sent += count
        self._first_ns = self._first_ns or first_ns
        self._last_ns = last_ns

    def _take_refusal(self, seq: int, now_ns: int, error: SendError) -> Iterator[PingEvent]:
        self._attempts += 1
        self._not_sent += 1
        self.error, self._errno = error.code, error.errno_name
        self._send_error = error.code
        self._fates[seq & 0xFFFF] = _REFUSED
        self._schedule(now_ns)
        if self._options.pace_s == 0:  # what refused this one refuses the next as well, as fast as it is asked
            self._due_ns = now_ns + QUICKEST_SILENT_NS
        self._oddities.note_failure(seq, now_ns)
        rejection = yield from self._await_rejection(seq)
        yield self._tell(seq, now_ns, "not-sent", answer=rejection, error=error.code, reached=error.reached)

    def _await_rejection(self, seq: int) -> Generator[PingEvent, None, Answer | None]:
        """Take in what is there, and return the ICMP error about a probe that was refused, if that came with it."""
        for _ in range(ANSWERS_AT_ONCE):
            answer = self.probe.receive() if self.probe is not None else None
            if answer is None:
                return None
            if answer.seq == seq and not answer.is_reply:
                self._oddities.note_icmp_error(answer)
                return answer
            event = self._take(answer)
            if event is not None:
                yield event
        return None

    def _schedule(self, sent_ns: int) -> None:
        """Keep to the grid of the interval; a longer stall than ``CATCH_UP_NS`` is not made up for by a burst."""
        interval_ns = round(self._options.pace_s * NS_PER_S)
        if interval_ns == 0:
            self._due_ns = sent_ns if self._has_room else sent_ns + QUICKEST_SILENT_NS
            return
        if self._attempts < self._options.under_way:
            return
        self._due_ns += interval_ns
        if self._due_ns < sent_ns - CATCH_UP_NS:
            self._due_ns = sent_ns + interval_ns

    @property
    def _has_room(self) -> bool:
        """Whether one more probe may be under way, where they follow each other without a pause."""
        return len(self._pending) < self._options.under_way

    def collect(self) -> Iterator[PingEvent]:
        """Take in the answers that have arrived; not so many at once that a storm of duplicates stops the clock."""
        for _ in range(ANSWERS_AT_ONCE):
            answer = self.probe.receive() if self.probe is not None else None
            if answer is None:
                return
            event = self._take(answer)
            if event is not None:
                yield event

    def _take(self, answer: Answer) -> PingEvent | None:
        if answer.seq > self._attempts:  # never sent
            return None
        fate = self._fates[answer.seq & 0xFFFF]
        if fate == _TIMED_OUT:
            return self._take_late(answer)
        sent_ns = self._pending.pop(answer.seq, None)
        if sent_ns is None:
            self._duplicates += fate == _DONE and answer.is_reply
            return None
        self._fates[answer.seq & 0xFFFF] = _DONE
        if self._options.pace_s == 0 and self._has_room:
            self._due_ns = answer.received_ns
        if not answer.is_reply:
            self.error = answer.error
            self._oddities.note_failure(answer.seq, sent_ns)
            self._oddities.note_icmp_error(answer)
            return self._tell(answer.seq, sent_ns, "unreachable", answer=answer, error=answer.error)
        if not answer.intact:
            self._corrupted += 1
            self.error = "corrupted"
            self._oddities.note_failure(answer.seq, sent_ns)
            return self._tell(answer.seq, sent_ns, "corrupted", answer=answer, error="corrupted")
        self._count(answer, sent_ns)
        return self._tell(answer.seq, sent_ns, "received", answer=answer)

    def _count(self, answer: Answer, sent_ns: int) -> None:
        user_ns = answer.received_ns - sent_ns
        rtt_ns = user_ns if answer.kernel_rtt_ns is None else answer.kernel_rtt_ns
        self.received += 1
        self._rtts.add(rtt_ns)
        self._user_rtts.add(user_ns)
        self._clocks[answer.clock] += 1
        self._jitter.add(answer.seq, rtt_ns)
        self._oddities.note_reply(answer)

    def _take_late(self, answer: Answer) -> PingEvent | None:
        sent_ns = self._overdue.pop(answer.seq, None)
        self._fates[answer.seq & 0xFFFF] = _DONE
        if sent_ns is None or not answer.is_reply:
            return None
        self._late += 1
        return self._tell(answer.seq, sent_ns, "late", answer=answer, error="timeout")

    def give_up(self, now_ns: int | None) -> Iterator[PingEvent]:
        """Give up the probes whose timeout is over; all of them if ``now_ns`` is ``None``."""
        timeout_ns = round(self._options.timeout_s * NS_PER_S)
        while self._pending:
            seq, sent_ns = next(iter(self._pending.items()))
            if now_ns is not None and now_ns - sent_ns < timeout_ns:
                return
            del self._pending[seq]
            self._fates[seq & 0xFFFF] = _TIMED_OUT
            self._overdue[seq] = sent_ns
            while (oldest := next(iter(self._overdue))) <= seq - len(self._fates):
                del self._overdue[oldest]
            self.error = "timeout"
            reached = self.probe.locate(seq) if self.probe is not None else None
            self._oddities.note_failure(seq, sent_ns)
            self._oddities.note_silence(reached)
            yield self._tell(seq, sent_ns, "timeout", error="timeout", reached=reached)

    def _tell(  # noqa: PLR0913 - what becomes of a probe
        self,
        seq: int,
        sent_ns: int,
        status: str,
        *,
        answer: Answer | None = None,
        error: str | None = None,
        reached: str | None = None,
    ) -> PingEvent:
        reply = describe_fate(
            seq, sent_ns, status, answer, sent_at=self._instant(sent_ns), error=error, reached=reached
        )
        if self._keeps_replies:
            self._replies[seq] = reply
            self._replies.pop(seq - MOST_REPLIES, None)
        return PingEvent(self.target, self.address, self.probe.method if self.probe else None, reply)

    def _sent_per_s(self) -> float | None:
        span_ns = self._last_ns - self._first_ns
        return round((self.sent - 1) * NS_PER_S / span_ns, 3) if span_ns else None

    def record(self) -> PingRecord:
        """Describe what has happened so far."""
        lost = self.sent - self.received
        return PingRecord(
            target=self.target,
            address=self.address,
            family=self.family,
            method=self.probe.method if self.probe else None,
            clock=self._clocks.most_common(1)[0][0] if self._clocks else self.clock,
            source_address=self._options.source_address,
            interval_s=self._options.pace_s,
            size_bytes=self._options.size_bytes,
            fragments=None,
            sent=self.sent,
            received=self.received,
            lost=lost,
            loss_ratio=lost / self.sent if self.sent else None,
            not_sent=self._not_sent,
            sent_per_s=self._sent_per_s(),
            timed=len(self._rtts),
            duplicates=self._duplicates,
            corrupted=self._corrupted,
            late=self._late,
            lesser_clock=self._clocks.total() - self._clocks[self.clock or "user"],
            **name_times(self._rtts, self._user_rtts),
            jitter_ms=self._jitter.value_ms,
            error=self._send_error or self.error,
            errno=self._errno,
            **self._oddities.describe(can_locate=self.clock == "kernel"),
            refused=tuple(self.refused),
            replies=tuple(self._replies[seq] for seq in sorted(self._replies)) if self._keeps_replies else None,
        )
