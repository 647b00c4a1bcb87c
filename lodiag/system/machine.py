"""What the machine is: what the speed of its loopback depends on, and what would make two results differ."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING

from lodiag.model.bench import BenchMachine, BenchSetting
from lodiag.system.host import read_sysctl

if TYPE_CHECKING:
    from lodiag.model.net import Link

CPU = "/sys/devices/system/cpu/cpu{core}"
CLOCK = "/sys/devices/system/clocksource/clocksource0/current_clocksource"
QUOTA = "cpu.max"
NO_QUOTA = "max"
"""First word of cpu.max where there is none (Documentation/admin-guide/cgroup-v2.rst)."""

SETTINGS = (
    "net.ipv4.tcp_congestion_control",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
    "net.ipv4.tcp_mem",
    "net.ipv4.tcp_slow_start_after_idle",
    "net.ipv4.tcp_timestamps",
    "net.ipv4.tcp_tw_reuse",
    "net.ipv4.tcp_autocorking",
    "net.ipv4.ip_local_port_range",
    "net.core.rmem_default",
    "net.core.wmem_default",
    "net.core.rmem_max",
    "net.core.wmem_max",
    "net.core.netdev_max_backlog",
    "net.core.busy_read",
    "net.core.busy_poll",
    "net.core.default_qdisc",
)
"""Documentation/networking/ip-sysctl.rst and admin-guide/sysctl/net.rst."""


def describe_machine(loopback: Link | None) -> BenchMachine:
    """Tell what can be read; ``None`` for what cannot."""
    cores = list_cores()
    return BenchMachine(
        kernel=f"{platform.system()} {platform.release()}",
        cpu=_find_model() or platform.machine() or None,
        cores=len(cores) or os.cpu_count() or 1,
        python=platform.python_version(),
        governor=read(f"{CPU.format(core=cores[0])}/cpufreq/scaling_governor") if cores else None,
        clock=read(CLOCK),
        qdisc=None if loopback is None else loopback.qdisc,
        mtu_bytes=None if loopback is None else loopback.mtu,
        cpu_max=_find_quota(),
        settings=tuple(BenchSetting(name=name, value=read_sysctl(name)) for name in SETTINGS),
    )


def list_cores() -> tuple[int, ...]:
    """Cores that this process may use, the first two not of one pair of threads if that can be had.

    None where a process cannot be told which to use.
    """
    if not hasattr(os, "sched_getaffinity"):
        return ()
    first, *others = sorted(os.sched_getaffinity(0))
    siblings = _list_siblings(first)
    return first, *sorted(others, key=lambda core: core in siblings)


def _list_siblings(core: int) -> set[int]:
    """Logical processors of one physical core, which share its units (sysfs-devices-system-cpu)."""
    found = set()
    for part in (read(f"{CPU.format(core=core)}/topology/thread_siblings_list") or "").split(","):
        first, _, last = part.partition("-")
        if first.isdecimal():
            found |= set(range(int(first), int(last or first) + 1))
    return found


def read_load() -> float | None:
    """Load average over a minute."""
    try:
        return round(os.getloadavg()[0], 2)
    except (OSError, AttributeError):  # Windows has none
        return None


def read(path: str) -> str | None:
    """Read a short file; ``None`` if that cannot be done."""
    try:
        with open(path, encoding="utf-8", errors="backslashreplace") as file:  # noqa: PTH123 - a Path costs a millisecond
            return file.read().strip()
    except OSError:
        return None


def _find_model() -> str | None:
    lines = (read("/proc/cpuinfo") or "").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)


def list_own_groups() -> list[str]:
    """Folders of the control groups that this process is in, the innermost first."""
    line = next((line for line in (read("/proc/self/cgroup") or "").splitlines() if line.startswith("0::")), "0::/")
    path = line[3:].rstrip("/")
    found = []
    while True:
        found.append(f"/sys/fs/cgroup{path}")
        if not path:
            return found
        path = path.rpartition("/")[0]


def _find_quota() -> str | None:
    """Tightest quota of the processor among the groups that this process is in, and its period."""
    told = [found for group in list_own_groups() if (found := read(f"{group}/{QUOTA}"))]
    limits = [found for found in told if not found.startswith(NO_QUOTA)]
    return min(limits, key=_share, default=None)


def _share(quota: str) -> float:
    most, period = quota.split()
    return int(most) / int(period)
