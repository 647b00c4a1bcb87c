"""The bookkeeping of hop probes: which were sent at which distance, and what answered."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from lodiag.clock import NS_PER_S, to_ms
from lodiag.dataclass import dataclass
from lodiag.model.trace import HopProbe, HopRecord
from lodiag.rtt import describe_rtts
from lodiag.system.probe import SendError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from lodiag.hops.options import TraceOptions
    from lodiag.system import System
    from lodiag.system.probe import Answer, ProbeSocket


PATIENCE_S = 0.1
"""How long the first probe of each hop is waited for before the others go out, no farther than to the target.

Hosts answer some six probes at once and then one a second (Linux's icmp_ratelimit), so none is to be wasted.
"""

AT_ONCE, PAUSE_S = 6, 0.001
"""First probes that go out without a pause, in which a target that is near answers before those beyond it are asked."""

DOUBTS = 10
"""Probes that a near hop is asked again with, before its silence is believed although the target answered."""


@dataclass(slots=True)
class Probe:
    """A probe of one hop, and what became of it so far."""

    hop: int
    sent_ns: int | None = None
    answer: Answer | None = None
    failure: SendError | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is under way."""
        return self.sent_ns is not None and self.answer is None

    @property
    def status(self) -> str:
        """One of HOP_STATUSES."""
        if self.sent_ns is None:
            return "not-sent"
        if self.answer is None:
            return "timeout"
        if self.answer.is_reply:
            return "reached"
        return "ttl-exceeded" if self.answer.error == "ttl-exceeded" else "unreachable"

    @property
    def rtt_ns(self) -> int | None:
        """Nanoseconds until it was answered; ``None`` as well if it is not known which sending of it was."""
        if self.sent_ns is None or self.answer is None or self.answer.was_resent:
            return None
        return self.answer.received_ns - self.sent_ns

    def describe(self, name: Callable[[int], str | None]) -> HopProbe:
        """Describe it; ``name`` gives the name of an interface."""
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
            reply_ttl=answer.ttl if answer else None,
            interface=name(answer.interface_index) if answer and answer.interface_index else None,
            error=failed.get(self.status),
            errno=self.failure.errno_name if self.failure else None,
        )


class HopWalk:
    """Probes of all hops, from one socket."""

    def __init__(self, probe: ProbeSocket, system: System, options: TraceOptions, end_ns: int) -> None:
        """Prepare; ``end_ns`` is the monotonic time at which the walk ends at the latest."""
        self.socket, self._system, self._options, self._end_ns = probe, system, options, end_ns
        self._probes: list[Probe] = []
        self._last_hop: int | None = None

    def steps(self) -> Iterator[int]:
        """Ask all hops at once, and yield until when to wait, to be resumed when something came or then.

        Nothing is asked beyond the hop that the target was seen at. The hops that kept silent on the way are asked
        once more: routers answer only so often.
        """
        hops = range(self._options.first_hop, self._options.max_hops + 1)
        self.socket.receive()
        for at in range(0, len(hops), AT_ONCE):
            self._ask(hops[at : at + AT_ONCE], 1)
            yield from self._await(PAUSE_S)
        yield from self._await(min(PATIENCE_S, self._options.timeout_s))
        self._ask(hops, self._options.probes_per_hop - 1)
        yield from self._await(self._options.timeout_s)
        silent = self._list_silent()
        if silent and self._options.asks_again:
            # Only the target answers, from afar: are probes lost, or does a router keep silent?
            is_doubtful = not any(p.status == "ttl-exceeded" for p in self._probes)
            self._ask(silent[:1] if is_doubtful else silent, DOUBTS if is_doubtful else 1)
            yield from self._await(self._options.timeout_s)

    def _list_silent(self) -> list[int]:
        """Hops on the way to the farthest that answered, none of whose probes was answered."""
        answered = {p.hop for p in self._probes if p.answer and self._matters(p)}
        return [hop for hop in range(self._options.first_hop, max(answered, default=0)) if hop not in answered]

    def _decide(self, probe: Probe) -> None:
        """Note the nearest hop beyond which there is nothing to ask: the target's, a refusal's, or one not sent to."""
        if probe.status != "ttl-exceeded" and self._matters(probe):
            self._last_hop = probe.hop

    def _matters(self, probe: Probe) -> bool:
        return self._last_hop is None or probe.hop <= self._last_hop

    def records(self) -> list[HopRecord]:
        """Describe the hops up to the last one that says anything."""
        hops: dict[int, list[Probe]] = {}
        for probe in filter(self._matters, self._probes):
            hops.setdefault(probe.hop, []).append(probe)
        return [describe_hop(hop, self.socket.method, hops[hop], self._system) for hop in sorted(hops)]

    def _ask(self, hops: Iterable[int], queries: int) -> None:
        for _ in range(queries):
            for hop in hops:
                if self._last_hop is not None and hop > self._last_hop:
                    break
                if self._system.monotonic_ns() >= self._end_ns or not self._send(hop):
                    return

    def _send(self, hop: int) -> bool:
        """Send a probe; false if it and all farther ones must wait for descriptors that nearer ones hold."""
        probe = Probe(hop)
        try:
            probe.sent_ns = self.socket.send(len(self._probes) + 1, hop)
        except SendError as error:
            if error.code == "too-many-open-files" and any(p.is_open for p in self._probes):
                return False
            probe.failure = error
            self._decide(probe)
        self._probes.append(probe)
        self._collect()
        return True

    def _await(self, longest_s: float) -> Iterator[int]:
        """Wait while a probe that matters is open."""
        until_ns = min(self._system.monotonic_ns() + round(longest_s * NS_PER_S), self._end_ns)
        while self._is_undecided() and self._system.monotonic_ns() < until_ns:
            yield until_ns
            self._collect()

    def _is_undecided(self) -> bool:
        return any(p.is_open for p in self._probes if self._matters(p))

    def _collect(self) -> None:
        while True:
            answer = self.socket.receive()
            if answer is None:
                return
            if 0 < answer.seq <= len(self._probes) and self._probes[answer.seq - 1].is_open:
                self._probes[answer.seq - 1].answer = answer
                self._decide(self._probes[answer.seq - 1])


def walk_all(walks: Sequence[HopWalk], system: System) -> None:
    """Walk by several sockets at once, each until it has nothing more to wait for."""
    steps = {walk: walk.steps() for walk in walks}
    due_ns = {walk: due for walk in walks if (due := next(steps[walk], None)) is not None}
    while due_ns:
        left_ns = min(due_ns.values()) - system.monotonic_ns()
        system.wait([walk.socket for walk in due_ns], max(left_ns, 0) / NS_PER_S)
        due_ns = {walk: due for walk in due_ns if (due := next(steps[walk], None)) is not None}


def describe_hop(hop: int, method: str, probes: Sequence[Probe], system: System) -> HopRecord:
    """Describe what answered at one distance."""
    name = cache(system.name_interface)
    described = tuple(probe.describe(name) for probe in probes)
    answered = [probe for probe in described if probe.status not in {"timeout", "not-sent"}]
    sent = sum(probe.sent_ns is not None for probe in probes)
    rtts = describe_rtts([probe.rtt_ns for probe in probes if probe.rtt_ns is not None])
    last = answered[-1] if answered else None
    return HopRecord(
        hop=hop,
        address=answered[0].address if answered else None,
        method=method,
        probes=described,
        sent=sent,
        received=len(answered),
        loss_ratio=(sent - len(answered)) / sent if sent else None,
        rtt_last_ms=last.rtt_ms if last else None,
        rtt_min_ms=rtts.min_ms,
        rtt_avg_ms=rtts.avg_ms,
        rtt_max_ms=rtts.max_ms,
        rtt_stddev_ms=rtts.stddev_ms,
        reply_ttl=last.reply_ttl if last else None,
        interface=last.interface if last else None,
        mtu_bytes=None,
    )
