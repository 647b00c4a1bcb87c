"""Who else used the processors while something was measured, and who took them away."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from lodiag.model.bench import BenchInterference
from lodiag.system.census import list_strangers

if TYPE_CHECKING:
    from lodiag.system import System
    from lodiag.system.ends.pool import Ends

NS_PER_S = 1_000_000_000
LEAST_CORES = 0.05
"""Use of a core below which a process is not worth naming: a quiet machine's daemons stay below."""
MOST_NAMED = 10


class Seen(NamedTuple):
    """What was seen in the meantime; ``None`` for what this system does not tell."""

    interference: tuple[BenchInterference, ...]
    elapsed_ms: float
    steal_ratio: float | None
    throttled_ms: float | None


class Watch:
    """Looks at the processors when it begins, and when it ends."""

    def __init__(self, system: System) -> None:
        """Begin."""
        self._system = system
        self._before, self._begun_ns = system.take_census(), system.monotonic_ns()

    def end(self, ends: Ends, measured: frozenset[int] = frozenset()) -> Seen:
        """Tell what was seen since then; what this process, its ends and those ``measured`` did is their own."""
        before, after = self._before, self._system.take_census()
        spent_s = max((self._system.monotonic_ns() - self._begun_ns) / NS_PER_S, 1 / after.ticks_per_s)
        used = [
            BenchInterference(pid=pid, process=name, cores_used=round(ticks / after.ticks_per_s / spent_s, 3))
            for pid, name, ticks in list_strangers(before, after, ends.pids | measured | {os.getpid()})
        ]
        steal = throttled = None
        if None not in {before.stolen_ticks, after.stolen_ticks, before.all_ticks, after.all_ticks}:
            passed = (after.all_ticks or 0) - (before.all_ticks or 0)
            steal = ((after.stolen_ticks or 0) - (before.stolen_ticks or 0)) / passed if passed > 0 else None
        if before.throttled_us is not None and after.throttled_us is not None:
            throttled = (after.throttled_us - before.throttled_us) / 1000
        named = tuple(item for item in used if item.cores_used >= LEAST_CORES)[:MOST_NAMED]
        return Seen(named, spent_s * 1000, steal, throttled)
