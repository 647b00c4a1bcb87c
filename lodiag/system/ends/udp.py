"""Datagrams as fast as they go, each with its number: which are lost, doubled, or overtaken."""

from __future__ import annotations

import socket
import struct
from collections import deque
from contextlib import suppress
from time import perf_counter_ns, process_time_ns
from typing import Any

NUMBER = struct.Struct("=Q")
LEAST_BYTES = NUMBER.size

BETWEEN_CLOCKS = 64
"""Datagrams between two looks at the clock, which takes a fiftieth of the time of a datagram."""
LAST_TRIES = 3
"""Empty datagrams that tell the end; if all are lost, SO_RCVTIMEO does."""

SO_MEMINFO, DROPS = 55, struct.Struct("=32xI")
"""SK_MEMINFO_DROPS of Linux's include/uapi/linux/sock_diag.h: what found the receive buffer full."""


def send(
    sock: socket.socket, *, size_bytes: int, start_ns: int, end_ns: int, total_bytes: int | None
) -> dict[str, Any]:
    """Send until the end, or at least ``total_bytes``."""
    buffer = bytearray(size_bytes)
    push, pack, clock = sock.send, NUMBER.pack_into, perf_counter_ns
    total = None if total_bytes is None else -(-total_bytes // size_bytes)
    sent = refused = 0
    while clock() < start_ns:
        pass
    cpu_ns, begun_ns = process_time_ns(), clock()
    now_ns = begun_ns
    while now_ns < end_ns and sent != total:
        count = BETWEEN_CLOCKS if total is None else min(BETWEEN_CLOCKS, total - sent)
        for number in range(sent, sent + count):
            pack(buffer, 0, number)
            try:
                push(buffer)
            except OSError:  # ENOBUFS: what shapes the interface's traffic has no room; such a one is lost
                refused += 1
        sent += count
        now_ns = clock()
    cpu_ns = process_time_ns() - cpu_ns
    for _ in range(LAST_TRIES):
        with suppress(OSError):
            sock.send(b"")
    return {"sent": sent, "refused": refused, "elapsed_ns": now_ns - begun_ns, "cpu_ns": cpu_ns, "begun_ns": begun_ns}


class Order:
    """Tells what is doubled from what was overtaken, by the gaps that were left open."""

    MOST_GAPS = 4096
    """The oldest gaps are forgotten: what comes so late counts as doubled."""

    def __init__(self) -> None:
        """Expect number 0."""
        self.expected = 0
        self.overtaken = self.doubled = 0
        self._gaps: deque[tuple[int, int]] = deque(maxlen=self.MOST_GAPS)

    def take(self, number: int) -> None:
        """Take in a number that is not the expected one."""
        if number > self.expected:
            self._gaps.append((self.expected, number))
            self.expected = number + 1
            return
        for index, (first, end) in enumerate(self._gaps):
            if first <= number < end:
                del self._gaps[index]
                for gap in ((first, number), (number + 1, end)):
                    if gap[0] < gap[1]:
                        self._gaps.append(gap)
                self.overtaken += 1
                return
        self.doubled += 1


def receive(sock: socket.socket, *, size_bytes: int) -> dict[str, Any]:
    """Receive until an empty datagram comes, or none for a while (SO_RCVTIMEO)."""
    buffer = bytearray(size_bytes)
    pull, unpack, clock = sock.recv_into, NUMBER.unpack_from, perf_counter_ns
    order = Order()
    received = 0
    cpu_ns = process_time_ns()
    begun_ns = last_ns = clock()
    with suppress(BlockingIOError, ConnectionError):
        while pull(buffer):
            (number,) = unpack(buffer)
            received += 1
            if number == order.expected:
                order.expected += 1
            else:
                order.take(number)
            if not received % BETWEEN_CLOCKS:
                last_ns = clock()
                if received == BETWEEN_CLOCKS:
                    begun_ns, cpu_ns = last_ns, process_time_ns()
            elif received < BETWEEN_CLOCKS:  # there may be no more
                last_ns = clock()
    return {
        "received": received,
        "timed": max(received // BETWEEN_CLOCKS - 1, 0) * BETWEEN_CLOCKS or received,
        "overtaken": order.overtaken,
        "doubled": order.doubled,
        "elapsed_ns": last_ns - begun_ns,
        "ended_ns": last_ns,
        "cpu_ns": process_time_ns() - cpu_ns,
        "dropped": _count_drops(sock),
    }


def _count_drops(sock: socket.socket) -> int | None:
    with suppress(OSError, struct.error):
        (drops,) = DROPS.unpack_from(sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 36))
        return int(drops)
    return None
