"""Median round trip, in ms, as lodiag and ping(8) report it: ``python tests/benchmarks/ping_rtt.py [PAIRS]``.

lodiag reports it by the kernel's stamps (``rtt_p50_ms``) and by its own clock (``rtt_user_p50_ms``).
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
from functools import partial
from itertools import product

from pairing import compare

COUNT, INTERVAL = "100", "0.01"
SHOWN = (
    ("kernel", "rtt_p50_ms"),
    ("kernel", "rtt_user_p50_ms"),
    ("kernel-rx", "rtt_p50_ms"),
    ("user", "rtt_p50_ms"),
)


def measure_lodiag(address: str, method: str, clock: str, field: str) -> float:
    """Median that lodiag reports in this field."""
    options = ["-c", COUNT, "-i", INTERVAL, "--method", method, "--clock", clock, "--json"]
    command = [sys.executable, "-m", "lodiag", "ping", *options, address]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout)["records"][0][field])


def measure_ping(address: str) -> float:
    """Median of the times that ping prints."""
    done = subprocess.run(["ping", "-c", COUNT, "-i", INTERVAL, address], capture_output=True, text=True, check=True)
    return statistics.median(float(time) for time in re.findall(r"time=([\d.]+)", done.stdout))


def main() -> None:
    """Compare each method and clock over both families."""
    pairs = int(sys.argv[1]) if sys.argv[1:] else 9
    for method, address, (clock, field) in product(("icmp", "udp"), ("127.0.0.1", "::1"), SHOWN):
        compare(
            f"{field}, lodiag {method}, {clock} clock / ping, {address}",
            partial(measure_lodiag, address, method, clock, field),
            partial(measure_ping, address),
            pairs,
        )


main()
