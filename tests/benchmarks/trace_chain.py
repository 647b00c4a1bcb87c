"""A loopback address that is routed over two routers, as lodiag, traceroute, tracepath and mtr trace it: as root."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from chains import CHAIN

TRACES = (
    (sys.executable, "-m", "lodiag", "trace", "-M", "127.0.0.2"),
    ("traceroute", "-n", "127.0.0.2"),
    ("tracepath", "-n", "127.0.0.2"),
    ("mtr", "-n", "-r", "-c", "3", "127.0.0.2"),
)


def main() -> None:
    """Print what each shows, its exit status and how long it takes."""
    for command in TRACES:
        took = 'echo "exit $?, $(( ($(date +%s%N) - began) / 1000000 )) ms"'
        script = f'set -e\n{CHAIN}\nbegan=$(date +%s%N)\nset +e\n"$@"\n{took}'
        done = subprocess.run(
            ["unshare", "-n", "-m", "sh", "-c", script, "sh", *command], capture_output=True, text=True, check=False
        )
        sys.stdout.write(f"$ {' '.join(command).replace(f'{sys.executable} -m ', '')}\n{done.stdout}{done.stderr}\n")


main()
