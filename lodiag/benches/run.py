"""A run of ``bench``: everything is measured, compared, judged and reported."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lodiag.benches.against import Against, sum_up
from lodiag.benches.aside import Aside, count_tracked
from lodiag.benches.asking import Beside, Service, check_machine
from lodiag.benches.records import make_records
from lodiag.benches.rounds import Runner, list_cases, merge
from lodiag.benches.watching import Watch
from lodiag.judge.bench import judge_bench
from lodiag.judge.bench_words import Around
from lodiag.model.bench import SERVICE_TESTS, BenchSummary
from lodiag.report import ReportMaker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lodiag.benches import Case
    from lodiag.benches.aside import Idle
    from lodiag.benches.options import BenchOptions
    from lodiag.model import Report
    from lodiag.model.bench import BenchMachine, BenchRecord
    from lodiag.system import System
    from lodiag.system.ends.pool import Ends

PACING, UNPACED = frozenset({"bbr"}), ("cubic", "reno")
"""Congestion controls that let segments out at a rate that they have estimated, and those that do not, best first."""

GAP_S = 1.0
"""Between two runs, so that what passes disturbs one of them."""


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
