"""Who used the processors: all processes' times, read before and after."""

from __future__ import annotations

import os
from typing import NamedTuple

from lodiag.system.machine import list_own_groups, read

KTHREADD = 2
"""Parent of the kernel's threads, which do what others ask for: the work of softirqs is the benchmark's own."""

UTIME, PPID = 14 - 3, 4 - 3
"""Indices among the fields of proc_pid_stat(5) that follow the second; stime follows utime."""

STEAL = 8
"""Index of the time that a host gave to others, on the line "cpu" of proc_stat(5)."""


class Time(NamedTuple):
    """Ticks that a process has used."""

    name: str
    parent: int
    ticks: int


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
            ticks = int(fields[UTIME]) + int(fields[UTIME + 1])
            found[int(name)] = Time(before.partition("(")[2], int(fields[PPID]), ticks)
    return found


def _read_throttled() -> int | None:
    lines = [line for group in list_own_groups() for line in (read(f"{group}/cpu.stat") or "").splitlines()]
    found = [int(line.split()[1]) for line in lines if line.startswith("throttled_usec ")]
    return sum(found) if found else None


def list_strangers(before: Census, after: Census, own: frozenset[int]) -> list[tuple[int, str, int]]:
    """Processes that are neither ``own`` nor the kernel's, with the ticks that each used between the two, most first.

    What began in between counts from its beginning; what began and ended in between is not seen.
    """
    found = []
    for pid, now in after.times.items():
        then = before.times.get(pid)
        used = now.ticks - (then.ticks if then else 0)
        if used > 0 and pid not in own and now.parent not in own and KTHREADD not in {pid, now.parent}:
            found.append((pid, now.name, used))
    return sorted(found, key=lambda item: -item[2])
