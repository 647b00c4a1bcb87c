"""``lodiag bench`` beside its peers: ``python tests/benchmarks/bench.py [PAIRS]``; some minutes, on Linux with cc.

In interleaved pairs: iperf3 for streams, sockperf and qperf for round trips (they print half of one, which is doubled
here), and a minimal program in C, ``ends.c``, for round trips and connections; peers that are not installed are left
out. Below are the physical limits, measured in the same run.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import timeit
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pairing import compare

from lodiag.benches import Case
from lodiag.benches.options import BenchOptions
from lodiag.benches.rounds import Runner
from lodiag.system import System
from lodiag.system.ends.pool import EndError, Ends

if TYPE_CHECKING:
    from collections.abc import Callable

STREAM_S, SHORT_S = 1, 0.3
"""Of iperf3 whole seconds: it takes 0.6 for 0, and 0 for without end."""
MOST_S = 60
EQUAL_BYTES = 131_072
BITS = 8
ADDRESSES = {"ipv4": "127.0.0.1", "ipv6": "::1"}
CORE = System().list_cores()[0]


def measure(ends: Ends, case: Case, seconds: float, size_bytes: int | None = None) -> float:
    """One slice of a case: Gbit/s, us, or a number a second."""
    options = BenchOptions(tests=(case.test,), time_s=seconds * 5, size_bytes=size_bytes)
    measured = Runner(System(), ends, options).run([case], 1)
    (piece,) = next(iter(measured.slices.values()))
    scale = {"stream": 1e-9, "rr": 1e3, "crr": 1.0, "udp": 1.0}[case.test]
    return (piece.value or 0) * scale


def run(*command: str) -> str:
    """Standard output of a program."""
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=MOST_S).stdout


def iperf3(address: str, port: int, *options: str) -> float:
    """Gbit/s that iperf3 receives."""
    told = json.loads(run("iperf3", "-c", address, "-p", str(port), "-t", str(STREAM_S), "-J", *options))
    return float(told["end"]["sum_received"]["bits_per_second"]) / 1e9


def sockperf(port: int) -> float:
    """Median round trip in us."""
    command = ("ping-pong", "--tcp", "-i", "127.0.0.1", "-p", str(port), "-t", "1", "--msg-size", "14")
    told = run("taskset", "-c", str(CORE), "sockperf", *command)
    return 2 * float(re.search(r"percentile 50\.000 =\s*([\d.]+)", told)[1])


def qperf(port: int) -> float:
    """Mean round trip in us."""
    told = run("taskset", "-c", str(CORE), "qperf", "-lp", str(port), "-t", "1", "127.0.0.1", "tcp_lat")
    number, unit = re.search(r"latency\s*=\s*([\d.]+) (\w+)", told).groups()
    return 2 * float(number) * {"ns": 1e-3, "us": 1, "ms": 1e3}[unit]


def find_port() -> int:
    """Give a port that nothing listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def start(opened: ExitStack, *command: str) -> None:
    """Run a server until the end."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    opened.callback(process.wait)
    opened.callback(process.kill)
    time.sleep(0.5)


def attempt(what: str, measure_all: Callable[[], None]) -> None:
    """Go on where a peer fails: what it says is printed in its place."""
    try:
        measure_all()
    except (OSError, subprocess.SubprocessError, EndError, KeyError, TypeError, ValueError, StopIteration) as error:
        sys.stdout.write(f"{what}: left out, {error!r:.150}\n")
    sys.stdout.flush()


def compare_streams(ends: Ends, pairs: int, opened: ExitStack) -> None:
    """With equal buffers, and each with its own defaults."""
    if shutil.which("iperf3") is None:
        return
    port = find_port()
    start(opened, "iperf3", "-s", "-p", str(port))
    for family, address in ADDRESSES.items():
        case = Case("stream", "tcp", family, address, "unpinned", None)
        for name, size, options in (("128 KiB", EQUAL_BYTES, ("-l", "128K")), ("defaults", None, ())):
            compare(
                f"stream, Gbit/s, {address}, {name}: lodiag / iperf3",
                partial(measure, ends, case, STREAM_S, size),
                partial(iperf3, address, port, *options),
                pairs,
            )


def compare_round_trips(ends: Ends, pairs: int, program: str, opened: ExitStack) -> None:
    """On one core."""
    case = Case("rr", "tcp", "ipv4", "127.0.0.1", "same-core", (CORE, CORE))
    own = partial(measure, ends, case, SHORT_S)
    compare(
        "rr, us p50, one core: lodiag / C", own, lambda: int(run(program, "rr", str(CORE), str(SHORT_S))) / 1e3, pairs
    )
    if shutil.which("sockperf"):
        port = find_port()
        start(opened, "taskset", "-c", str(CORE), "sockperf", "sr", "--tcp", "-i", "127.0.0.1", "-p", str(port))
        compare(
            "rr, us p50, one core: lodiag, 14 B / 2 x sockperf",
            partial(measure, ends, case, SHORT_S, 14),
            partial(sockperf, port),
            pairs,
        )
    if shutil.which("qperf"):
        port = find_port()
        start(opened, "taskset", "-c", str(CORE), "qperf", "-lp", str(port))
        compare("rr, us, one core: lodiag p50 / 2 x qperf mean", own, partial(qperf, port), pairs)


def show_recording(rtt_us: float) -> None:
    """What it costs to note the time of a round trip, beside the round trip."""
    setup = "from time import perf_counter_ns as clock; stamps = []; note = stamps.append"
    cost_ns = min(timeit.repeat("note(clock())", setup, number=100_000)) * 1e4
    sys.stdout.write(f"noting the time of a round trip takes {cost_ns:.0f} ns: {cost_ns / rtt_us / 10:.2f} % of one\n")


def show_limits(program: str, pairs: int) -> None:
    """What no stack can go beyond."""
    told = [[float(word) for word in run(program, "limits").split()] for _ in range(pairs)]
    bandwidth, call, pipe = (statistics.median(column) for column in zip(*told, strict=True))
    sys.stdout.write(f"memcpy, 1 MiB: {bandwidth * BITS / 1e9:.0f} Gbit/s; two copies make a stream\n")
    sys.stdout.write(f"bare system call: {call:.0f} ns; a byte through a pipe of one process: {pipe:.0f} ns\n")


def time_whole(pairs: int) -> None:
    """How long the command takes, from its start to its end."""
    for options in ((), ("--quick",)):
        command = [sys.executable, "-m", "lodiag", "bench", *options, "--json"]
        taken = []
        for _ in range(pairs):
            begun = time.perf_counter()
            subprocess.run(command, stdout=subprocess.DEVNULL, check=False, timeout=MOST_S)
            taken.append(time.perf_counter() - begun)
        name = " ".join(("lodiag bench", *options))
        sys.stdout.write(f"{name}: {statistics.median(taken):.2f} s ({min(taken):.2f} to {max(taken):.2f})\n")


def main() -> None:
    """Compare all of it, and say how busy the machine is meanwhile."""
    sys.stdout.write(f"load average: {os.getloadavg()[0]:.1f}\n")
    pairs = int(sys.argv[1]) if sys.argv[1:] else 9
    with tempfile.TemporaryDirectory() as folder, ExitStack() as opened, Ends() as ends:
        program = f"{folder}/ends"
        subprocess.run(["cc", "-O2", "-o", program, Path(__file__).with_name("ends.c")], check=True)
        attempt("streams", partial(compare_streams, ends, pairs, opened))
        attempt("round trips", partial(compare_round_trips, ends, pairs, program, opened))
        case = Case("crr", "tcp", "ipv4", "127.0.0.1", "same-core", (CORE, CORE))
        rates = partial(measure, ends, case, SHORT_S), lambda: float(run(program, "crr", str(CORE), str(SHORT_S)))
        attempt("connections", lambda: compare("crr, a second, one core: lodiag / C", *rates, pairs))
        for name in ("unix", "tcp"):
            path = ("ipv4", "127.0.0.1") if name == "tcp" else (None, None)
            stream = measure(ends, Case("stream", name, *path, "unpinned", None), STREAM_S)
            rtt = measure(ends, Case("rr", name, *path, "same-core", (CORE, CORE)), SHORT_S)
            sys.stdout.write(f"lodiag over {name}: {stream:.1f} Gbit/s, {rtt:.2f} us\n")
        attempt("recording", partial(show_recording, rtt))
        attempt("limits", partial(show_limits, program, pairs))
    attempt("whole runs", partial(time_whole, min(pairs, 5)))


main()
