"""The bookkeeping of hop probes: which were sent at which distance, and what answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lodiag.clock import NS_PER_S
from lodiag.model.trace import HopProbe, HopRecord
from lodiag.rtt import describe_rtts, to_ms
from lodiag.system.probe import SendError

if TYPE_CHECKING:
    from lodiag.system import System
    from lodiag.system.probe import Answer, ProbeSocket


DOUBTS = 10
"""Probes that a near hop is asked again with, before its silence is believed although the target answered."""


@dataclass(slots=True)
class _Probe:
    hop: int
    sent_ns: int | None = None
    answer: Answer | None = None
    failure: SendError | None = None

    @property
    def is_open(self) -> bool:
        return self.sent_ns is not None and self.answer is None

    @property
    def status(self) -> str:
        if self.sent_ns is None:
            return "not-sent"
        if self.answer is None:
            return "timeout"
        if self.answer.is_reply:
            return "reached"
        return "ttl-exceeded" if self.answer.error == "ttl-exceeded" else "unreachable"

    @property
    def rtt_ns(self) -> int | None:
        return None if self.sent_ns is None or self.answer is None else self.answer.received_ns - self.sent_ns

    def describe(self) -> HopProbe:
        answer, rtt_ns = self.answer, self.rtt_ns
        failed = {
            "timeout": "timeout",
            "not-sent": self.failure.code if self.failure else None,
            "unreachable": answer.error if answer else None,
        }
        return HopProbe(
            address=answer.address if answer else None,
            rtt_ms=None if rtt_ns is None else to_ms(rtt_ns),
            status=self.status,
            icmp_type=answer.icmp_type if answer else None,
            icmp_code=answer.icmp_code if answer else None,
            error=failed.get(self.status),
            errno=self.failure.errno_name if self.failure else None,
        )


class HopWalk:
    """Probes of ever farther hops, from one socket."""

    def __init__(self, probe: ProbeSocket, system: System, *, queries: int, timeout_s: float, end_ns: int) -> None:
        """Prepare; ``end_ns`` is the monotonic time at which the walk ends at the latest."""
        self._socket, self._system = probe, system
        self._queries, self._timeout_ns, self._end_ns = queries, round(timeout_s * NS_PER_S), end_ns
        self._probes: list[_Probe] = []

    def walk(self, first_hop: int, max_hops: int) -> None:
        """Go hop by hop while each answers; past a silent one, ask all the rest at once and wait once."""
        self._socket.receive()
        hop = first_hop
        while hop <= max_hops and self._system.monotonic_ns() < self._end_ns:
            silent = bool(self._probes) and not any(p.answer for p in self._probes if p.hop == hop - 1)
            hops = range(hop, max_hops + 1) if silent else range(hop, hop + 1)
            self._ask(hops)
            if self._last_hop() is not None:
                break
            hop = hops.stop
        if not any(p.answer for p in self._probes if p.hop == first_hop) and self._last_hop() not in {None, first_hop}:
            # All probes of a near hop lost, and the target reached from afar: loss, or a router that keeps silent?
            self._ask(range(first_hop, first_hop + 1), DOUBTS)

    def _last_hop(self) -> int | None:
        """Nearest hop beyond which there is nothing to ask: the target's, a refusal's, or one never sent to."""
        ends = [p.hop for p in self._probes if p.status in {"reached", "unreachable", "not-sent"}]
        return min(ends, default=None)

    def records(self) -> list[HopRecord]:
        """Describe the hops up to the last one that says anything."""
        last = self._last_hop()
        hops = sorted({p.hop for p in self._probes if last is None or p.hop <= last})
        return [describe_hop(hop, self._socket.method, [p for p in self._probes if p.hop == hop]) for hop in hops]

    def _ask(self, hops: range, queries: int | None = None) -> None:
        for hop in hops:
            if not all(self._send(hop) for _ in range(queries or self._queries)):
                break
        give_up_ns = min(self._system.monotonic_ns() + self._timeout_ns, self._end_ns)
        while self._is_undecided():
            left_ns = give_up_ns - self._system.monotonic_ns()
            if left_ns <= 0:
                return
            self._system.wait([self._socket], left_ns / NS_PER_S)
            self._collect()

    def _send(self, hop: int) -> bool:
        """Send a probe; false if it and all farther ones must wait for descriptors that nearer ones hold."""
        probe = _Probe(hop)
        try:
            probe.sent_ns = self._socket.send(len(self._probes) + 1, hop)
        except SendError as error:
            if error.code == "too-many-open-files" and any(p.is_open for p in self._probes):
                return False
            probe.failure = error
        self._probes.append(probe)
        self._collect()
        return True

    def _is_undecided(self) -> bool:
        last = self._last_hop()
        return any(p.is_open for p in self._probes if last is None or p.hop <= last)

    def _collect(self) -> None:
        while True:
            answer = self._socket.receive()
            if answer is None:
                return
            if 0 < answer.seq <= len(self._probes) and self._probes[answer.seq - 1].is_open:
                self._probes[answer.seq - 1].answer = answer


def describe_hop(hop: int, method: str, probes: list[_Probe]) -> HopRecord:
    """Describe what answered at one distance."""
    sent = sum(p.sent_ns is not None for p in probes)
    rtts_ns = [p.rtt_ns for p in probes if p.rtt_ns is not None]
    rtts = describe_rtts(rtts_ns)
    return HopRecord(
        hop=hop,
        address=next((p.answer.address for p in probes if p.answer), None),
        method=method,
        probes=tuple(p.describe() for p in probes),
        sent=sent,
        received=len(rtts_ns),
        loss_ratio=(sent - len(rtts_ns)) / sent if sent else None,
        rtt_min_ms=rtts.min_ms,
        rtt_avg_ms=rtts.avg_ms,
        rtt_max_ms=rtts.max_ms,
    )


def describe_unsent(hop: int, method: str, queries: int, failure: SendError) -> HopRecord:
    """Describe a hop whose probes could not be sent, because the socket could not be had."""
    return describe_hop(hop, method, [_Probe(hop, failure=failure) for _ in range(queries)])
