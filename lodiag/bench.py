"""How fast the local stack is: throughput, latency and connection rate, between two processes of lodiag's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.benches.options import BenchOptions
from lodiag.benches.records import make_records
from lodiag.benches.rounds import Runner, list_cases
from lodiag.errors import ConfigError
from lodiag.judge.bench import Setting, judge_bench
from lodiag.model.bench import TESTS, BenchInterference, BenchSummary
from lodiag.report import ReportMaker
from lodiag.rtt import NS_PER_MS
from lodiag.system import System

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lodiag.model import Report
    from lodiag.model.bench import BenchRecord
    from lodiag.system.census import Census

ALL = "all"
LEAST_CORES = 0.05
"""Use of a core below which a process is not worth naming: a quiet machine's daemons stay below."""
MOST_NAMED = 10


def bench_loopback(  # noqa: PLR0913 - iperf3 has more
    *tests: str,
    time_s: float | None = None,
    total_bytes: int | None = None,
    streams: int = 1,
    size_bytes: int | None = None,
    window_bytes: int | None = None,
    reverse: bool = False,
    bidir: bool = False,
    congestion: str | None = None,
    affinity: tuple[int, int] | None = None,
    busy_poll: bool = False,
    quick: bool = False,
    family: str | None = None,
    graceful: bool = False,
    sources: int = 1,
    progress: Callable[[int, int], None] | None = None,
    system: System | None = None,
) -> Report[BenchRecord, BenchSummary]:
    """Measure how fast the loopback of this machine is.

    Args:
        tests: Any of ``stream``, ``rr``, ``crr`` and ``udp``; none, or ``all``, stands for all of them.
        time_s: See ``BenchOptions``, as for all that follow.
        total_bytes: Bytes to send in each slice instead of for a time.
        streams: Connections at a time.
        size_bytes: Bytes of a write, a request, or a datagram.
        window_bytes: Socket buffers.
        reverse: Whether the server sends.
        bidir: Whether both send.
        congestion: TCP's congestion control.
        affinity: Cores of the client and the server.
        busy_poll: Whether both ends of rr wait awake.
        quick: Whether to take two slices of each test instead of five.
        family: ``ipv4``, ``ipv6``, or ``None`` for both.
        graceful: Whether crr closes as most programs do.
        sources: Addresses from which crr connects.
        progress: Called with the slices that are done and those that there will be, while nothing is measured.
        system: The machine; a test's own stands in for it.

    Returns:
        A report with a ``BenchRecord`` for each test and path.

    Raises:
        ConfigError: An option is out of range, or this machine does not have what it names; nothing was sent.
        UnsupportedError: The two processes cannot be had.

    """
    machine = system or System()
    options = BenchOptions(
        tests=choose_tests(tests),
        time_s=time_s,
        total_bytes=total_bytes,
        streams=streams,
        size_bytes=size_bytes,
        window_bytes=window_bytes,
        reverse=reverse,
        bidir=bidir,
        congestion=congestion,
        affinity=affinity,
        busy_poll=busy_poll,
        quick=quick,
        family=family,
        graceful=graceful,
        sources=sources,
    )
    cores = machine.list_cores()
    check_machine(machine, options, cores)
    maker = ReportMaker("bench", machine)
    cases = list_cases(options, cores)
    load = machine.read_load()
    with machine.open_ends() as ends:
        before = machine.take_census()
        runner = Runner(machine, ends, options, Steps(progress, len(cases) * options.rounds))
        measured = runner.run(cases, options.rounds)
        interference = name_strangers(machine, before, measured.spent_ns, ends.pids)
        after = machine.take_census()
    records = make_records(measured, cases, options)
    summary = BenchSummary(
        tests=options.tests,
        rounds=options.rounds,
        runs=1,
        machine=machine.describe_machine(),
        load_before=load,
        interference=interference,
        steal_ratio=_find_steal(before, after),
        throttled_ms=_find_throttled(before, after),
        compared_with=None,
        saved_to=None,
        sentence=None,
    )
    interfaces = machine.list_loopback_interfaces()
    settings = machine.read_settings(interfaces[0].name if interfaces else None)
    findings = judge_bench(summary, records, Setting(interfaces=interfaces, settings=settings))
    return maker.make(source="sockets", summary=summary, records=records, findings=findings)


class Steps:
    """Counts slices, and tells whoever wants to know."""

    def __init__(self, progress: Callable[[int, int], None] | None, total: int) -> None:
        """Begin with none."""
        self._progress, self._total, self._done = progress, total, 0

    def __call__(self) -> None:
        """Count one more."""
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, max(self._total, self._done))


def choose_tests(names: Sequence[str]) -> tuple[str, ...]:
    """Tests that were asked for, in their usual order; those unknown last, to be complained of."""
    if not names or ALL in names:
        return TESTS
    return (*(test for test in TESTS if test in names), *(name for name in names if name not in TESTS))


def check_machine(system: System, options: BenchOptions, cores: tuple[int, ...]) -> None:
    """Raise ``ConfigError`` where this machine does not have what an option names."""
    if options.congestion is not None:
        system.check_congestion(options.congestion)
    if options.affinity is not None:
        missing = [core for core in options.affinity if core not in cores]
        if missing:
            known = ", ".join(map(str, sorted(cores))) or "none: this system does not let them be chosen"
            message = f"core {missing[0]} cannot be used"
            raise ConfigError(message, f"Cores that this process may use: {known}.")
    if options.busy_poll and options.affinity is None and len(cores) < 2:  # noqa: PLR2004 - one for each end
        message = "busy-poll needs two cores: on one, who waits awake keeps the other from answering"
        raise ConfigError(message, "Leave it out.")


def name_strangers(system: System, before: Census, spent_ns: int, own: frozenset[int]) -> tuple[BenchInterference, ...]:
    """Processes of others that have used the processors since then, and how many cores' worth."""
    import os

    from lodiag.system.census import list_strangers

    after = system.take_census()
    spent_s = max(spent_ns / NS_PER_MS / 1000, 1 / after.ticks_per_s)
    found = [
        BenchInterference(pid=pid, process=name, cores_used=round(ticks / after.ticks_per_s / spent_s, 3))
        for pid, name, ticks in list_strangers(before, after, own | {os.getpid()})
    ]
    return tuple(item for item in found if item.cores_used >= LEAST_CORES)[:MOST_NAMED]


def _find_steal(before: Census, after: Census) -> float | None:
    if before.stolen_ticks is None or after.stolen_ticks is None or before.all_ticks is None or after.all_ticks is None:
        return None
    passed = after.all_ticks - before.all_ticks
    return (after.stolen_ticks - before.stolen_ticks) / passed if passed > 0 else None


def _find_throttled(before: Census, after: Census) -> float | None:
    if before.throttled_us is None or after.throttled_us is None:
        return None
    return (after.throttled_us - before.throttled_us) / 1000
