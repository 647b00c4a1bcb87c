"""Whether what is expected of the loopback holds, waiting until it does if that is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.checks.reading import read_checks
from lodiag.checks.running import Runner
from lodiag.checks.source import read_source
from lodiag.checks.words import count, tell_verdict
from lodiag.clock import to_ms
from lodiag.judge.check import judge_checks
from lodiag.limits import require_choice, require_seconds
from lodiag.model.check import CheckAddress, CheckRecord, CheckSummary, CheckTries
from lodiag.report import ReportMaker
from lodiag.system import System

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lodiag.checks.running import Run
    from lodiag.model import Report

FAIL_ON = ("warn", "fail")
SHORTEST_S = 0.001
FAILED = ("fail", "timeout", "error", "interrupted")


class CheckRun:
    """Checks that were read and are to be run; ``run`` runs them, ``report`` says what became of them."""

    def __init__(  # noqa: PLR0913 - what decides a run
        self,
        *words: str,
        file: str | None = None,
        changes: Sequence[str] = (),
        wait_s: float | None = None,
        timeout_s: float | None = None,
        interval_s: float | None = None,
        fail_on: str = "fail",
        watch: Callable[[Sequence[Run]], None] | None = None,
        system: System | None = None,
    ) -> None:
        """Read the checks: see ``run_checks``. Nothing is sent."""
        self._system = system or System()
        self._fail_on, self.file = fail_on, file
        require_choice("fail-on", fail_on, FAIL_ON)
        for name, value in (("timeout", timeout_s), ("interval", interval_s)):
            if value is not None:
                require_seconds(name, value, least=SHORTEST_S)
        if wait_s is not None:
            require_seconds("wait", wait_s, or_zero=True)
        given = {"wait": wait_s, "timeout": timeout_s, "interval": interval_s}
        self.checks = read_checks(
            None if file is None else read_source(file),
            words,
            changes=changes,
            defaults={name: value for name, value in given.items() if value is not None},
            system=self._system,
        )
        self._runner = Runner(self.checks, self._system, total_s=wait_s, watch=watch)
        self._maker = ReportMaker("check", self._system)

    def run(self) -> None:
        """Run all checks; ``KeyboardInterrupt`` ends it early, and ``report`` then tells how far it was."""
        self._maker = ReportMaker("check", self._system)
        self._runner.run()

    def report(self) -> Report[CheckRecord, CheckSummary]:
        """Say what became of each."""
        now_ns = self._system.monotonic_ns()
        records = [_describe(run, now_ns, fail_on=self._fail_on) for run in self._runner.runs]
        elapsed_ms = to_ms(now_ns - self._maker.started_ns)
        return self._maker.make(
            source="attempts",
            summary=_sum_up(records, elapsed_ms, self.file),
            records=records,
            findings=judge_checks(records),
        )


def run_checks(  # noqa: PLR0913 - what decides a run
    *words: str,
    file: str | None = None,
    changes: Sequence[str] = (),
    wait_s: float | None = None,
    timeout_s: float | None = None,
    interval_s: float | None = None,
    fail_on: str = "fail",
    system: System | None = None,
) -> Report[CheckRecord, CheckSummary]:
    """Run checks side by side, each until it passes or its time is over.

    Args:
        *words: Checks as on the command line: ``tcp:8080``, ``http://127.0.0.1:8080/healthz``, ``listen:5432``.
        file: File of further checks, as TOML; ``-`` for standard input.
        changes: Changes to keys of checks, as ``id.key=value``.
        wait_s: Seconds that all of it may take, and that a check may fail before that counts if it does not say itself.
        timeout_s: Seconds that one attempt may take.
        interval_s: Seconds between two attempts.
        fail_on: `fail`, or `warn` for a warning to fail, too.
        system: The machine; a test's own stands in for it.

    Returns:
        A report with one ``CheckRecord`` per check, in their order; each that failed is a finding.

    Raises:
        ConfigError: The file, a check or a change is wrong, or a target is not on the loopback; nothing was sent.
        UnsupportedError: This process may start no thread.

    """
    run = CheckRun(
        *words,
        file=file,
        changes=changes,
        wait_s=wait_s,
        timeout_s=timeout_s,
        interval_s=interval_s,
        fail_on=fail_on,
        system=system,
    )
    run.run()
    return run.report()


def _describe(run: Run, now_ns: int, *, fail_on: str) -> CheckRecord:
    outcome, check = run.outcome, run.check
    status = run.status or "interrupted"
    success = None if status in {"skipped", "interrupted"} else run.is_passed
    if status in FAILED[:3] and check.severity == "warn":
        status = "warn"
    if status == fail_on == "warn":
        status = "fail"
    return CheckRecord(
        id=check.id,
        kind=check.kind,
        target=check.target,
        status=status,
        success=success,
        message=_tell(run, now_ns),
        attempts=run.attempts,
        elapsed_ms=None if run.began_ns is None else to_ms(run.elapsed_ns(now_ns)),
        addresses=tuple(
            CheckAddress(
                address=answer.address,
                port=answer.port,
                family=answer.family,
                answered=answer.error is None,
                error=answer.error,
                rtt_ms=None if answer.rtt_ms is None else round(answer.rtt_ms, 6),
            )
            for answer in (outcome.answers if outcome else ())
        ),
        observed=outcome.observed if outcome else None,
        expected=outcome.expected if outcome else None,
        history=tuple(CheckTries(error=error, count=times) for error, times in run.tries),
        hint=outcome.hint if outcome else None,
    )


def _tell(run: Run, now_ns: int) -> str:
    """Say what was found; of what went on for a while also how long, how often, and how it went."""
    found = run.outcome.message if run.outcome else "it was not tried"
    if run.attempts <= 1 and run.status not in {"timeout", "interrupted"}:
        return found
    took = f"{run.elapsed_ns(now_ns) / 1e9:.2f} s, {count(run.attempts, 'attempt')}"
    if run.status in {"ok", "warn"}:
        return f"{found} (after {took}: {_tell_tries(run)})"
    lead = {"timeout": "not in time", "interrupted": "interrupted"}.get(str(run.status), "failed")
    streak = f"passed {run.streak} of {run.check.stable} times in a row; " if run.streak else ""
    history = f": {_tell_tries(run)}" if run.tries else ""
    return f"{lead} after {took}{history}; last: {streak}{found}"


def _tell_tries(run: Run) -> str:
    """Write the history: ECONNREFUSED x118, then ETIMEDOUT x2."""
    shown = [f"{error} x{times}" if times > 1 else error for error, times in run.tries]
    return ", then ".join([*shown[:3], f"{len(shown) - 6} changes more", *shown[-3:]] if len(shown) > 7 else shown)  # noqa: PLR2004 - its ends


def _sum_up(records: Sequence[CheckRecord], elapsed_ms: float, file: str | None) -> CheckSummary:
    tally = {
        status: sum(record.status == status for record in records) for status in (*FAILED, "warn", "skipped", "ok")
    }
    failed = [record.id for record in records if record.status in FAILED]
    return CheckSummary(
        verdict=tell_verdict(
            len(records), failed=failed, warned=tally["warn"], skipped=tally["skipped"], elapsed_ms=elapsed_ms
        ),
        file=file,
        checks=len(records),
        passed=sum(bool(record.success) for record in records),
        warned=tally["warn"],
        failed=len(failed),
        timed_out=tally["timeout"],
        errors=tally["error"],
        skipped=tally["skipped"],
    )
