"""What psutil tells on every system: sockets with their owners, processes, loopback interfaces."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, TypeVar

import psutil

from lodiag.model import Missing
from lodiag.model.conns import Endpoint
from lodiag.system.facts import Condition, Process, Socket, SocketTable, unmap
from lodiag.system.sources import SourceRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lodiag.system.facts import Question

_Answer = TypeVar("_Answer")

_FAMILIES = {socket.AF_INET: "ipv4", socket.AF_INET6: "ipv6"}
_STATES = {
    psutil.CONN_ESTABLISHED: "established",
    psutil.CONN_SYN_SENT: "syn-sent",
    psutil.CONN_SYN_RECV: "syn-recv",
    psutil.CONN_FIN_WAIT1: "fin-wait-1",
    psutil.CONN_FIN_WAIT2: "fin-wait-2",
    psutil.CONN_TIME_WAIT: "time-wait",
    psutil.CONN_CLOSE: "close",
    psutil.CONN_CLOSE_WAIT: "close-wait",
    psutil.CONN_LAST_ACK: "last-ack",
    psutil.CONN_LISTEN: "listen",
    psutil.CONN_CLOSING: "closing",
    "DELETE_TCB": "close",
    "IDLE": "close",
    "BOUND": "bound",
}
"""psutil's words to those of RFC 9293; the last three are those of Windows and SunOS."""

LACKS = frozenset({"unit", "user", "bound", "interface"})


def list_sockets(question: Question, source: Any = psutil) -> SocketTable:  # noqa: ANN401 - psutil, or a test's own
    """Read all TCP and UDP sockets, with one owner each where it may be seen.

    macOS tells all of them to root only: there, those of the caller's own processes come back, with ``partial``
    saying so. ``source`` is psutil, or what a test has in its place. Raises ``SourceRefusedError``.
    """
    del question  # psutil reads all or nothing
    try:
        found = sorted(_translate(source.net_connections("inet")), key=lambda row: row.pids)  # it tells a set
        return SocketTable("psutil", found, None, lacks=LACKS)
    except psutil.AccessDenied:
        why = "only the sockets of this user's own processes are shown"
        partial = Missing(what="other users' sockets", count=None, why=why)
        return SocketTable("psutil", tuple(_own_sockets(source)), partial, lacks=LACKS)
    except OSError as error:
        raise SourceRefusedError(error.strerror or str(error)) from error


def _own_sockets(source: Any) -> Iterator[Socket]:  # noqa: ANN401 - as above
    for process in source.process_iter():
        try:
            found = process.net_connections("inet")
        except (psutil.Error, OSError):  # another user's, or gone
            continue
        yield from _translate(found, process.pid)


def _translate(rows: list[Any], pid: int | None = None) -> Iterator[Socket]:
    for row in rows:
        family = _FAMILIES.get(row.family)
        if family is None or not row.laddr:
            continue
        proto = "tcp" if row.type == socket.SOCK_STREAM else "udp"
        address, mapped = unmap(row.laddr.ip)
        remote = Endpoint(unmap(row.raddr.ip)[0], row.raddr.port) if row.raddr else None
        unbound = "established" if remote else "unconnected"
        state = unbound if proto == "udp" else _STATES.get(row.status, row.status.lower())
        owner = getattr(row, "pid", None) or pid
        local = Endpoint(address, row.laddr.port)
        yield Socket(proto, family, state, local, remote, (owner,) if owner else (), mapped)


def describe_process(pid: int, *, with_cmdline: bool) -> Process:
    """Name, user and command line of a process; ``None`` for what it hides, or if it has ended."""
    try:
        process = psutil.Process(pid)
    except psutil.Error:
        return Process(pid, None, None, None)
    return Process(
        pid,
        _ask(process.name),
        _ask(process.username),
        _ask(lambda: " ".join(process.cmdline())) if with_cmdline else None,
    )


def find_start(pid: int) -> int | None:
    """When a process was started, in seconds since the epoch; ``None`` if it has ended or hides it."""
    try:
        return int(psutil.Process(pid).create_time())
    except (psutil.Error, OSError):
        return None


def describe_condition(pid: int) -> Condition:
    """Program, ancestors, state and limits of a process; ``None`` for what it hides, or if it has ended."""
    try:
        process = psutil.Process(pid)
    except (psutil.Error, OSError):
        return Condition(None, (), None, None)
    program = _try(lambda: (process.name(), _find_word(process.cmdline())))
    parents = _try(lambda: tuple(parent.pid for parent in process.parents()))
    is_stopped = _try(lambda: process.status() in {psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP})
    limit = _try(lambda: process.rlimit(psutil.RLIMIT_NOFILE)[0]) if hasattr(process, "rlimit") else None
    return Condition(program, parents or (), is_stopped, None if limit == _UNLIMITED else limit)


_UNLIMITED = -1
"""RLIM_INFINITY, as psutil gives it."""


def _find_word(cmdline: list[str]) -> str:
    """Give the first word of a command that is no option, without the digits that tell workers apart."""
    words = (word for word in cmdline[1:] if not word.startswith("-"))
    return "".join(character for character in next(words, "") if not character.isdigit())


def _try(question: Callable[[], _Answer]) -> _Answer | None:
    """Ask a process that may end, or forbid the answer, at any moment."""
    try:
        return question()
    except (psutil.Error, OSError, KeyError):
        return None


def _ask(question: Callable[[], str]) -> str | None:
    r"""Ask a process that may end, or forbid the answer, at any moment.

    The kernel does not ask that a name be text: bytes that are not UTF-8 become \xNN.
    """
    answer = _try(question)
    return None if answer is None else answer.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
