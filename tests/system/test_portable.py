"""What psutil says, put into lodiag's words: on this machine for real, and with stand-ins for other systems."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections import namedtuple
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from lodiag.system.facts import Question
from lodiag.system.portable import describe_condition, describe_process, list_sockets
from lodiag.system.sources import SourceRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

Address = namedtuple("Address", "ip port")  # noqa: PYI024 - as psutil has it
Row = namedtuple("Row", "family type laddr raddr status pid")  # noqa: PYI024
OwnRow = namedtuple("OwnRow", "family type laddr raddr status")  # noqa: PYI024
LISTENER = OwnRow(socket.AF_INET, socket.SOCK_STREAM, Address("127.0.0.1", 80), (), psutil.CONN_LISTEN)


class FakeProcess:
    """A process of psutil's that shows its sockets, or not."""

    def __init__(self, pid: int, rows: list[Any] | None) -> None:
        """``None`` for a process that hides."""
        self.pid, self._rows = pid, rows

    def net_connections(self, kind: str) -> list[Any]:
        """Give the rows, or refuse."""
        assert kind == "inet"
        if self._rows is None:
            raise psutil.AccessDenied(self.pid)
        return self._rows


class FakePsutil:
    """psutil on a system that differs."""

    def __init__(self, table: list[Any] | Exception, processes: list[FakeProcess] | None = None) -> None:
        """``table`` is what net_connections gives, or raises."""
        self._table, self._processes = table, processes or []

    def net_connections(self, kind: str) -> list[Any]:
        """Give the table, or raise."""
        assert kind == "inet"
        if isinstance(self._table, Exception):
            raise self._table
        return self._table

    def process_iter(self) -> Iterator[FakeProcess]:
        """Give the processes."""
        return iter(self._processes)


def test_without_the_right_to_all_sockets_those_of_own_processes_are_shown() -> None:
    """As on macOS, where only root sees all."""
    processes = [FakeProcess(1, None), FakeProcess(7, [LISTENER]), FakeProcess(8, [])]
    table = list_sockets(Question(), FakePsutil(psutil.AccessDenied(), processes))
    assert [(row.local, row.state, row.pids) for row in table.sockets] == [(("127.0.0.1", 80), "listen", (7,))]
    assert table.partial


def test_an_unreadable_table_is_one_error() -> None:
    with pytest.raises(SourceRefusedError, match="No such file"):
        list_sockets(Question(), FakePsutil(FileNotFoundError(2, "No such file or directory")))


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            Row(socket.AF_INET, socket.SOCK_DGRAM, Address("127.0.0.1", 53), (), psutil.CONN_NONE, 5),
            ("udp", "ipv4", "unconnected", ("127.0.0.1", 53), None, (5,)),
        ),
        (
            Row(socket.AF_INET6, socket.SOCK_DGRAM, Address("::1", 53), Address("::1", 9), psutil.CONN_NONE, None),
            ("udp", "ipv6", "established", ("::1", 53), ("::1", 9), ()),
        ),
        (
            Row(socket.AF_INET, socket.SOCK_STREAM, Address("127.0.0.1", 1), Address("127.0.0.1", 2), "DELETE_TCB", 0),
            ("tcp", "ipv4", "close", ("127.0.0.1", 1), ("127.0.0.1", 2), ()),
        ),
        (
            Row(socket.AF_INET, socket.SOCK_STREAM, Address("127.0.0.1", 1), Address("127.0.0.1", 2), "NOVEL", 3),
            ("tcp", "ipv4", "novel", ("127.0.0.1", 1), ("127.0.0.1", 2), (3,)),
        ),
    ],
)
def test_rows_are_translated(row: Any, expected: tuple[object, ...]) -> None:
    assert [tuple(found)[: len(expected)] for found in list_sockets(Question(), FakePsutil([row])).sockets] == [
        expected
    ]


@pytest.mark.parametrize("family", [socket.AF_UNIX if hasattr(socket, "AF_UNIX") else -1, -1])
def test_rows_of_other_families_are_passed_over(family: int) -> None:
    row = Row(family, socket.SOCK_STREAM, Address("x", 1), (), psutil.CONN_NONE, 1)
    assert list(list_sockets(Question(), FakePsutil([row])).sockets) == []


def test_a_process_of_ones_own() -> None:
    found = describe_process(os.getpid(), with_cmdline=True)
    assert found.name == psutil.Process().name()
    assert found.user == psutil.Process().username()
    assert found.cmdline == " ".join(psutil.Process().cmdline())
    assert describe_process(os.getpid(), with_cmdline=False).cmdline is None


def test_a_process_that_is_gone() -> None:
    found = describe_process(2**22 + 1, with_cmdline=True)
    assert (found.name, found.user, found.cmdline) == (None, None, None)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGSTOP")
def test_how_a_process_is() -> None:
    command = [sys.executable, "-u", "-c", "print('ready'); input()", "worker-12"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout
        child.stdout.readline()
        runs = describe_condition(child.pid)
        os.kill(child.pid, signal.SIGSTOP)
        os.waitpid(child.pid, os.WUNTRACED)
        stopped = describe_condition(child.pid)
        os.kill(child.pid, signal.SIGCONT)
        child.communicate(b"\n")
    assert runs.program
    assert runs.program[1] == "print('ready'); input()"
    assert runs.parents[0] == os.getpid()
    assert (runs.is_stopped, stopped.is_stopped) == (False, True)
    assert runs.most_files is None or runs.most_files > 0


def test_a_process_that_has_ended_tells_nothing_of_how_it_is() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    assert describe_condition(child.pid) == (None, (), None, None)
