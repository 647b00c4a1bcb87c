"""Median round trip, in ms, as lodiag and ping(8) report it: ``python tests/benchmarks/ping_rtt.py [PAIRS]``."""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
from functools import partial

from pairing import compare

COUNT, INTERVAL = "100", "0.01"


def measure_lodiag(address: str, method: str) -> float:
    """Median that lodiag reports."""
    options = ["-c", COUNT, "-i", INTERVAL, "--method", method, "--json"]
    command = [sys.executable, "-m", "lodiag", "ping", *options, address]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout)["records"][0]["rtt_p50_ms"])


def measure_ping(address: str) -> float:
    """Median of the times that ping prints."""
    done = subprocess.run(["ping", "-c", COUNT, "-i", INTERVAL, address], capture_output=True, text=True, check=True)
    return statistics.median(float(time) for time in re.findall(r"time=([\d.]+)", done.stdout))


def main() -> None:
    """Compare each method over both families."""
    pairs = int(sys.argv[1]) if sys.argv[1:] else 9
    for method in ("icmp", "udp"):
        for address in ("127.0.0.1", "::1"):
            compare(
                f"rtt p50 ms, lodiag {method} / ping, {address}",
                partial(measure_lodiag, address, method),
                partial(measure_ping, address),
                pairs,
            )


main()
