"""``lodiag conns`` beside its peers: ``python tests/benchmarks/conns.py SOCKETS [PAIRS]``, in a network namespace.

That is, after ``unshare -n`` and ``ip link set lo up``, so that no other socket is there and none is left behind.
Whole processes, with their output into a file; wall time in ms and its ratio, pair by pair.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from holding import holding
from pairing import compare

LODIAG = [sys.executable, "-m", "lodiag", "conns"]
PSUTIL = [sys.executable, "-c", "import psutil\nfor row in psutil.net_connections('inet'): print(row)"]
IDLE_PROCESSES = 300
QUESTIONS = (
    ("-t", [*LODIAG, "-t"], "ss -tanp", ["ss", "-tanp"]),
    ("-t", [*LODIAG, "-t"], "psutil and print", PSUTIL),
    ("-t --no-process", [*LODIAG, "-t", "--no-process"], "ss -tan", ["ss", "-tan"]),
    ("-t --no-process --json", [*LODIAG, "-t", "--no-process", "--json"], "ss -tan", ["ss", "-tan"]),
)


def time_ms(command: list[str], folder: str) -> float:
    """Wall time of a process that writes to a file."""
    with Path(folder, "out").open("wb") as file:
        began = time.perf_counter()
        subprocess.run(command, stdout=file, check=True)
        return (time.perf_counter() - began) * 1000


def main() -> None:
    """Compare at one number of sockets."""
    sockets = int(sys.argv[1])
    pairs = int(sys.argv[2]) if sys.argv[2:] else 5
    with tempfile.TemporaryDirectory() as folder, holding(sockets, IDLE_PROCESSES):
        for own, command, peer, other in QUESTIONS:
            compare(
                f"{sockets} sockets: conns {own} / {peer}",
                partial(time_ms, command, folder),
                partial(time_ms, other, folder),
                pairs,
            )


main()
