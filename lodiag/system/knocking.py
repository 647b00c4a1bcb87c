"""Knocking at a service: connect, send nothing, and see whether it stays."""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
from contextlib import suppress
from time import perf_counter_ns
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_RESET = struct.pack("ii", 1, 0)
KNOCK_S = 1.0
STAY_S = 0.15
"""A service that resets what it accepts does so at once; one that waits for a request waits longer."""
MOST_NAMESPACES = 64


class Knock(NamedTuple):
    """What a client met: ``error`` is ``None`` if it was connected; ``then`` is what followed within a moment.

    ``then`` is open (nothing came), data, closed, or the name of an errno such as ECONNRESET. ``answered_by`` is the
    port of the server's end, and ``waited`` is 1 if the connection was not accepted in time; ``None`` and 0 if untold.
    """

    address: str
    port: int
    error: str | None
    took_ms: float
    then: str | None = None
    answered_by: int | None = None
    waited: int = 0


def knock(address: str, port: int, inspect: Callable[[str, int, int], tuple[int | None, int]]) -> Knock:
    """Connect, look for a moment at what comes, and leave by RST, so that nothing stays behind.

    ``inspect`` is called with the address, the port, and this end's port while the connection is open.
    """
    began_ns = perf_counter_ns()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        return Knock(address, port, _name(error), _since(began_ns))
    with sock:
        sock.settimeout(KNOCK_S)
        try:
            sock.connect((address, port))
        except TimeoutError:
            return Knock(address, port, "timeout", _since(began_ns))
        except ConnectionResetError as error:  # it came before connect(2) returned
            return Knock(address, port, None, _since(began_ns), _name(error))
        except OSError as error:
            return Knock(address, port, _name(error), _since(began_ns))
        took_ms = _since(began_ns)
        then = _watch(sock)
        answered_by, waited = inspect(address, port, int(sock.getsockname()[1])) if then == "open" else (None, 0)
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        return Knock(address, port, None, took_ms, then, answered_by, waited)


def _watch(sock: socket.socket) -> str:
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    if not poll.poll(STAY_S * 1000):
        return "open"
    try:
        return "data" if sock.recv(1, socket.MSG_PEEK) else "closed"
    except OSError as error:
        return _name(error)


def try_to_bind(address: str, port: int) -> str | None:
    """Bind for a moment, with SO_REUSEADDR as services do; the name of the errno if that is refused."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((address, port))
    except OSError as error:
        return _name(error)
    return None


class Elsewhere(NamedTuple):
    """A network namespace in which something listens at a port, by a process in it.

    ``is_near`` is whether that process lives in this process namespace, as those of containers do not.
    """

    pid: int
    namespace: int
    is_near: bool


def find_listeners_elsewhere(port: int) -> list[Elsewhere]:
    """Find network namespaces in which something listens for TCP at a port, near ones first.

    Only those of processes that this user may look into are seen.
    """
    own = _read_namespace("self")
    seen: dict[int, int] = {}
    with suppress(OSError):
        for name in os.listdir("/proc"):  # noqa: PTH208 - a Path costs a millisecond
            if name.isdecimal() and len(seen) < MOST_NAMESPACES:
                namespace = _read_namespace(name)
                if namespace not in {None, own}:
                    seen.setdefault(namespace or 0, int(name))
    here = _read_namespace("self", "pid")
    found = [
        Elsewhere(pid, namespace, _read_namespace(str(pid), "pid") == here)
        for namespace, pid in seen.items()
        if port in set(_find_listening(pid))
    ]
    return sorted(found, key=lambda item: not item.is_near)


def _read_namespace(pid: str, kind: str = "net") -> int | None:
    try:
        return os.stat(f"/proc/{pid}/ns/{kind}").st_ino  # noqa: PTH116 - as above
    except OSError:
        return None


def _find_listening(pid: int) -> Iterator[int]:
    """Ports of lines in state 0A of proc_pid_net(5)."""
    for name in ("tcp", "tcp6"):
        with suppress(OSError), open(f"/proc/{pid}/net/{name}", encoding="ascii") as file:  # noqa: PTH123 - as above
            for line in file:
                words = line.split()
                if len(words) > 3 and words[3] == "0A":  # noqa: PLR2004 - the column of the state
                    yield int(words[1].rpartition(":")[2], 16)


def _name(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, str(error))


def _since(began_ns: int) -> float:
    return round((perf_counter_ns() - began_ns) / 1e6, 3)
