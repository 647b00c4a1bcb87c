"""``lodiag conns`` beside its peers: ``python tests/benchmarks/conns.py [PAIRS [SOCKETS ...]]``, in a namespace.

That is, after ``unshare -n`` and ``ip link set lo up``, so that no other socket is there and none is left behind.
Whole processes, with their output into a file; wall time in ms and its ratio, pair by pair. Peers that are not
installed are left out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from holding import holding
from pairing import compare

LODIAG = [sys.executable, "-m", "lodiag", "conns", "-t"]
PSUTIL = [sys.executable, "-c", "import psutil\nfor row in psutil.net_connections('tcp'): print(row)"]
IDLE_PROCESSES = 300
SIZES = (100, 10_000, 50_000, 100_000, 200_000)
QUESTIONS = (
    ([*LODIAG], ["ss", "-tanp"]),
    ([*LODIAG], ["netstat", "-tanp"]),
    ([*LODIAG], ["lsof", "-nP", "-iTCP"]),
    ([*LODIAG], PSUTIL),
    ([*LODIAG, "--no-process"], ["ss", "-tan"]),
    ([*LODIAG, "--no-process", "--json"], ["ss", "-tan"]),
    ([*LODIAG], [sys.executable, "-c", "pass"]),
)


def time_ms(command: list[str], folder: str) -> float:
    """Wall time of a process that writes to a file."""
    with Path(folder, "out").open("wb") as file:
        began = time.perf_counter()
        subprocess.run(command, stdout=file, stderr=subprocess.DEVNULL, check=True)
        return (time.perf_counter() - began) * 1000


def peak_mib(command: list[str], folder: str) -> float:
    """Peak of the memory of a process that writes to a file."""
    with Path(folder, "out").open("wb") as file, subprocess.Popen(command, stdout=file) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
    return usage.ru_maxrss / 1024


def show(command: list[str]) -> str:
    """Name a command in a table."""
    if command == PSUTIL:
        return "psutil and print"
    words = ["python", *command[1:]] if command[0] == sys.executable else command
    return " ".join(words).removeprefix("python -m ")


def main() -> None:
    """Compare at each number of sockets."""
    pairs = int(sys.argv[1]) if sys.argv[1:] else 5
    sizes = [int(word) for word in sys.argv[2:]] or SIZES
    for sockets in sizes:
        with tempfile.TemporaryDirectory() as folder, holding(sockets, IDLE_PROCESSES):
            for own, peer in QUESTIONS:
                if shutil.which(peer[0]):
                    name = f"{sockets} sockets: {show(own)} / {show(peer)}"
                    compare(name, partial(time_ms, own, folder), partial(time_ms, peer, folder), pairs)
            for own in (LODIAG, [*LODIAG, "--json"]):
                sys.stdout.write(f"{sockets} sockets: peak of {show(own)}: {peak_mib(own, folder):.0f} MiB\n")


main()
