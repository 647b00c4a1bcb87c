"""Cold start of whole commands against a bare interpreter: ``python tests/benchmarks/startup.py [PAIRS]``, in ms.

"eager" is the same command with every heavy module loaded first, as it would be without lazy loading.
"""

from __future__ import annotations

import subprocess
import sys
import time
from functools import partial

from pairing import compare

PASS = [sys.executable, "-c", "pass"]
EAGER = "import icmplib, psutil, tabulate, rich.progress, shtab, sys; from lodiag.cli import main; sys.exit(main())"
COMMANDS = (
    ["--help"],
    ["conns", "--json"],
    ["conns"],
    ["ping", "-c1", "127.0.0.1"],
    ["ping", "-c1", "--method", "udp", "--json", "127.0.0.1"],
    ["trace", "--json", "127.0.0.1"],
)


def time_ms(command: list[str]) -> float:
    """Wall time of a process."""
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - began) * 1000


def main() -> None:
    """Compare each command, lazy and eager, with ``python -c pass``."""
    pairs = int(sys.argv[1]) if sys.argv[1:] else 15
    for arguments in COMMANDS:
        for name, prefix in (("", ["-m", "lodiag"]), (" (eager)", ["-c", EAGER])):
            command = [sys.executable, *prefix, *arguments]
            compare(" ".join(arguments) + name, partial(time_ms, command), partial(time_ms, PASS), pairs)


main()
