"""Whatever is typed: a status of 0, 1 or 2, one sentence, and nothing sent, written or left behind that was not asked for.

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
from ipaddress import ip_address
from itertools import chain
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
    *("listen", "estab,LISTEN", "127.0.0.2", "::1", "8.8.8.8", "a=b", "%s%n", "0s", "1ms", "-1s", "1h", "[", "{}", "0,0"),
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
    *("resolve:localhost", "doctor:9", "bench:x", "tcp", "tcp:", "ping:8.8.8.8", "nope:1", "tcp:9:9:9", "", "\x1b", "ü:1"),
)
WORDS = {
    "ping": TARGETS,
    "trace": TARGETS,
    "who": ENDPOINTS,
    "doctor": ("limits", "interface", "names", "lo-down", "lo-dwn", "icmp-denied", "canary", *ENDPOINTS),
    "check": CHECKS,
    "iface": ("up", "down", "add", "del", "mtu", "127.0.0.2", "127.0.0.2/8", "::2", "1500", "65536", "-1", "upp", "8.8.8.8"),
    "bench": ("rr", "crr", "stream", "udp", "all", "x", ""),
}
BROKEN = ("--", "-", "---", "--=", "-=", "-4c1", "--json=", "-h", "-qqq", "@a", "-9", "--count", "-c", "--format", "x" * 999)
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
    command = draw(st.sampled_from([*COMMANDS, *COMMANDS, *COMMANDS, "nope", "", "--version", "-h", "--print-completion"]))
    if command not in COMMANDS:
        return [command, *draw(st.lists(st.sampled_from([*ODD, *COMMANDS, *BROKEN]), max_size=3))]
    actions = st.sampled_from(actions_of(command))
    options = [draw_option(draw, action) for action in draw(st.lists(actions, max_size=4))]
    words = st.lists(st.sampled_from(WORDS.get(command, ("x",))), max_size=2)
    parts = [*options, *([word] for word in draw(words)), *([word] for word in draw(st.lists(st.sampled_from(BROKEN), max_size=1)))]
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


# --- what it does besides --------------------------------------------------------------------------------------------


class Deed(NamedTuple):
    """Something that Python was asked to do for lodiag."""

    event: str
    what: Any


class Witness:
    """Notes what leaves this process: it sees every address that is sent to, and every file that is written."""

    CHANGES = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.chmod", "os.chown", "os.link", "os.symlink", "os.truncate")
    RUNS = ("os.system", "os.exec", "os.spawn", "os.posix_spawn")

    def __init__(self) -> None:
        """Be there from now on: Python forgets no hook, so this one can look away."""
        self.deeds: list[Deed] = []
        self.looks = False
        sys.addaudithook(self._note)

    def _note(self, event: str, values: tuple[Any, ...]) -> None:
        if not self.looks:
            return
        if event in {"socket.connect", "socket.sendto", "socket.sendmsg"}:
            family, address = values[0].family.name, values[1]
            if family in {"AF_INET", "AF_INET6"} and address is not None and not is_loopback(address[0]):
                self.deeds.append(Deed(event, address))
        elif event == "socket.getaddrinfo":
            if values[0] not in {"localhost", b"localhost", None} and not is_address(values[0]):
                self.deeds.append(Deed(event, values[0]))
        elif event == "open" and isinstance(values[0], str) and (values[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
            self.deeds.append(Deed("write", values[0]))
        elif event in self.CHANGES:
            self.deeds.append(Deed("write", values[0]))
        elif event in self.RUNS or (event == "subprocess.Popen" and not only_looks(values[1])):
            self.deeds.append(Deed(event, values[1]))

    @contextmanager
    def looking(self) -> Iterator[list[Deed]]:
        """Give what was done meanwhile."""
        self.deeds, self.looks = [], True
        try:
            yield self.deeds
        finally:
            self.looks = False


def only_looks(command: list[str]) -> bool:
    """Whether it is one that lists rules or draws, or a process of lodiag's own."""
    name = Path(command[0]).name
    return command[0] == sys.executable or name == "dot" or name.endswith("-save") or (name == "nft" and "list" in command)


def is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    return ip_address(host.partition("%")[0]).is_loopback


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
    return status, *((stream.buffer.getvalue().decode("utf-8") for stream in (out, err)))  # type: ignore[attr-defined, return-value]


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
    strange = [d for d in deeds if d.event != "write" or not is_ours(Path(d.what), tmp_path)]
    assert strange == []
    until_s = time.monotonic() + LONGEST_S
    while threading.active_count() > threads and time.monotonic() < until_s:  # one that was given up ends by itself
        time.sleep(0.01)
    assert (threading.active_count(), psutil.Process().children()) == (threads, children)


def is_ours(path: Path, directory: Path) -> bool:
    return str(path) == os.devnull or directory in (directory / path).resolve().parents


