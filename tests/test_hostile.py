"""Places where little is to be had: an answer in one sentence all the same, and nothing that is left behind."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from running import environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COMMANDS = (
    "ping -c 1 -q 127.0.0.1",
    "trace 127.0.0.1",
    "conns",
    "who 9",
    "map",
    "iface",
    "check udp:9 ping:127.0.0.1",
    "doctor limits canary",
    "audit",
    "schema",
)
MEBIBYTE = 1 << 20
ENDLESS = (
    "trace --watch 0.1",
    "conns --watch 0.1",
    "iface --watch 0.1",
    "check tcp:9 --wait 60s",
    "bench -t 60 stream",
)


def start(line: str, prepare: Callable[[], None] | None = None, **changes: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "lodiag", *line.split()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**changes),
        cwd="/",
        preexec_fn=prepare,  # noqa: PLW1509 - no thread is here
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    until_s = time.monotonic() + 30
    while is_there(process.pid) and time.monotonic() < until_s:  # those that it started end by themselves
        time.sleep(0.01)
    assert not is_there(process.pid)
    return process.returncode, out, err


def is_there(session: int) -> bool:
    """Whether any process of it is left."""
    try:
        os.killpg(session, 0)
    except ProcessLookupError:
        return False
    return True


def assert_clear(status: int, out: str, err: str) -> None:
    """Either an answer, or one sentence that says why there is none."""
    assert status in {0, 1, 2}
    assert "Traceback" not in out + err
    assert (": error [" in err) == (status == 2), err
    assert bool(out) == (status != 2)


def few_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (8, 8))


def little_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (100 * MEBIBYTE, 100 * MEBIBYTE))


@pytest.mark.parametrize("prepare", [few_files, little_memory], ids=["files", "memory"])
def test_with_little_each_command_answers_or_says_why_not(prepare: Callable[[], None]) -> None:
    running = [start(line, prepare) for line in COMMANDS]
    for process in running:
        assert_clear(*finish(process))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_ends_what_has_no_end_and_all_that_it_started(number: signal.Signals) -> None:
    running = [start(line, signals_as_usual) for line in ENDLESS]
    for process in running:
        assert process.stdout is not None
        time.sleep(0 if process.poll() else 0.05)  # at whatever it is doing by then
        process.send_signal(number)
    for process in running:
        status, out, err = finish(process)
        assert status in {-number, 128 + number}
        assert "Traceback" not in out + err


def signals_as_usual() -> None:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def close_all() -> None:
    for descriptor in range(3):
        os.close(descriptor)


def test_without_any_stream_the_exit_status_is_the_answer() -> None:
    running = [start(line, close_all) for line in COMMANDS]
    assert [finish(process) for process in running] == [
        (int(line == "who 9" or "udp:9" in line), "", "") for line in COMMANDS
    ]


def test_a_directory_that_is_gone_is_no_reason_to_fail(tmp_path: Path) -> None:
    def lose() -> None:
        gone = tmp_path / "gone"
        gone.mkdir()
        os.chdir(gone)
        gone.rmdir()

    status, out, err = finish(start("iface --format json", lose))
    assert (status, err) == (0, "")
    assert out


@pytest.mark.parametrize(
    "changes", [{"PYTHONOPTIMIZE": "2"}, {"PYTHONWARNINGS": "error", "PYTHONDEVMODE": "1"}], ids=str
)
def test_what_python_is_told_changes_nothing(changes: dict[str, str]) -> None:
    running = [start(line, None, **changes) for line in COMMANDS]
    for process in running:
        status, out, err = finish(process)
        assert_clear(status, out, err)
        assert err == ""
