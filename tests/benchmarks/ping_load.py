"""``lodiag ping`` under load, beside ping(8) and fping(8): ``python tests/benchmarks/ping_load.py [PAIRS] [PART ...]``.

Parts: flood, stamped, many, memory, beside, busy, udp; all of them without any. Wall and processor time are of whole
processes, in seconds; run ``python -m compileall lodiag`` before if Python is kept from writing bytecode.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pairing import compare

if TYPE_CHECKING:
    from collections.abc import Iterator

LODIAG = (sys.executable, "-m", "lodiag", "ping")
ADDRESSES = ("127.0.0.1", "::1")
TARGETS = [f"127.0.{n // 250}.{n % 250 + 1}" for n in range(1000)]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command that has to succeed."""
    return subprocess.run(command, capture_output=True, text=True, check=True)


def take_wall(*command: str) -> float:
    """Seconds that a process takes."""
    began = time.perf_counter()
    run(*command)
    return time.perf_counter() - began


def take_cpu(*command: str) -> float:
    """Seconds of processor that a process takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run(*command)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def read(field: str, *arguments: str) -> float:
    """One field of the one record that lodiag reports."""
    (record,) = json.loads(run(*LODIAG, "--json", *arguments).stdout)["records"]
    assert (record["lost"], record["duplicates"]) == (0, 0), record
    return float(record[field])


@contextmanager
def beside(*command: str, copies: int = 1) -> Iterator[None]:
    """Have something else run meanwhile."""
    with ExitStack() as stack:
        others = [stack.enter_context(subprocess.Popen(command, stdout=subprocess.DEVNULL)) for _ in range(copies)]
        yield
        for other in others:
            other.terminate()


def flood(pairs: int) -> None:
    """Compare floods, of which the ratio is that of the packet rates, inverted."""
    for address in ADDRESSES:
        for count in ("100000", "1000000"):
            ours, theirs = (*LODIAG, "-f", "-q", "-c", count, address), ("ping", "-f", "-q", "-c", count, address)
            some = pairs if count == "100000" else max(1, pairs // 4)
            for name, take in (("wall", take_wall), ("cpu", take_cpu)):
                compare(
                    f"{name} of {count} in a flood / ping -f, {address}",
                    partial(take, *ours),
                    partial(take, *theirs),
                    some,
                )


def stamped(pairs: int) -> None:
    """Compare rates within a run: in bursts of which one probe is stamped, or each, and one by one, all stamped."""
    for address in ADDRESSES:
        compare(
            f"probes a second, each stamped (-f --clock kernel) / in a flood, {address}",
            partial(read, "sent_per_s", "-f", "--clock", "kernel", "-q", "-c", "200000", address),
            partial(read, "sent_per_s", "-f", "-q", "-c", "200000", address),
            pairs,
        )
        compare(
            f"probes a second, each stamped (-A) / in a flood, {address}",
            partial(read, "sent_per_s", "-A", "-q", "-c", "50000", address),
            partial(read, "sent_per_s", "-f", "-q", "-c", "200000", address),
            pairs,
        )


def many(pairs: int) -> None:
    """Compare a thousand addresses once each; fping's pause is from probe to probe, lodiag's from address to itself."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "targets"
        path.write_text("\n".join(TARGETS))
        for pause, interval in (("1", "1"), ("0", "0")):
            compare(
                f"wall of 1000 addresses once, {pause} ms apart / fping -i {pause}",
                partial(take_wall, *LODIAG, "-q", "-c", "1", "-i", interval, *TARGETS),
                partial(take_wall, "fping", "-q", "-i", pause, "-f", str(path)),
                pairs,
            )
        compare(
            "wall of 1000 addresses once, as either does without options / fping",
            partial(take_wall, *LODIAG, "-q", "-c", "1", *TARGETS),
            partial(take_wall, "fping", "-q", "-f", str(path)),
            1,
        )


def measure_peak(*arguments: str) -> float:
    """MiB that a process has at most."""
    with tempfile.NamedTemporaryFile() as file:
        run("/usr/bin/time", "-o", file.name, "-f", "%M", *LODIAG, *arguments)
        return int(Path(file.name).read_text()) / 1024


def memory(_pairs: int) -> None:
    """Compare the peak of a million probes with that of the number up to which all round trips are kept."""
    for options in (("-A",), ("-f",)):
        compare(
            f"peak MiB of 1000000 / of 131072 probes, {options[0]}",
            partial(measure_peak, *options, "-q", "-c", "1000000", "127.0.0.1"),
            partial(measure_peak, *options, "-q", "-c", "131072", "127.0.0.1"),
            1,
        )


def beside_flood(pairs: int) -> None:
    """Compare the processor time of probes beside ping -f with that alone; none may be lost or come twice."""
    probes = ("-q", "-c", "200", "-i", "0.01", "127.0.0.1")

    def disturbed() -> float:
        with beside("ping", "-f", "-q", "127.0.0.1"):
            return take_cpu(*LODIAG, *probes)

    compare("cpu of 200 probes beside ping -f / alone", disturbed, partial(take_cpu, *LODIAG, *probes), pairs)
    with beside("ping", "-f", "-q", "127.0.0.1"):
        read("received", *probes)
        read("received", "-f", "-q", "-c", "100000", "127.0.0.1")


def busy(pairs: int) -> None:
    """Compare p99.9 with all processors kept busy with that of now."""
    probes = ("-q", "-A", "-c", "30000", "127.0.0.1")

    def kept_busy() -> float:
        with beside(sys.executable, "-c", "while True: pass", copies=os.cpu_count() or 1):
            return 1000 * read("rtt_p999_ms", *probes)

    compare(
        "p99.9 in us, all processors busy / as they are", kept_busy, lambda: 1000 * read("rtt_p999_ms", *probes), pairs
    )


def udp(pairs: int) -> None:
    """Compare the medians of the methods."""
    for address in ADDRESSES:
        compare(
            f"median in us by udp / by icmp, {address}",
            lambda address=address: 1000 * read("rtt_p50_ms", "-c", "200", "-i", "0.01", "--method", "udp", address),  # type: ignore[misc]
            lambda address=address: 1000 * read("rtt_p50_ms", "-c", "200", "-i", "0.01", address),  # type: ignore[misc]
            pairs,
        )


PARTS: dict[str, Any] = {
    "flood": flood,
    "stamped": stamped,
    "many": many,
    "memory": memory,
    "beside": beside_flood,
    "busy": busy,
    "udp": udp,
}


def main() -> None:
    """Run the parts that were named."""
    pairs = int(sys.argv[1]) if sys.argv[1:] else 9
    for name in sys.argv[2:] or PARTS:
        PARTS[name](pairs)


main()
