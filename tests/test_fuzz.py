"""Whatever is typed: a status of 0, 1 or 2, one sentence, and nothing sent, written or left that was not asked for.

``LODIAG_TEST_EXAMPLES=20000 pytest tests/test_fuzz.py`` tries so many command lines, each another time others.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import time
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from itertools import chain
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from witness import Witness

from lodiag.checks.keys import seconds
from lodiag.cli import main
from lodiag.cli.parsing import COMMANDS, make_command_parser

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from types import FrameType

EXAMPLES = int(os.environ.get("LODIAG_TEST_EXAMPLES", "100"))
LONGEST_S = 30
"""No command line that is tried here has more than a second to do, even on a busy machine."""

ODD = (
    *("nan", "inf", "-inf", "1e400", "", " ", "0", "-0", "1", "-1", "0.5", "1e-320", "65536", "9" * 400, "9" * 5000),
    *("\x00", "\x1b[2J", "\n", "\udcff", "٣", "0x10", "1_0", "x" * 10_000, "icmp", "udp", "auto", "json", "csv"),
    *(
        "listen",
        "estab,LISTEN",
        "127.0.0.2",
        "::1",
        "8.8.8.8",
        "a=b",
        "%s%n",
        "0s",
        "1ms",
        "-1s",
        "1h",
        "[",
        "{}",
        "0,0",
    ),
    *("64..65507", "9..1", "pid", "process,tcp.rtt_ms", "lo", "any=loopback", "9/tcp=wildcard", "p99>1ms", "10%"),
    *("json=a", "junit=a", "table=", "defaults.retries=1", "tcp:9.timeout=1ms", "lo-down", "1k", "1000G", "here.toml"),
)
"""Values for any option: numbers at and beyond every edge, text that no option takes, and some that one does."""

TARGETS = (
    *("127.0.0.1", "127.0.0.2", "127.1", "0x7f.1", "::1", "8.8.8.8", "192.0.2.1", "2001:db8::1", "::1%lo", "fe80::1%1"),
    *("::ffff:127.0.0.1", "127.0.0.256", "127.255.255.255", "1.2.3.4.5", "", "a b", "x" * 10_000, "\x1b[2J", "\x00"),
    *("::1::", "[::1]", "\n", "127.0.0.1\n", "127.0.0.0/30", "127.0.0.0/7", "::1/128", "127.0.0.1/33", "localhost"),
)
"""None but ``localhost`` that is a well-formed name, which would be looked up; ``[::1]`` has a colon and is not."""

ENDPOINTS = ("9", "0", "65536", "127.0.0.1:9", "[::1]:9", "localhost:9", "8.8.8.8:53", ":9", "::1:9", "٣", "x", "9:9:9")
CHECKS = (
    *("tcp:9", "tcp4:127.0.0.1:9", "tcp6:9", "udp:9", "free:9", "listen:9", "listen:1-70000", "http://127.0.0.1:9/"),
    *("http://[::1]:9", "http://8.8.8.8/", "https://127.0.0.1:9/", "http:", "ping:127.0.0.1", "trace:::1", "iface"),
    *(
        "resolve:localhost",
        "doctor:9",
        "bench:x",
        "tcp",
        "tcp:",
        "ping:8.8.8.8",
        "nope:1",
        "tcp:9:9:9",
        "",
        "\x1b",
        "ü:1",
    ),
)
WORDS = {
    "ping": TARGETS,
    "trace": TARGETS,
    "who": ENDPOINTS,
    "doctor": ("limits", "interface", "names", "lo-down", "lo-dwn", "icmp-denied", "canary", *ENDPOINTS),
    "check": CHECKS,
    "iface": (
        "up",
        "down",
        "add",
        "del",
        "mtu",
        "127.0.0.2",
        "127.0.0.2/8",
        "::2",
        "1500",
        "65536",
        "-1",
        "upp",
        "8.8.8.8",
    ),
    "bench": ("rr", "crr", "stream", "udp", "all", "x", ""),
}
BROKEN = (
    "--",
    "-",
    "---",
    "--=",
    "-=",
    "-4c1",
    "--json=",
    "-h",
    "-qqq",
    "@a",
    "-9",
    "--count",
    "-c",
    "--format",
    "x" * 999,
)
BOUNDS = {
    "ping": ("-c", "1", "-W", "0.1", "-w", "0.3"),
    "trace": ("-w", "0.1", "--deadline", "0.3", "-m", "3"),
    "check": ("--timeout", "100ms"),
    "bench": ("rr", "--quick", "-n", "1", "-4"),
    "doctor": ("limits",),
}
LONGEST = {"deadline": 1.0, "watch": 0.0, "wait": 0.2, "interval": 0.2, "timeout": 0.2, "time": 0.05, "bytes": 1000.0}
"""The most that these options may say here: what goes on for longer is tested elsewhere, or is for a longer run."""


def actions_of(command: str) -> list[argparse.Action]:
    """Options of a command as its parser has them."""
    return [action for action in make_command_parser(command)._actions if action.option_strings]  # noqa: SLF001 - no other way


def takes_long(action: argparse.Action, value: str) -> bool:
    """Whether this value would let the run go on."""
    number = value.strip().removesuffix("k") + ("000" if value.endswith("k") else "")
    for read in (float, seconds):
        try:
            found = read(number)
        except ValueError:
            continue
        return isfinite(found) and found > LONGEST.get(action.dest, found)
    return value.endswith("G")


def draw_option(draw: st.DrawFn, action: argparse.Action) -> list[str]:
    """Draw an option and its value, written in one of the ways that there are."""
    option = draw(st.sampled_from(action.option_strings))
    if action.nargs == 0:
        return [option]
    chosen = [str(choice) for choice in action.choices or ODD]
    value = draw(st.sampled_from(chosen) | st.sampled_from(ODD) | st.text(max_size=8).map("%".__add__))
    if takes_long(action, value):
        return []
    joined = f"{option}={value}" if option.startswith("--") else f"{option}{value}"
    return [joined] if action.nargs == "?" or draw(st.booleans()) else [option, value]


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """Draw a command line of options that its parser knows, of words that it takes, and of what neither is."""
    command = draw(
        st.sampled_from([*COMMANDS, *COMMANDS, *COMMANDS, "nope", "", "--version", "-h", "--print-completion"])
    )
    if command not in COMMANDS:
        return [command, *draw(st.lists(st.sampled_from([*ODD, *COMMANDS, *BROKEN]), max_size=3))]
    actions = st.sampled_from(actions_of(command))
    options = [draw_option(draw, action) for action in draw(st.lists(actions, max_size=4))]
    words = st.lists(st.sampled_from(WORDS.get(command, ("x",))), max_size=2)
    parts = [
        *options,
        *([word] for word in draw(words)),
        *([word] for word in draw(st.lists(st.sampled_from(BROKEN), max_size=1))),
    ]
    if draw(st.integers(0, 3)):
        parts = [part for part in parts if part and part[0] not in BROKEN]
    shuffled = draw(st.permutations(parts))
    return make_harmless([command, *BOUNDS.get(command, ()), *chain.from_iterable(shuffled)])


def make_harmless(line: list[str]) -> list[str]:
    """Let nothing change the machine, take the place of this process, or look up a name."""
    command, *rest = line
    if "--" in rest:  # what follows is a command to run, or a target though it is no address
        rest = rest[: rest.index("--")]
    if command == "doctor" and "--fix" in rest:
        rest = [word for word in rest if word != "--yes"]
    if command == "iface":
        rest = ["--dry-run", *rest] if {"up", "down", "add", "del", "mtu"} & {*rest} else rest
    return [command, *rest]


@pytest.fixture(scope="module")
def witness() -> Witness:
    return Witness()


class TooLongError(BaseException):
    """A command line took longer than it may."""


@contextmanager
def within(longest_s: int) -> Iterator[None]:
    """Fail what takes longer."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TooLongError

    previous = signal.signal(signal.SIGALRM, stop)
    signal.alarm(longest_s)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


def run_here(line: list[str]) -> tuple[int, str, str]:
    """Run lodiag in this process: its status, and what it wrote."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    stdin, sys.stdin = sys.stdin, io.StringIO("[[check]]\nkind = 3\n")
    try:
        with redirect_stdout(out), redirect_stderr(err), within(LONGEST_S):
            status = main(line)
    finally:
        sys.stdin = stdin
    return status, *(stream.buffer.getvalue().decode("utf-8") for stream in (out, err))  # type: ignore[return-value]


@given(line=command_lines())
@settings(
    max_examples=EXAMPLES,
    database=None,
    deadline=None,
    derandomize=EXAMPLES == 100,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_no_command_line_does_what_it_should_not(tmp_path: Path, witness: Witness, line: list[str]) -> None:
    (tmp_path / "here.toml").write_text('[[check]]\nkind = "tcp"\n', encoding="utf-8")
    threads, children = threading.active_count(), psutil.Process().children()
    with chdir(tmp_path), witness.looking() as deeds:
        status, out, err = run_here(line)
    if "nagios" in " ".join(line):
        assert status in {0, 1, 2, 3}
        return
    assert status in {0, 1, 2}
    assert bool(out) == (status != 2) or "-f" in line, (out, err)
    if status == 2:
        assert ": error [" in err or err.startswith("usage: lodiag")
        assert err.replace("\n", "").isprintable()
        assert len(err) < 2000
        assert len(err.splitlines()) <= 3
    assert "Traceback" not in out + err
    strange = [deed for deed in deeds if not (isinstance(deed.what, Path) and is_ours(deed.what, tmp_path))]
    assert strange == []
    until_s = time.monotonic() + LONGEST_S
    while threading.active_count() > threads and time.monotonic() < until_s:  # one that was given up ends by itself
        time.sleep(0.01)
    assert (threading.active_count(), psutil.Process().children()) == (threads, children)


def is_ours(path: Path, directory: Path) -> bool:
    return str(path) == os.devnull or directory in (directory / path).resolve().parents


@pytest.mark.parametrize("value", ODD, ids=lambda value: str(value)[:12].encode("unicode_escape").decode())
@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in {"schema", "bench"}])
def test_no_option_ends_in_an_exception(
    command: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each option that takes a value with each odd value: far fewer than chance needs to find the one that bites."""
    bounds = BOUNDS.get(command, ())
    target = ("127.0.0.1",) if command in {"ping", "trace"} else ()
    failed = []
    for action in actions_of(command):
        if action.nargs == 0 or takes_long(action, value):
            continue
        with chdir(tmp_path):
            try:
                status = main([command, *bounds, f"{action.option_strings[-1]}={value}", *target])
            except (ValueError, TypeError, ArithmeticError, OSError) as error:
                failed.append(f"{action.option_strings[-1]}: {type(error).__name__}: {str(error)[:80]}")
            else:
                assert status in {0, 1, 2}
    capsys.readouterr()
    assert failed == []
