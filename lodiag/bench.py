"""How fast the local stack is: throughput, latency and connection rate, between two processes of lodiag's own."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from lodiag.benches.against import KINDS, Against, sum_up
from lodiag.benches.aside import Aside, count_tracked
from lodiag.benches.options import BenchOptions
from lodiag.benches.records import make_records
from lodiag.benches.rounds import Runner, list_cases, merge
from lodiag.benches.watching import Watch
from lodiag.errors import ConfigError
from lodiag.judge.bench import judge_bench
from lodiag.judge.bench_words import Around
from lodiag.limits import require_choice, require_whole
from lodiag.model.bench import SERVICE_TESTS, TESTS, BenchSummary
from lodiag.report import ReportMaker
from lodiag.system import System
from lodiag.targets import resolve_target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lodiag.benches import Case
    from lodiag.benches.aside import Idle
    from lodiag.benches.baseline import Baseline
    from lodiag.model import Report
    from lodiag.model.bench import BenchMachine, BenchRecord
    from lodiag.system.ends.pool import Ends

ALL = "all"
PACING, UNPACED = frozenset({"bbr"}), ("cubic", "reno")
"""Congestion controls that let segments out at a rate that they have estimated, and those that do not, best first."""

SAVED_RUNS = 3
"""Runs of a baseline: two of one machine differ more than two slices of one run."""
MOST_RUNS = 100
GAP_S = 1.0
"""Between two runs, so that what passes disturbs one of them."""


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
    source_addresses: int = 1,
    runs: int = 1,
    baseline: str | None = None,
    fail_if: Sequence[str] = (),
    against: str | int | None = None,
    request: str = "auto",
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
        source_addresses: Addresses from which crr connects.
        runs: How often to measure everything; a baseline is better for three.
        baseline: File with the JSON of an earlier report, which the new one is judged by.
        fail_if: Limits of speed beside the baseline, such as ``stream<0.9``; without any, every test that certainly
            became slower is a failure.
        against: A port, or an address and a port, of a running service to measure instead, beside the stack.
        request: What to ask it: ``http``, ``echo``, ``none``, or ``auto`` to find out by an HTTP request.
        progress: Called with the slices that are done and those that there will be, while nothing is measured.
        system: The machine; a test's own stands in for it.

    Returns:
        A report with a ``BenchRecord`` for each test and path.

    Raises:
        ConfigError: An option is out of range, this machine does not have what it names, or the baseline is of
            another machine or other parameters; nothing was sent.
        TargetError: The service is not on the loopback; nothing was sent.
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
        source_addresses=source_addresses,
    )
    require_whole("runs", runs, 1, MOST_RUNS)
    require_choice("request", request, KINDS)
    if against is not None:
        require_plain(options, runs, baseline)
        targets = find_service(against, family, machine)
        return Bench(machine, options, 1, None, progress, Service(*targets, request)).run()
    return Bench(machine, options, runs, prepare_baseline(machine, options, baseline, fail_if), progress).run()


class Beside(NamedTuple):
    """What to judge by."""

    baseline: Baseline
    limits: dict[str, float]


class Service(NamedTuple):
    """A running service: addresses that it may have, in the order in which a client tries them."""

    addresses: tuple[str, ...]
    port: int
    kind: str


class Bench:
    """One call of ``bench_loopback``."""

    def __init__(  # noqa: PLR0913, PLR0917 - all that a call may have
        self,
        system: System,
        options: BenchOptions,
        runs: int,
        beside: Beside | None,
        progress: Callable[[int, int], None] | None,
        service: Service | None = None,
    ) -> None:
        """Check that this machine has what was asked for."""
        cores = system.list_cores()
        check_machine(system, options, cores)
        self._system, self._options, self._runs, self._beside = system, options, runs, beside
        self._cases = [] if service else [*list_cases(options, cores), *list_unpaced(system, options)]
        self._idle: Idle | None = None
        self._service = service
        self._steps = Steps(progress, (len(self._cases) or 2 * len(SERVICE_TESTS)) * options.rounds * runs)

    def run(self) -> Report[BenchRecord, BenchSummary]:
        """Measure, compare, and judge."""
        from lodiag.benches.baseline import describe_parameters

        maker = ReportMaker("bench", self._system)
        load = self._system.read_load()
        with self._system.open_ends() as ends:
            watch = Watch(self._system)
            records = self._measure(ends) if self._service is None else self._measure_service(ends, self._service)
            seen = watch.end(ends, self._find_servers())
            if self._beside is not None:
                from lodiag.benches.verdicts import judge

                records = judge(records, self._beside.baseline, lambda suspects: self._repeat(ends, suspects))
        summary = BenchSummary(
            tests=self._options.tests if self._service is None else SERVICE_TESTS,
            rounds=self._options.rounds,
            runs=self._runs,
            machine=self._system.describe_machine(),
            parameters=describe_parameters(self._options),
            elapsed_ms=seen.elapsed_ms,
            load_before=load,
            interference=seen.interference,
            steal_ratio=seen.steal_ratio,
            throttled_ms=seen.throttled_ms,
            baseline_at=None if self._beside is None else self._beside.baseline.made_at,
            verdict=None if self._service is None else sum_up(records),
        )
        around = self._look_around(summary.machine, is_whole=not any(record.error for record in records))
        findings = judge_bench(summary, records, around)
        return maker.make(source="sockets", summary=summary, records=records, findings=findings)

    def _measure(self, ends: Ends) -> list[BenchRecord]:
        with Aside(ends, self._options) as aside:
            runner = Runner(self._system, ends, self._options, self._steps, aside.use)
            found = []
            for number in range(self._runs):
                if number and self._options.total_bytes is None:
                    time.sleep(GAP_S)
                found.append(runner.run(self._cases, self._options.rounds))
            self._idle = aside.conclude()
        return make_records(merge(found), self._cases, self._options)

    def _measure_service(self, ends: Ends, service: Service) -> list[BenchRecord]:
        """Measure it at the first of its addresses where something listens."""
        records: list[BenchRecord] = []
        for address in service.addresses:
            against = Against(self._system, ends, self._options, address=address, port=service.port, kind=service.kind)
            records = against.run(self._steps)
            if any(record.port and record.error is None for record in records):
                break
        return records

    def _find_servers(self) -> frozenset[int]:
        """Processes of the service that is measured, as far as this user may see them: their work is no disturbance."""
        if self._service is None:
            return frozenset()
        from lodiag.conns import list_connections

        listeners = list_connections(states=["listen"], local_port=self._service.port, system=self._system)
        return frozenset(owner.pid for record in listeners.records for owner in record.owners or ())

    def _repeat(self, ends: Ends, suspects: Sequence[BenchRecord]) -> Sequence[BenchRecord]:
        """Measure the cases of these records once more."""
        wanted = {_identify(record) for record in suspects}
        cases = [case for case in self._cases if _identify(case) in wanted]
        measured = Runner(self._system, ends, self._options, self._steps).run(cases, self._options.rounds)
        return make_records(measured, cases, self._options)

    def _look_around(self, machine: BenchMachine, *, is_whole: bool) -> Around:
        """Read what findings need beside the records."""
        interfaces = self._system.list_loopback_interfaces()
        settings = self._system.read_settings(interfaces[0].name if interfaces else None)
        changes: Iterable[tuple[str, object, object]] = ()
        limits: dict[str, float] = {}
        if self._beside is not None:
            from lodiag.benches.baseline import list_changes

            changes, limits = list_changes(self._beside.baseline, machine), self._beside.limits
        return Around(
            interfaces=interfaces,
            settings=settings,
            interface=interfaces[0].name if interfaces else None,
            changes=tuple(changes),
            limits=limits,
            idle=self._idle,
            tracking=count_tracked(self._system, self._options.family) if is_whole and self._cases else None,
        )


def list_unpaced(system: System, options: BenchOptions) -> list[Case]:
    """Stream by a congestion control that does not pace, where the system's own does and nobody chose."""
    usual = system.read_sysctl("net.ipv4.tcp_congestion_control")
    allowed = (system.read_sysctl("net.ipv4.tcp_allowed_congestion_control") or "").split()
    others = [name for name in UNPACED if name in allowed]
    if usual not in PACING or options.congestion is not None or options.quick or options.bidir or not others:
        return []
    streams = [case for case in list_cases(options, ()) if case.test == "stream" and case.family]
    return [case._replace(congestion=others[0]) for case in streams[:1]]


def _identify(item: BenchRecord | object) -> tuple[object, ...]:
    """Give what a case and its records share."""
    return tuple(getattr(item, name) for name in ("test", "proto", "family", "placement"))


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


def require_plain(options: BenchOptions, runs: int, baseline: str | None) -> None:
    """Raise ``ConfigError`` for options that a running service has no use for."""
    usual = BenchOptions(time_s=options.time_s, quick=options.quick, family=options.family)
    if options != usual or runs != 1 or baseline is not None:
        message = "a running service is measured by connections and requests, one at a time"
        raise ConfigError(message, "Beside --against leave out all but -t, -4, -6, --quick and --request.")


def find_service(target: str | int, family: str | None, system: System) -> tuple[tuple[str, ...], int]:
    """Addresses and port of a service; with a port alone, those of localhost."""
    from lodiag.targets import split_target

    host, port = split_target(target)
    return resolve_target("localhost" if host is None else host, family, system), port


def prepare_baseline(system: System, options: BenchOptions, path: str | None, fail_if: Sequence[str]) -> Beside | None:
    """Read what to judge by; ``ConfigError`` where a comparison would say nothing."""
    if path is None:
        if fail_if:
            message = "fail-if speaks of a baseline, and there is none"
            raise ConfigError(message, "Name it by --baseline FILE.")
        return None
    from lodiag.benches.baseline import read_baseline, require_comparable
    from lodiag.benches.verdicts import parse_limits

    if options.quick:
        message = "two slices of each test are too few to be compared"
        raise ConfigError(message, "Leave out --quick.")
    limits = parse_limits(fail_if)
    found = read_baseline(path)
    require_comparable(found, system.describe_machine(), options)
    return Beside(found, limits)


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
