"""Who used the processors: all processes' times, read before and after."""

from __future__ import annotations

import os
from collections import Counter
from typing import NamedTuple

from lodiag.system.machine import list_own_groups, read

KTHREADD = 2
"""Parent of the kernel's threads, which do what others ask for: the work of softirqs is the benchmark's own."""

UTIME, PPID = 14 - 3, 4 - 3
"""Indices among the fields of proc_pid_stat(5) that follow the second; after utime come stime, and cutime and cstime,
which are those of children that have ended and were waited for."""

STEAL = 8
"""Index of the time that a host gave to others, on the line "cpu" of proc_stat(5)."""


class Time(NamedTuple):
    """Ticks that a process has used, and those that its children had used when they ended."""

    name: str
    parent: int
    ticks: int
    inherited: int


class Census(NamedTuple):
    """Times by pid, those of the processors, and how long quotas have stopped this process's control groups.

    ``None`` for what cannot be read.
    """

    times: dict[int, Time]
    stolen_ticks: int | None
    all_ticks: int | None
    throttled_us: int | None
    ticks_per_s: int


def take_census() -> Census:
    """Read them; without /proc there are none."""
    ticks = [int(word) for word in (read("/proc/stat") or "").partition("\n")[0].split()[1:]]
    return Census(
        times=_read_times(),
        stolen_ticks=ticks[STEAL - 1] if len(ticks) >= STEAL else None,
        all_ticks=sum(ticks[:STEAL]) if ticks else None,
        throttled_us=_read_throttled(),
        ticks_per_s=os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100,
    )


def _read_times() -> dict[int, Time]:
    found = {}
    try:
        names = os.listdir("/proc")  # noqa: PTH208 - a Path each costs
    except OSError:  # hidden, or another system
        return {}
    for name in names:
        if name.isdecimal() and (line := read(f"/proc/{name}/stat")):
            before, _, after = line.rpartition(")")  # the name may hold any itself
            fields = after.split()
            user, system, of_children, in_children = map(int, fields[UTIME : UTIME + 4])
            command = before.partition("(")[2]
            found[int(name)] = Time(command, int(fields[PPID]), user + system, of_children + in_children)
    return found


def _read_throttled() -> int | None:
    lines = [line for group in list_own_groups() for line in (read(f"{group}/cpu.stat") or "").splitlines()]
    found = [int(line.split()[1]) for line in lines if line.startswith("throttled_usec ")]
    return sum(found) if found else None


def list_strangers(before: Census, after: Census, own: frozenset[int]) -> list[tuple[int, str, int]]:
    """Processes that are neither ``own`` nor the kernel's, with the ticks that each used between the two, most first.

    What began in between counts from its beginning. What also ended in between is its parent's, if that has waited for
    it: so are the tests of a test runner, of which none lives long. What is more than all processors had is an older
    time that a process inherited from one that was not its own child before.
    """
    most = (after.all_ticks or 0) - (before.all_ticks or 0)
    ended = Counter[int]()
    for pid, then in before.times.items():
        if pid not in after.times:
            ended[then.parent] += then.ticks + then.inherited
    found = []
    for pid, now in after.times.items():
        was = before.times.get(pid) or Time(now.name, now.parent, 0, 0)
        inherited = max(now.inherited - was.inherited - ended[pid], 0)
        used = now.ticks - was.ticks + (inherited if inherited <= most else 0)
        if used > 0 and pid not in own and now.parent not in own and KTHREADD not in {pid, now.parent}:
            found.append((pid, now.name, used))
    return sorted(found, key=lambda item: -item[2])
