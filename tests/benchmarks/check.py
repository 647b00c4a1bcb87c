"""``lodiag check`` against its bars: ``python tests/benchmarks/check.py [PAIRS]``.

Cold starts are of processes with compiled modules, as an installation has them.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pairing import compare

from lodiag import run_checks
from lodiag.check import CheckRun
from lodiag.checks.reading import read_checks
from lodiag.checks.source import Source
from lodiag.system import System

PASS = [sys.executable, "-c", "pass"]
CHECK = [sys.executable, "-m", "lodiag", "check"]
INTERVAL_S = 0.25
TRIALS = 20


class Page(BaseHTTPRequestHandler):
    """A page that is always well."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def time_ms(command: list[str], env: dict[str, str]) -> float:
    """Wall time of a process."""
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, env=env, check=True)
    return (time.perf_counter() - began) * 1000


def time_late_port() -> float:
    """Milliseconds from when a port opens until the check that waits for it ends."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        run = CheckRun(f"tcp:127.0.0.1:{sock.getsockname()[1]}", wait_s=30, interval_s=INTERVAL_S)
        thread = threading.Thread(target=run.run)
        thread.start()
        time.sleep(0.3 + INTERVAL_S * (time.perf_counter_ns() % 100) / 100)
        opened = time.perf_counter()
        sock.listen(8)
        thread.join()
        return (time.perf_counter() - opened) * 1000


def time_many(port: int) -> float:
    """Milliseconds for 200 checks at once, each with a connection of its own."""
    began = time.perf_counter()
    report = run_checks(*(f"http://127.0.0.1:{port}/{number}" for number in range(200)))
    assert report.summary.passed == 200, report.summary.verdict
    return (time.perf_counter() - began) * 1000


def time_file() -> float:
    """Milliseconds to read and validate 10 000 lines."""
    lines = ('[[check]]\nid = "c{}"\ntype = "tcp"\ntarget = "localhost:{}"\nwait = "30s"\nstable = 2\nfamily = "any"\n'
             'interval = "100ms"\ntimeout = "1s"\nseverity = "warn"\n')  # fmt: skip
    text = "".join(lines.format(number, 1024 + number) for number in range(1000))
    assert text.count("\n") == 10_000
    began = time.perf_counter()
    assert len(read_checks(Source("lodiag.toml", text), system=System())) == 1000
    return (time.perf_counter() - began) * 1000


def show(name: str, values: list[float], bar: str) -> None:
    """Print what a series was."""
    sys.stdout.write(f"{name}: median {statistics.median(values):.1f}, worst {max(values):.1f} ms (bar: {bar})\n")


def main() -> None:
    """Measure all."""
    pairs = int(sys.argv[1]) if sys.argv[1:] else 21
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    with (
        tempfile.TemporaryDirectory() as cache,
        ThreadingHTTPServer(("127.0.0.1", 0), Page) as server,
    ):
        server.daemon_threads = True
        server.socket.listen(512)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        env = {**kept, "PYTHONPYCACHEPREFIX": cache}
        bare = partial(time_ms, PASS, env)
        for words in (["tcp:{}"], ["tcp:127.0.0.1:{}"], ["http://127.0.0.1:{}/"], ["tcp:{}", "--json"]):
            command = [*CHECK, *(word.format(port) for word in words)]
            time_ms(command, env)
            compare(" ".join(["check", *words]), partial(time_ms, command, env), bare, pairs)
        show("late port", [time_late_port() for _ in range(TRIALS)], f"{INTERVAL_S * 1000 + 20:.0f}")
        show("200 checks at once", [time_many(port) for _ in range(5)], "1000")
        show("10 000 lines", [time_file() for _ in range(5)], "1000")
        for words in ("tcp:127.0.0.1:{}", "http://127.0.0.1:{}/"):
            command = [*CHECK, words.format(port)]
            show(f"probe of Kubernetes {words}", [time_ms(command, env) for _ in range(pairs)], "150")
        server.shutdown()


main()
