"""Wall time of whole traces, in ms, beside traceroute(8): ``python tests/benchmarks/trace.py [PAIRS]``.

"silent" is an address that a packet filter drops everything to, in a network namespace of its own, which needs root
and nft. A bare interpreter is shown as well: no Python program can be faster.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from functools import partial

from pairing import compare

LODIAG = [sys.executable, "-m", "lodiag", "trace", "localhost"]
PASS = [sys.executable, "-c", "pass"]
TRACEROUTE = ["traceroute", "-n", "127.0.0.1"]
CHAIN = "add chain inet t c { type filter hook input priority 0; policy drop; }"
SILENT = f"ip link set lo up; nft add table inet t; nft '{CHAIN}'"
IN_PROCESS = """
import time
from lodiag import trace_route
trace_route()
times = []
for _ in range(200):
    began = time.perf_counter()
    trace_route()
    times.append(time.perf_counter() - began)
print(sorted(times)[100] * 1000)
"""


def time_ms(command: list[str]) -> float:
    """Wall time of a process."""
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    return (time.perf_counter() - began) * 1000


def time_in_process(_: object = None) -> float:
    """Median of 200 calls of the function, after the first."""
    return float(subprocess.run([sys.executable, "-c", IN_PROCESS], capture_output=True, text=True, check=True).stdout)


def time_silence(command: list[str]) -> float:
    """Wall time of a trace that nothing answers."""
    script = f'{SILENT}; began=$(date +%s%N); "$@" >/dev/null; echo $(( $(date +%s%N) - began ))'
    done = subprocess.run(
        ["unshare", "-n", "sh", "-c", script, "sh", *command], capture_output=True, text=True, check=True
    )
    return int(done.stdout) / 1e6


def main() -> None:
    """Compare them in turn."""
    pairs = int(sys.argv[1]) if sys.argv[1:] else 15
    compare("lodiag trace localhost / traceroute -n", partial(time_ms, LODIAG), partial(time_ms, TRACEROUTE), pairs)
    compare("lodiag trace localhost / python -c pass", partial(time_ms, LODIAG), partial(time_ms, PASS), pairs)
    compare("trace_route() in process / traceroute -n", time_in_process, partial(time_ms, TRACEROUTE), min(pairs, 5))
    if os.geteuid() == 0 and shutil.which("nft"):
        slow = ["traceroute", "-n", "-w", "1", "127.0.0.1"]
        compare(
            "silent: lodiag / traceroute -w 1",
            partial(time_silence, LODIAG),
            partial(time_silence, slow),
            min(pairs, 3),
        )


main()
