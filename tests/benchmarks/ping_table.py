"""Round trips in µs as ping's peers report them, idle and on a busy machine: ``ping_table.py [PROBES]``, as root.

The tools take turns, every 10 ms a probe; "busy" is with a process that never rests on each processor.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import ExitStack

from icmplib import ping

ADDRESS = "127.0.0.1"
BUSY = (sys.executable, "-c", "while True: pass")


def run(*command: str) -> str:
    """Standard output and error of a command."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def measure_lodiag(count: int, field: str) -> list[float]:
    """Round trips in ms by the clock of the kernel or the user."""
    command = (sys.executable, "-m", "lodiag", "ping", "-c", str(count), "-i", "0.01", "--json", ADDRESS)
    return [reply[field] for reply in json.loads(run(*command))["records"][0]["replies"] if reply[field] is not None]


def measure_ping(count: int) -> list[float]:
    """Round trips that ping(8) prints."""
    return [float(time) for time in re.findall(r"time=([\d.]+)", run("ping", "-c", str(count), "-i", "0.01", ADDRESS))]


def measure_fping(count: int) -> list[float]:
    """Round trips that fping(8) prints."""
    shown = run("fping", "-c", str(count), "-p", "10", ADDRESS)
    return [float(time) for time in re.findall(r"bytes, ([\d.]+) ms", shown)]


def measure_icmplib(count: int) -> list[float]:
    """Round trips that icmplib has."""
    return list(ping(ADDRESS, count=count, interval=0.01).rtts)


TOOLS = {
    "lodiag, kernel": lambda count: measure_lodiag(count, "rtt_ms"),
    "lodiag, user": lambda count: measure_lodiag(count, "rtt_user_ms"),
    "ping": measure_ping,
    "fping": measure_fping,
    "icmplib": measure_icmplib,
}


def main() -> None:
    """Print the table."""
    count = int(sys.argv[1]) if sys.argv[1:] else 300
    for name, copies in (("idle", 0), ("busy", os.cpu_count() or 1)):
        with ExitStack() as stack:
            others = [stack.enter_context(subprocess.Popen(BUSY)) for _ in range(copies)]
            for tool, measure in TOOLS.items():
                times = sorted(1000 * time for time in measure(count))
                p50, p99 = (times[len(times) * part // 100] for part in (50, 99))
                load = os.getloadavg()[0]
                sys.stdout.write(
                    f"{name:<5} {tool:<15} p50 {p50:9.1f}  p99 {p99:9.1f}  max {times[-1]:9.1f}  "
                    f"of {len(times)}, load {load:.1f}\n"
                )
                sys.stdout.flush()
            for other in others:
                other.terminate()


main()
