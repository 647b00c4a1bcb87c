#!/usr/bin/env python3
"""Wait until something listens on a loopback port: ``wait_for_port.py PORT [SECONDS]``.

Asks the socket table rather than connecting, so the service sees no stray connection. Exit status: 0 it
listens, 1 it did not in time, 2 bad arguments.
"""

from __future__ import annotations

import sys
import time

from lodiag import list_connections

DEFAULT_SECONDS = 30.0
PAUSE_SECONDS = 0.1


def wait_for_port(port: int, seconds: float) -> bool:
    """Whether a TCP socket listens on ``port`` before ``seconds`` seconds are over."""
    deadline = time.monotonic() + seconds
    while True:
        report = list_connections(proto="tcp", states=["listen"], port=port)
        for record in report.records:
            owners = ", ".join(f"{owner.process}[{owner.pid}]" for owner in record.owners or ()) or "an unseen process"
            print(f"{record.local.address}:{record.local.port} is served by {owners}")
        if report.records:
            return True
        if time.monotonic() >= deadline:
            print(f"nothing listens on port {port} after {seconds:g} s", file=sys.stderr)
            return False
        time.sleep(PAUSE_SECONDS)


def main() -> int:
    """Read the arguments and wait."""
    try:
        port = int(sys.argv[1])
        seconds = float(sys.argv[2]) if sys.argv[2:] else DEFAULT_SECONDS
    except (IndexError, ValueError):
        print(f"usage: {sys.argv[0]} PORT [SECONDS]", file=sys.stderr)
        return 2
    return 0 if wait_for_port(port, seconds) else 1


if __name__ == "__main__":
    sys.exit(main())
