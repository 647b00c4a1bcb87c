"""Request and response, one at a time: how long each takes."""

from __future__ import annotations

import os
import socket
from array import array
from contextlib import suppress
from itertools import pairwise
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from lodiag.system.ends.stream import ABORT

if TYPE_CHECKING:
    from collections.abc import Callable

BIN_BITS = 5
"""Times are counted in bins of 2^5 = 32 ns, which is a third of a percent of the shortest round trip there is."""
BINS = 131_072
"""Up to 4.2 ms, in half a mebibyte however long it takes; what is longer is rare and kept as it is."""

BATCH, CHUNK = 8, 4096
"""Requests between two looks at whether it is time to end, and those after which their times are counted."""

SMALL_BYTES = 4096
"""With more, to read into the same buffer again and again is faster than to make an object each time."""


class Times:
    """Times, counted."""

    def __init__(self) -> None:
        """Begin with none."""
        self.bins = array("I", bytes(4 * BINS))
        self.long: list[int] = []
        self.counted = 0

    def count(self, stamps: list[int]) -> None:
        """Count the times between instants, each with the next."""
        for then_ns, now_ns in pairwise(stamps):
            try:
                self.bins[now_ns - then_ns >> BIN_BITS] += 1
            except IndexError:
                self.long.append(now_ns - then_ns)
        self.counted += max(len(stamps) - 1, 0)

    def tell(self) -> dict[str, Any]:
        """Give the bins that are not empty, and the long ones."""
        counted = [(index, count) for index, count in enumerate(self.bins) if count]
        return {"bins": counted, "long_ns": self.long}


def ask(  # noqa: PLR0913 - what decides how to ask
    sock: socket.socket, *, size_bytes: int, start_ns: int, end_ns: int, total: int | None, spin: bool
) -> dict[str, Any]:
    """Ask until the end, or ``total`` times.

    Within a batch nothing is done but to ask and to note the time; what is noted is counted between two batches.
    """
    times, clock = Times(), perf_counter_ns
    exchange_some = _make_exchange(sock, size_bytes, spin=spin)
    done = lost = elapsed_ns = 0
    stamps: list[int] = []
    try:
        while clock() < start_ns:
            exchange_some(1, [])
        now_ns = 0
        while now_ns < end_ns and done != total:
            stamps = [clock()]
            while now_ns < end_ns and len(stamps) <= CHUNK and done != total:
                batch = BATCH if total is None else min(BATCH, total - done)
                exchange_some(batch, stamps)
                done += batch
                now_ns = stamps[-1]
            elapsed_ns += now_ns - stamps[0]
            times.count(stamps)
            stamps = []
    except BlockingIOError:  # SO_RCVTIMEO: no answer came
        lost = 1
        times.count(stamps)
    _leave(sock)
    return {"transactions": times.counted, "lost": lost, "elapsed_ns": elapsed_ns, **times.tell()}


def answer(sock: socket.socket, *, size_bytes: int, spin: bool) -> dict[str, Any]:
    """Give back what comes until there is no more."""
    with suppress(ConnectionError, BlockingIOError):
        if _is_small(size_bytes, spin=spin):
            read, write, descriptor = os.read, os.write, sock.fileno()
            while request := read(descriptor, size_bytes):
                write(descriptor, request)
            return {}
        buffer = memoryview(bytearray(size_bytes))
        pull, push = _make_pull(sock, buffer, spin=spin), sock.send
        while pull():
            push(buffer)
    return {}


def _is_small(size_bytes: int, *, spin: bool) -> bool:
    """Whether a message is best had by the descriptor, which costs Python least, as an object of its own."""
    return not spin and size_bytes <= SMALL_BYTES


def read_rest(descriptor: int, size_bytes: int, got: bytes) -> bytes:
    """Read on where a message has come in parts; what there is if the other end has closed."""
    while got and len(got) < size_bytes and (more := os.read(descriptor, size_bytes - len(got))):
        got += more
    return got


def _make_exchange(sock: socket.socket, size_bytes: int, *, spin: bool) -> Callable[[int, list[int]], None]:
    """Make the function that so many times sends a request, waits for its response, and notes the time."""
    message, clock = bytes(size_bytes), perf_counter_ns
    if _is_small(size_bytes, spin=spin):
        read, write, descriptor = os.read, os.write, sock.fileno()

        def exchange(times: int, stamps: list[int]) -> None:
            note = stamps.append
            for _ in range(times):
                write(descriptor, message)
                if len(got := read(descriptor, size_bytes)) < size_bytes:
                    read_rest(descriptor, size_bytes, got)
                note(clock())

        return exchange
    pull, push = _make_pull(sock, memoryview(bytearray(size_bytes)), spin=spin), sock.send

    def exchange_whole(times: int, stamps: list[int]) -> None:
        for _ in range(times):
            push(message)
            pull()
            stamps.append(clock())

    return exchange_whole


def _make_pull(sock: socket.socket, buffer: memoryview, *, spin: bool) -> Callable[[], int]:
    """Make the function that waits for a whole message, asleep or, with ``spin``, awake."""
    receive, whole = sock.recv_into, len(buffer)
    if spin:
        return _make_spinning_pull(sock, buffer)
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
