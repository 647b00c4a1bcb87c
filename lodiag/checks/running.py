"""Running checks side by side, again and again until they pass or their time is over.

One thread keeps the books, and hands attempts to others that do nothing but attempt: no state is shared, and an attempt
that hangs keeps nobody from ending in time.
"""

from __future__ import annotations

import heapq
import threading
from itertools import count
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from lodiag.checks.kinds import load_kind
from lodiag.checks.outcome import Outcome
from lodiag.clock import NS_PER_S
from lodiag.errors import LodiagError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lodiag.checks.reading import Check
    from lodiag.system import System

MOST_WORKERS = 256
"""Attempts under way at once; more wait for the first of them to end."""

GRACE_NS = 100_000_000
"""How long an attempt may take beyond its time before it is given up: on a busy machine a thread may wait that long."""

LAST_NS = 20_000_000
"""The last attempt begins so long before the deadline, if the interval does not bring one later."""

LONGEST_SLEEP_S = 1.0
MOST_TRIES = 40
"""Entries of a history; one that goes to and fro for hours has its oldest left out."""


class Run:
    """One check as it goes on, and in the end its result."""

    def __init__(self, check: Check, number: int) -> None:
        """Begin with nothing."""
        self.check, self.number = check, number
        self.began_ns: int | None = None
        self.ended_ns: int | None = None
        self.deadline_ns = 0
        self.attempts = self.streak = 0
        self.is_under_way = False
        self.tries: list[tuple[str, int]] = []
        self.outcome: Outcome | None = None
        self.status: str | None = None

    @property
    def is_passed(self) -> bool:
        """Whether it has passed, or need not have."""
        return self.status in {"ok", "warn"} and self.outcome is not None and self.outcome.is_pass

    def note(self, outcome: Outcome) -> None:
        """Take what the latest attempt found."""
        self.outcome = outcome
        self.streak = self.streak + 1 if outcome.is_pass else 0
        word = "ok" if outcome.is_pass else outcome.error or outcome.status
        if self.tries and self.tries[-1][0] == word:
            self.tries[-1] = word, self.tries[-1][1] + 1
        else:
            self.tries = [*self.tries[1 - MOST_TRIES :], (word, 1)]

    def elapsed_ns(self, now_ns: int) -> int:
        """How long it has been going on, or went on."""
        return 0 if self.began_ns is None else (self.ended_ns or now_ns) - self.began_ns


class Runner:
    """Runs checks; what became of each is in ``runs``, in their order, also when it was interrupted."""

    def __init__(
        self,
        checks: Sequence[Check],
        system: System,
        *,
        total_s: float | None = None,
        watch: Callable[[Sequence[Run]], None] | None = None,
    ) -> None:
        """Prepare to run; ``total_s`` bounds all of it, and ``watch`` is told whenever something became known."""
        self.runs = [Run(check, number) for number, check in enumerate(checks)]
        self._system, self._watch = system, watch
        self._total_s = total_s
        self._until_ns: int | None = None
        self._waiting = [*self.runs]
        self._open = len(self.runs)
        self._by_id = {run.check.id: run for run in self.runs}
        self._tasks: SimpleQueue[tuple[Run, int, float] | None] = SimpleQueue()
        self._done: SimpleQueue[tuple[Run, int, Outcome]] = SimpleQueue()
        self._events: list[tuple[int, int, str, Run, int]] = []
        self._order = count()
        self._under_way = self._workers = 0

    def run(self) -> None:
        """Run until all checks have a result; ``KeyboardInterrupt`` leaves those that have none as interrupted."""
        if self._total_s:
            self._until_ns = self._system.monotonic_ns() + int(self._total_s * NS_PER_S)
        for kind in {run.check.kind for run in self.runs}:
            load_kind(kind)  # one thread loads what all of them use
        try:
            self._begin_ready()
            while self._open:
                self._turn()
        finally:
            now_ns = self._system.monotonic_ns()
            for run in self.runs:
                if run.status is None:
                    self._settle(run, "interrupted", now_ns)
            for _ in range(self._workers):
                self._tasks.put(None)

    def _begin_ready(self) -> None:
        """Begin the checks whose needs have passed, and skip those whose needs have not."""
        now_ns = self._system.monotonic_ns()
        is_settled = bool(self._waiting)
        while is_settled:
            is_settled = False
            for run in self._waiting:
                needed = [self._by_id[name] for name in run.check.needs]
                failed = next((other for other in needed if other.status is not None and not other.is_passed), None)
                if failed is not None:
                    word = "was skipped" if failed.status == "skipped" else "did not pass"
                    run.outcome = Outcome("skipped", f"skipped: {failed.check.id} {word}")
                    run.status = "skipped"
                    self._open -= 1
                    is_settled = True
                elif all(other.is_passed for other in needed):
                    self._begin(run, now_ns)
            self._waiting = [run for run in self._waiting if run.began_ns is None and run.status is None]

    def _begin(self, run: Run, now_ns: int) -> None:
        run.began_ns = now_ns
        run.deadline_ns = self._bound(now_ns, run.check.wait_s or run.check.timeout_s)
        self._plan(now_ns, "attempt", run)

    def _bound(self, now_ns: int, seconds: float) -> int:
        """When so many seconds are over, or all is."""
        until_ns = now_ns + int(seconds * NS_PER_S)
        return until_ns if self._until_ns is None else min(until_ns, self._until_ns)

    def _plan(self, at_ns: int, what: str, run: Run) -> None:
        heapq.heappush(self._events, (at_ns, next(self._order), what, run, run.attempts))

    def _turn(self) -> None:
        """Do what is due, then take what comes until something is due again."""
        now_ns = self._system.monotonic_ns()
        while self._events and self._events[0][0] <= now_ns:
            if self._events[0][2] == "attempt" and self._under_way >= MOST_WORKERS:
                break
            _, _, what, run, attempts = heapq.heappop(self._events)
            if run.status is not None or attempts != run.attempts:
                continue
            if what == "attempt":
                self._attempt(run, now_ns)
            elif run.is_under_way:
                self._give_up(run)
        if not self._open:
            return
        due_ns = self._events[0][0] if self._events else now_ns + NS_PER_S
        wait_s = min(max((due_ns - now_ns) / NS_PER_S, 0.0), LONGEST_SLEEP_S)
        if self._under_way >= MOST_WORKERS:
            wait_s = max(wait_s, 0.01)
        for run, attempts, outcome in self._take(wait_s):
            if run.status is None and run.is_under_way and attempts == run.attempts:
                self._under_way -= 1
                self._conclude(run, outcome)

    def _take(self, wait_s: float) -> Iterator[tuple[Run, int, Outcome]]:
        """Take what attempts have found: wait for the first, and not for others."""
        try:
            yield self._done.get(timeout=wait_s) if wait_s else self._done.get_nowait()
            while True:
                yield self._done.get_nowait()
        except Empty:
            return

    def _attempt(self, run: Run, now_ns: int) -> None:
        left_ns = min(int(run.check.timeout_s * NS_PER_S), run.deadline_ns - now_ns)
        if left_ns <= 0:
            self._settle(run, "timeout", now_ns)
            return
        run.attempts += 1
        run.is_under_way = True
        self._under_way += 1
        if self._under_way > self._workers:
            self._workers += self._hire()
        self._tasks.put((run, run.attempts, left_ns / NS_PER_S))
        self._plan(now_ns + left_ns + GRACE_NS, "overdue", run)

    def _hire(self) -> bool:
        """Start one more thread; where no more may be, those that there are must do."""
        try:
            threading.Thread(target=self._work, daemon=True).start()
        except RuntimeError as error:
            if self._workers:
                return False
            message = "this process may start no thread"
            raise UnsupportedError(message, "This user, or the container, is allowed too few threads.") from error
        return True

    def _give_up(self, run: Run) -> None:
        """Leave an attempt alone that does not end, and its thread with it."""
        self._under_way -= 1
        self._workers -= 1
        words = f"gave no result in {run.check.timeout_s:g} s"
        self._conclude(run, Outcome("fail", words, error="ETIMEDOUT"))

    def _conclude(self, run: Run, outcome: Outcome) -> None:
        """Note what an attempt found, and see what follows: another attempt, or the result."""
        run.is_under_way = False
        run.note(outcome)
        now_ns = self._system.monotonic_ns()
        is_stable = run.streak >= run.check.stable
        is_lost = not outcome.is_pass and (not run.check.wait_s or outcome.is_permanent)
        if is_stable or is_lost:
            self._settle(run, outcome.status, now_ns)
        else:
            next_ns = now_ns + int(run.check.interval_s * NS_PER_S)
            if not run.check.wait_s:  # it passed, and must again
                run.deadline_ns = self._bound(next_ns, run.check.timeout_s)
            if now_ns >= run.deadline_ns - LAST_NS:
                self._settle(run, "timeout", now_ns)
                return
            self._plan(min(next_ns, run.deadline_ns - LAST_NS), "attempt", run)
        if self._watch:
            self._watch(self.runs)

    def _settle(self, run: Run, status: str, now_ns: int) -> None:
        run.status, run.ended_ns = status, now_ns
        self._open -= 1
        if status != "interrupted":
            self._begin_ready()
        if self._watch:
            self._watch(self.runs)

    def _work(self) -> None:
        """Attempt what comes, until nothing more will."""
        while (task := self._tasks.get()) is not None:
            run, attempts, left_s = task
            check = run.check
            try:
                outcome: Outcome = load_kind(check.kind).attempt(check.settings, left_s, self._system)
            except LodiagError as error:
                outcome = Outcome("error", str(error), error=error.code, is_permanent=True, hint=error.hint)
            except Exception as error:  # noqa: BLE001 - one check that breaks must not take the others with it
                outcome = Outcome("error", f"lodiag failed: {type(error).__name__}: {error}", error="bug")
            self._done.put((run, attempts, outcome))
