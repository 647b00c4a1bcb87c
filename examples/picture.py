#!/usr/bin/env python3
"""Draw what lodiag prints as an SVG picture: ``picture.py [COMMAND [OPTIONS]] > picture.svg``.

Without a command it makes the picture of the README: a web service is started on the loopback and stopped by a
signal, as a debugger or Ctrl-Z does, and ``lodiag doctor`` is asked why it does not answer. Words are as they were
printed; colours are the picture's.
"""

from __future__ import annotations

import io
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

PORT = 8080
PATIENCE_S = 20.0
COLUMNS = 80
STYLES = {
    r"(?m)^\$ .*$": "bold white",
    r"(?m)^(group|proto|address|hop|status|client) .*$": "bold",
    r"(?m)^fail  \S+:|(?<= )fail(?= )": "bold red",
    r"(?m)^warn  \S+:": "bold yellow",
    r"(?m)^ {6}fix.*$": "bold green",
    r"(?<= )ok(?= )": "green",
}


@contextmanager
def stopped_service() -> Iterator[int]:
    """Start a web service, stop it by a signal, and give its port."""
    port = find_port()
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as service:  # noqa: S603
        try:
            wait_for(port)
            service.send_signal(signal.SIGSTOP)
            yield port
        finally:
            service.kill()


def find_port() -> int:
    """Find a port that is free now: the usual one, or any."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", PORT))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    """Wait until the service listens."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        if time.monotonic() > deadline:
            sys.exit(f"nothing listens on port {port}")
        time.sleep(0.02)


def run(*arguments: str) -> str:
    """Run lodiag, and give its command line and what it printed."""
    command = [sys.executable, "-m", "lodiag", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - as the caller asked
    return f"$ lodiag {shlex.join(arguments)}\n{done.stdout or done.stderr}"


def draw(printed: str) -> str:
    """Draw it as a terminal shows it."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    text = Text(printed)
    for pattern, style in STYLES.items():
        text.highlight_regex(pattern, style)
    console.print(text, soft_wrap=True)
    svg = console.export_svg(title="lodiag", unique_id="lodiag")
    svg = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)  # a picture loads no fonts from elsewhere
    return svg.replace("<svg ", '<svg xml:space="preserve" ', 1)


def main() -> None:
    """Draw the command that is named, or the picture of the README."""
    if sys.argv[1:]:
        print(draw(run(*sys.argv[1:])))
        return
    with stopped_service() as port:
        print(draw(run("doctor", str(port))))


if __name__ == "__main__":
    main()
