"""Bursts over a connection that is kept: how long the first after a pause takes, and how long the others."""

from __future__ import annotations

import socket
import struct
import sys
from contextlib import suppress
from time import perf_counter_ns
from typing import Any

WINDOW = struct.Struct("80xI")
"""tcpi_snd_cwnd of struct tcp_info (Linux's include/uapi/linux/tcp.h), in segments."""


def send(sock: socket.socket, *, size_bytes: int, count: int) -> dict[str, Any]:
    """Send so many bursts; each lasts until the other end says that it has all of it."""
    burst, taken = memoryview(bytearray(size_bytes)), bytearray(1)
    times, windows = [], [_read_window(sock)]
    for _ in range(count):
        begun_ns = perf_counter_ns()
        sock.sendall(burst[:1])
        windows.append(_read_window(sock))
        sock.sendall(burst[1:])
        sock.recv_into(taken)
        times.append(perf_counter_ns() - begun_ns)
    return {"times_ns": times, "window_before": windows[0], "window_after": windows[1]}


def take(sock: socket.socket, *, size_bytes: int, count: int) -> dict[str, Any]:
    """Take in so many bursts."""
    buffer = memoryview(bytearray(size_bytes))
    for _ in range(count):
        sock.recv_into(buffer, size_bytes, socket.MSG_WAITALL)
        sock.send(b"+")
    return {}


def _read_window(sock: socket.socket) -> int | None:
    with suppress(OSError, struct.error):
        if sys.platform == "linux":
            (segments,) = WINDOW.unpack_from(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256))
            return int(segments)
    return None
