"""Request and response, one at a time: how long each takes."""

from __future__ import annotations

import socket
from array import array
from contextlib import suppress
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from lodiag.system.ends.stream import ABORT

if TYPE_CHECKING:
    from collections.abc import Callable

BIN_BITS = 5
"""Times are counted in bins of 2^5 = 32 ns, which is a third of a percent of the shortest round trip there is."""
BINS = 131_072
"""Up to 4.2 ms, in half a mebibyte however long it takes; what is longer is rare and kept as it is."""


class Times:
    """Times, counted."""

    def __init__(self) -> None:
        """Begin with none."""
        self.bins = array("I", bytes(4 * BINS))
        self.long: list[int] = []

    def tell(self) -> dict[str, Any]:
        """Give the bins that are not empty, and the long ones."""
        counted = [(index, count) for index, count in enumerate(self.bins) if count]
        return {"bins": counted, "long_ns": self.long}


def ask(  # noqa: PLR0913 - what decides how to ask
    sock: socket.socket, *, size_bytes: int, start_ns: int, end_ns: int, total: int | None, spin: bool
) -> dict[str, Any]:
    """Ask until the end, or ``total`` times."""
    exchange = _make_exchange(sock, size_bytes, spin=spin)
    times = Times()
    clock, bins, long = perf_counter_ns, times.bins, times.long
    done = lost = 0
    now_ns = clock()
    begun_ns = now_ns
    try:
        while now_ns < start_ns:
            exchange()
            now_ns = clock()
        begun_ns = now_ns
        while now_ns < end_ns and done != total:
            exchange()
            then_ns, now_ns = now_ns, clock()
            done += 1
            try:
                bins[now_ns - then_ns >> BIN_BITS] += 1
            except IndexError:
                long.append(now_ns - then_ns)
    except BlockingIOError:  # SO_RCVTIMEO: no answer came
        lost = 1
    _leave(sock)
    return {"transactions": done, "lost": lost, "elapsed_ns": now_ns - begun_ns, **times.tell()}


def answer(sock: socket.socket, *, size_bytes: int, spin: bool) -> dict[str, Any]:
    """Give back what comes until there is no more."""
    buffer = memoryview(bytearray(size_bytes))
    pull, push = _make_pull(sock, buffer, spin=spin), sock.send
    with suppress(ConnectionError, BlockingIOError):
        while pull():
            push(buffer)
    return {}


def _make_exchange(sock: socket.socket, size_bytes: int, *, spin: bool) -> Callable[[], Any]:
    """Make the function that sends a request and waits for its response."""
    buffer = memoryview(bytearray(size_bytes))
    push, message = sock.send, bytes(size_bytes)
    if not spin and (size_bytes == 1 or sock.type == socket.SOCK_DGRAM):
        receive = sock.recv_into

        def exchange() -> None:
            push(message)
            receive(buffer)

        return exchange
    pull = _make_pull(sock, buffer, spin=spin)

    def exchange_whole() -> None:
        push(message)
        pull()

    return exchange_whole


def _make_pull(sock: socket.socket, buffer: memoryview, *, spin: bool) -> Callable[[], int]:
    """Make the function that waits for a whole message, asleep or, with ``spin``, awake."""
    receive, whole = sock.recv_into, len(buffer)
    if spin:
        return _make_spinning_pull(sock, buffer)
    if sock.type == socket.SOCK_DGRAM or whole == 1:
        return lambda: receive(buffer)
    return lambda: receive(buffer, whole, socket.MSG_WAITALL)


def _make_spinning_pull(sock: socket.socket, buffer: memoryview) -> Callable[[], int]:
    receive, whole, flags = sock.recv_into, len(buffer), socket.MSG_DONTWAIT
    is_stream = sock.type == socket.SOCK_STREAM

    def pull() -> int:
        had = 0
        while True:
            try:
                got = receive(buffer[had:] if had else buffer, 0, flags)
            except BlockingIOError:
                continue
            had += got
            if not got or had >= whole or not is_stream:
                return had

    return pull


def _leave(sock: socket.socket) -> None:
    """Tell the other end that there is no more: a datagram of nothing, or a reset."""
    with suppress(OSError):
        if sock.type == socket.SOCK_DGRAM:
            sock.send(b"")
        elif sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
