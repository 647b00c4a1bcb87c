"""The way to a loopback address, traced again and again: what each hop answers, and loses, in the long run."""

from __future__ import annotations

from itertools import count
from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

from lodiag import __version__
from lodiag.clock import NS_PER_MS, NS_PER_S, to_ms
from lodiag.dataclass import replace
from lodiag.hops.options import TraceOptions
from lodiag.hops.tracing import trace_address
from lodiag.limits import require_seconds
from lodiag.model import SCHEMA
from lodiag.model.rounds import TraceRound, TraceWatching
from lodiag.schedule import Schedule
from lodiag.system import System
from lodiag.targets import resolve_target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypedDict, Unpack

    from lodiag.model import Report
    from lodiag.model.trace import HopRecord, TraceSummary

    class Choices(TypedDict, total=False):
        """What ``trace_route`` takes."""

        method: str
        first_hop: int
        max_hops: int
        timeout_s: float
        port: int | None
        family: str | None


LEAST_INTERVAL_S = 0.1
SHARE_OF_INTERVAL = 0.9
"""How much of it a round may take, so that the next is not missed."""

MOST_UNREACHED = 3
"""Rounds that the target may be lost in before it is looked for farther away than it was."""


class Round(NamedTuple):
    """One trace of many.

    Attributes:
        number: 1 for the first.
        report: What this round saw and concluded by itself, with one probe a hop.
        records: The hops to the target, or as far as anything ever answered: ``probes`` are those of this round, and
            all counts and times are of all rounds until now.

    """

    number: int
    report: Report[HopRecord, TraceSummary]
    records: tuple[HopRecord, ...]

    def describe(self) -> TraceRound:
        """Describe it."""
        summary = self.report.summary
        return TraceRound(
            round=self.number,
            at=self.report.started_at,
            duration_ms=self.report.duration_ms,
            reached=summary.reached,
            hops=summary.hops,
            route=summary.route,
            findings=self.report.findings,
            records=self.records,
        )


def watch_route(
    target: str = "localhost",
    *,
    interval_s: float = 1.0,
    keep_going: Callable[[], bool] = lambda: True,
    system: System | None = None,
    **choices: Unpack[Choices],
) -> Iterator[Round]:
    """Trace the way to a loopback address in rounds, for as long as ``keep_going`` says.

    A round asks each hop once, and is over before the next is due.

    Args:
        target: A name or an address; a name is resolved once.
        interval_s: Seconds from one round to the next, from 0.1 to a day.
        keep_going: Asked before each round but the first, and ten times a second between them.
        system: The machine; a test's own stands in for it.
        choices: As ``trace_route`` has them.

    Raises:
        TargetError: The target is malformed, unknown, or not on the loopback; nothing was sent.
        ConfigError: An option is out of range; nothing was sent.
        PrivilegeError: Every method was refused; nothing was sent.

    """
    require_seconds("interval", interval_s, least=LEAST_INTERVAL_S)
    options = TraceOptions(queries=1, deadline_s=interval_s * SHARE_OF_INTERVAL, asks_again=False, **choices)
    machine = system or System()
    address = resolve_target(target, options.family, machine)[0]
    schedule = Schedule(machine, round(interval_s * NS_PER_S), keep_going)
    return _watch(_Watch(target, address, options, machine), schedule)


def describe_start(first: Round, interval_s: float) -> TraceWatching:
    """Tell what is watched, by the first round."""
    summary = first.report.summary
    return TraceWatching(
        schema=SCHEMA,
        version=__version__,
        started_at=first.report.started_at,
        interval_s=interval_s,
        host=first.report.host,
        target=summary.target,
        address=summary.address,
        method=summary.method,
        refused=summary.refused,
    )


def _watch(watch: _Watch, schedule: Schedule) -> Iterator[Round]:
    for number in count(1):
        schedule.begin()
        yield watch.trace(number)
        if not schedule.wait():
            return


class _Watch:
    """What is known of the way from the rounds until now."""

    def __init__(self, target: str, address: str, options: TraceOptions, system: System) -> None:
        self._target, self._address, self._options, self._system = target, address, options, system
        self._tallies: dict[tuple[str, int], _Tally] = {}
        self._distance: int | None = None
        self._unreached = 0

    def trace(self, number: int) -> Round:
        """Trace once: to where the target was, unless it seems to have gone farther away."""
        last_hop = self._distance or self._options.max_hops
        report = trace_address(self._target, self._address, replace(self._options, max_hops=last_hop), self._system)
        for record in report.records:
            self._tallies.setdefault((record.method, record.hop), _Tally()).add(record)
        self._place(report)
        last = {m.method: m.hops or self._find_farthest(m.method) for m in report.summary.methods}
        shown = [r for r in report.records if r.hop <= last[r.method]]
        return Round(number, report, tuple(self._tallies[r.method, r.hop].describe(r) for r in shown))

    def _place(self, report: Report[HopRecord, TraceSummary]) -> None:
        """Note how far away the target is."""
        distances = [found.hops for found in report.summary.methods]
        self._unreached = 0 if all(distances) else self._unreached + 1
        there = (probe for record in report.records if record.hop == self._distance for probe in record.probes)
        is_farther = any(probe.status == "ttl-exceeded" for probe in there)
        if all(distances):
            self._distance = max(hops or 0 for hops in distances)
        elif is_farther or self._unreached >= MOST_UNREACHED:
            self._distance = None

    def _find_farthest(self, method: str) -> int:
        """Farthest hop that ever answered; the first if none did."""
        hops = [hop for (own, hop), tally in self._tallies.items() if own == method and tally.received]
        return max(hops, default=self._options.first_hop)


class _Tally:
    """What one hop has answered in all rounds, in a few numbers."""

    def __init__(self) -> None:
        self.received = 0
        self._sent = 0
        self._last: HopRecord | None = None
        self._total_ns = self._squares = self._most_ns = 0
        self._least_ns: int | None = None

    def add(self, record: HopRecord) -> None:
        """Take in a round's probes of the hop."""
        self._sent += record.sent
        for probe in record.probes:
            if probe.rtt_ms is not None:
                rtt_ns = round(probe.rtt_ms * NS_PER_MS)
                self.received += 1
                self._total_ns += rtt_ns
                self._squares += rtt_ns * rtt_ns
                self._least_ns = rtt_ns if self._least_ns is None else min(self._least_ns, rtt_ns)
                self._most_ns = max(self._most_ns, rtt_ns)
                self._last = record

    def describe(self, record: HopRecord) -> HopRecord:
        """Describe the hop with the last round's probes, and the counts and times of all."""
        last, received, sent = self._last, self.received, self._sent
        variance = received * self._squares - self._total_ns * self._total_ns
        return replace(
            record,
            address=last.address if last else None,
            sent=sent,
            received=received,
            loss_ratio=(sent - received) / sent if sent else None,
            rtt_last_ms=last.rtt_last_ms if last else None,
            rtt_min_ms=None if self._least_ns is None else to_ms(self._least_ns),
            rtt_avg_ms=to_ms(self._total_ns / received) if received else None,
            rtt_max_ms=to_ms(self._most_ns) if received else None,
            rtt_stddev_ms=to_ms(sqrt(variance) / received) if received else None,
            reply_ttl=last.reply_ttl if last else None,
            interface=last.interface if last else None,
        )
