"""``lodiag check`` and real services, of Debian's packages: one that is slow to come, and one that goes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from endpoints import has_threads, wait_until
from running import environment
from serving import free_port, make_postgres, run, serve

from lodiag import run_checks
from lodiag.check import CheckRun


def test_a_slow_postgresql_is_waited_for_and_then_the_command_runs() -> None:
    """It is started after the check, which then finds it there, at home on the loopback, and of that name."""
    port = free_port()
    with TemporaryDirectory(prefix="lodiag-") as own:
        folder = Path(own)
        start = make_postgres(folder, ["127.0.0.1"], port)
        checks = [f"tcp:127.0.0.1:{port}", f"listen:{port}", "--set", f"listen:{port}.exposed=false"]
        command = [sys.executable, "-m", "lodiag", "check", *checks, "--wait", "60s", "--", "echo", "the tests run"]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
        ) as waiting:
            wait_until(lambda: has_threads(waiting.pid))
            with run(start, folder, "127.0.0.1", port):
                out, err = waiting.communicate(timeout=90)
    assert (waiting.returncode, out) == (0, "the tests run\n"), err
    assert err.startswith("ok: 2 checks passed")
    assert "ECONNREFUSED" in err
    assert "postgres" in err


@pytest.mark.parametrize("bound", ["127.0.0.1", "0.0.0.0"])
def test_a_service_that_is_exposed_is_told(bound: str) -> None:
    with serve("nginx", bound) as (port, _):
        words = (f"http://127.0.0.1:{port}/", f"listen:{port}")
        changes = [f"listen:{port}.exposed=false", f"listen:{port}.owner=nginx", f"{words[0]}.status=[200, 403, 404]"]
        page, held = run_checks(*words, changes=changes).records
    assert page.status == "ok", page.message
    assert held.status == ("ok" if bound == "127.0.0.1" else "fail")
    assert "nginx" in held.message


def test_a_service_that_ends_meanwhile_is_reported() -> None:
    """It passes for a while, and then no more: the history tells both, and in which order."""
    with serve("redis", "127.0.0.1") as (port, pid):
        word = f"tcp:127.0.0.1:{port}"
        run_ = CheckRun(word, changes=[f"{word}.stable=1000"], wait_s=3.0, interval_s=0.005)
        thread = threading.Thread(target=run_.run)
        thread.start()
        wait_until(lambda: run_.report().records[0].attempts > 3)
        os.kill(pid, signal.SIGTERM)
        thread.join()
        (record,) = run_.report().records
    assert record.status == "timeout"
    errors = [tries.error for tries in record.history]
    assert errors[0] == "ok"
    assert errors[-1] == "ECONNREFUSED"
    assert "ok x" in record.message
