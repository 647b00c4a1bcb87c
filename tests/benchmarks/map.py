"""``lodiag map`` beside its peers: ``python tests/benchmarks/map.py CONNECTIONS [PAIRS]``, in a network namespace.

That is, after ``unshare -n`` and ``ip link set lo up``. What joining costs is the ratio to ``conns``, which reads the
same; ss(8) joins nothing.
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

LODIAG = [sys.executable, "-m", "lodiag"]
MAP = [*LODIAG, "map", "-t", "--json"]
PEERS = (("conns -ti", [*LODIAG, "conns", "-ti", "--columns", "local"]), ("ss -tanpi", ["ss", "-tanpi"]))
IDLE_PROCESSES = 50


def time_ms(command: list[str], folder: str) -> float:
    """Wall time of a process that writes to a file."""
    with Path(folder, "out").open("wb") as file:
        began = time.perf_counter()
        subprocess.run(command, stdout=file, check=True)
        return (time.perf_counter() - began) * 1000


def main() -> None:
    """Compare at one number of connections."""
    connections = int(sys.argv[1])
    pairs = int(sys.argv[2]) if sys.argv[2:] else 5
    with tempfile.TemporaryDirectory() as folder, holding(2 * connections, IDLE_PROCESSES):
        for name, peer in PEERS:
            compare(
                f"{connections} connections: map / {name}",
                partial(time_ms, MAP, folder),
                partial(time_ms, peer, folder),
                pairs,
            )


main()
