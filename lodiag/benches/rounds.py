"""Measuring all cases in turn, round after round, so that what passes disturbs a slice and not a test."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from lodiag.benches import Case, Slice, load
from lodiag.benches.shares import find_taken
from lodiag.dataclass import dataclass, field
from lodiag.system.ends.pool import EndError
from lodiag.system.probe import SendError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lodiag.benches.options import BenchOptions
    from lodiag.system import System
    from lodiag.system.ends.pool import Ends


class Key(NamedTuple):
    """What is measured: a case, and which way its data goes."""

    case: Case
    direction: str | None


class Failure(NamedTuple):
    """Why a case could not be measured: a code, and the system's own word."""

    code: str
    errno: str | None


@dataclass(slots=True)
class Measured:
    """Slices of each key, and the failures of cases."""

    slices: dict[Key, list[Slice]] = field(default_factory=dict)
    failures: dict[Case, Failure] = field(default_factory=dict)
    run_slices: dict[Key, list[int]] = field(default_factory=dict)
    """How many slices of each key every run has measured."""

    def values(self, key: Key) -> tuple[float, ...]:
        """What each slice measured, where it measured anything."""
        return tuple(piece.value for piece in self.slices.get(key, ()) if piece.value is not None)


def _do_nothing() -> None:
    """Nobody asked."""


class Runner:
    """Measures cases by the two ends."""

    def __init__(
        self,
        system: System,
        ends: Ends,
        options: BenchOptions,
        step: Callable[[], None] = _do_nothing,
        after_round: Callable[[Measured], None] | None = None,
    ) -> None:
        """``step`` is called after each slice, when nothing is measured, and ``after_round`` after each round."""
        self._system, self._ends, self._options = system, ends, options
        self._step, self._after_round = step, after_round

    def run(self, cases: Sequence[Case], rounds: int) -> Measured:
        """Measure each case once in every round, each round in another order."""
        measured = Measured()
        for number in range(rounds):
            for case in rotate(cases, number):
                if case not in measured.failures:
                    silent = _find_silence(case, measured)
                    if silent is None:
                        self._measure(case, measured)
                    else:
                        measured.failures[case] = silent
                self._step()
            if self._after_round is not None:
                self._after_round(measured)
        measured.run_slices = {key: [len(measured.values(key))] for key in measured.slices}
        return measured

    def _measure(self, case: Case, measured: Measured) -> None:
        bench = load(case.test)
        try:
            self._ends.prepare(2 * self._options.streams)  # before the window of a slice is opened
            found = bench.measure(case, self._options, self._ends, self._system.monotonic_ns())
        except EndError as error:
            measured.failures[case] = translate(error.errno, str(error))
        except OSError as error:
            measured.failures[case] = translate(error.errno, error.strerror or str(error))
        else:
            for piece in found:
                if piece.value is None and piece.told.get("failed_errno"):
                    measured.failures[case] = translate(piece.told["failed_errno"], "connect")
                told = {**piece.told, "taken": find_taken(self._ends.spent_ns, case.cores)}
                measured.slices.setdefault(Key(case, piece.direction), []).append(piece._replace(told=told))
        finally:
            self._ends.drop()


def merge(runs: Sequence[Measured]) -> Measured:
    """Put what several runs have measured together."""
    whole = Measured()
    for run in runs:
        whole.failures |= run.failures
        for key, slices in run.slices.items():
            whole.slices.setdefault(key, []).extend(slices)
            whole.run_slices.setdefault(key, []).extend(run.run_slices[key])
    return whole


def _find_silence(case: Case, measured: Measured) -> Failure | None:
    """Tell whether the same protocol was not answered at this address before: another wait would tell no more."""
    for other, failure in measured.failures.items():
        if (other.proto, other.address) == (case.proto, case.address) and failure.code == "timeout":
            return failure
    return None


def translate(number: int | None, reason: str) -> Failure:
    """Name what kept a case from being measured, as ``ping`` names what kept a probe from being sent."""
    if number is None:
        return Failure("timeout" if "long" in reason or "timed out" in reason else "interrupted", None)
    error = SendError(OSError(number, reason))
    with suppress(ValueError):
        return Failure(error.code, error.errno_name)
    return Failure(error.code, reason)


def rotate(cases: Sequence[Case], number: int) -> Iterable[Case]:
    """Begin each round elsewhere, every other backwards: no test always follows the same one."""
    if not cases:
        return ()
    start = number * len(cases) // 3 % len(cases)
    turned = [*cases[start:], *cases[:start]]
    return turned if number % 2 == 0 else turned[::-1]


def list_cases(options: BenchOptions, cores: tuple[int, ...]) -> list[Case]:
    """All cases of the tests that were asked for."""
    return [case for test in options.tests for case in load(test).list_cases(options, cores)]
