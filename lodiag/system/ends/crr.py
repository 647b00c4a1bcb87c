"""Connect, request, response, close: how often a second."""

from __future__ import annotations

import os
import socket
from collections import Counter
from contextlib import suppress
from itertools import cycle
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from lodiag.system.ends.rr import BIN_BITS, Times, read_rest
from lodiag.system.ends.stream import ABORT

if TYPE_CHECKING:
    from collections.abc import Callable

IP_BIND_ADDRESS_NO_PORT = 24
"""Linux's include/uapi/linux/in.h: choose the port when connecting, so that one serves for many remote ends."""

MOST_FAILURES = 1000
"""Connections that fail one after the other until it is given up."""

LAST = b"\xff"
"""First byte of the request after which the answering end stops."""

GRACE_NS = 200_000_000
"""How long after the end that one still waits for the last request, which may not get through."""


def ask(  # noqa: PLR0913 - what decides how to connect
    *,
    family: int,
    address: Any,  # noqa: ANN401 - as the family has it
    size_bytes: int,
    start_ns: int,
    end_ns: int,
    total: int | None,
    most: int | None,
    graceful: bool,
    sources: list[str],
) -> dict[str, Any]:
    """Connect until the end, ``total`` times, or at most ``most`` times."""
    target = tuple(address) if isinstance(address, list) else address
    client = _Client(family, target, bytes(size_bytes), sources, graceful=graceful)
    times, clock = Times(), perf_counter_ns
    done, failures, limit = 0, 0, min((n for n in (total, most) if n is not None), default=-1)
    now_ns = clock()
    while now_ns < start_ns and limit < 0:
        client.exchange()
        now_ns = clock()
    client.failed.clear()
    begun_ns = now_ns
    while now_ns < end_ns and done != limit and failures < MOST_FAILURES:
        succeeded = client.exchange()
        then_ns, now_ns = now_ns, clock()
        if not succeeded:
            failures += 1
            continue
        failures, done = 0, done + 1
        try:
            times.bins[now_ns - then_ns >> BIN_BITS] += 1
        except IndexError:
            times.long.append(now_ns - then_ns)
    failed = list(client.failed.items())  # by errno
    client.stop()
    return {
        "transactions": done,
        "failed": failed,
        "elapsed_ns": now_ns - begun_ns,
        "was_limited": done == most,
        **times.tell(),
    }


class _Client:
    """Makes connections and ends them."""

    def __init__(self, family: int, target: Any, message: bytes, sources: list[str], *, graceful: bool) -> None:  # noqa: ANN401 - as above
        self.failed: Counter[int | None] = Counter()
        self._family, self._target, self._message = family, target, message
        self._is_abrupt = not graceful and family != socket.AF_UNIX
        self._sources = cycle(sources) if sources else None
        self.exchange = self._make_exchange()

    def _make_exchange(self) -> Callable[[], bool]:
        """Make the function that connects, asks, gets the answer and closes, and tells whether that went well.

        ``SocketType`` is what ``socket.socket`` is made of: the class around it costs some 4 % of the connections.
        """
        make, read, write = socket.SocketType, os.read, os.write
        family, kind, target, message = self._family, int(socket.SOCK_STREAM), self._target, self._message
        level, linger, is_abrupt = int(socket.SOL_SOCKET), int(socket.SO_LINGER), self._is_abrupt
        size, sources, failed = len(message), self._sources, self.failed

        def exchange() -> bool:
            sock = make(family, kind)
            try:
                if sources is not None:
                    _bind(sock, next(sources))
                sock.connect(target)
                descriptor = sock.fileno()
                write(descriptor, message)
                if len(got := read(descriptor, size)) < size:
                    read_rest(descriptor, size, got)
                if is_abrupt:
                    sock.setsockopt(level, linger, ABORT)
            except OSError as error:
                failed[error.errno] += 1
                return False
            else:
                return True
            finally:
                sock.close()

        return exchange

    def stop(self) -> None:
        """Make the answering end stop."""
        self._message = LAST + self._message[1:]
        self._is_abrupt = self._family != socket.AF_UNIX
        self._make_exchange()()


def _bind(sock: socket.SocketType, source: str) -> None:
    with suppress(OSError):  # not Linux
        sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    sock.bind((source, 0))


def answer(listener: socket.socket, *, size_bytes: int, end_ns: int) -> dict[str, Any]:
    """Answer each connection and close it, until the last.

    By descriptor, as a socket object each would take as long as the rest. The listener has a timeout (SO_RCVTIMEO).
    """
    accept = listener._accept  # type: ignore[attr-defined]  # noqa: SLF001 - what accept() makes an object of
    while True:
        try:
            descriptor, _ = accept()
        except BlockingIOError:
            if perf_counter_ns() > end_ns + GRACE_NS:
                return {}
            continue
        except OSError:  # it was reset meanwhile
            continue
        try:
            request = read_rest(descriptor, size_bytes, os.read(descriptor, size_bytes))
            os.write(descriptor, request)
        except OSError:
            request = b""
        finally:
            os.close(descriptor)
        if request[:1] == LAST:
            return {}
