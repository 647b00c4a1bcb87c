"""As many bytes as go through a connection: what each end counts is what passed between two instants.

Both ends are told the instants, of a clock that all processes share (CLOCK_MONOTONIC), so that warming up is left out
and the streams of several processes are counted over the same time.
"""

from __future__ import annotations

import socket
import struct
import sys
from contextlib import suppress
from time import perf_counter_ns, process_time_ns
from typing import Any

ABORT = struct.pack("ii", 1, 0)
"""SO_LINGER that closes with a reset (socket(7)): neither end stays in TIME_WAIT."""

RETRANSMITS = struct.Struct("100xI")
"""tcpi_total_retrans of struct tcp_info (Linux's include/uapi/linux/tcp.h)."""

PACING = struct.Struct("104xQ")
"""tcpi_pacing_rate, likewise; bytes a second, all ones if nothing paces."""
UNPACED = 2**64 - 1


def send(
    sock: socket.socket, *, size_bytes: int, start_ns: int, end_ns: int, total_bytes: int | None
) -> dict[str, Any]:
    """Send until the end, or exactly ``total_bytes``."""
    buffer = memoryview(bytearray(size_bytes))
    if total_bytes is not None:
        return _send_all(sock, buffer, total_bytes)
    push, clock = sock.send, perf_counter_ns
    sent = 0
    with suppress(ConnectionError):  # the other end was there first
        while clock() < start_ns:
            push(buffer)
        cpu_ns, begun_ns = process_time_ns(), clock()
        now_ns = begun_ns
        while now_ns < end_ns:
            sent += push(buffer)
            now_ns = clock()
        cpu_ns = process_time_ns() - cpu_ns
        return _close(sock, {"bytes": sent, "elapsed_ns": now_ns - begun_ns, "cpu_ns": cpu_ns})
    return {"errno": None}


def _send_all(sock: socket.socket, buffer: memoryview, total_bytes: int) -> dict[str, Any]:
    cpu_ns, begun_ns = process_time_ns(), perf_counter_ns()
    left = total_bytes
    while left:
        left -= sock.send(buffer[:left])
    sock.shutdown(socket.SHUT_WR)
    with suppress(ConnectionError):  # the other end closes with a reset when it has all
        sock.recv(1)
    result = {"bytes": total_bytes, "elapsed_ns": perf_counter_ns() - begun_ns, "cpu_ns": process_time_ns() - cpu_ns}
    return _close(sock, {**result, "begun_ns": begun_ns})


def receive(
    sock: socket.socket, *, size_bytes: int, start_ns: int, end_ns: int, total_bytes: int | None
) -> dict[str, Any]:
    """Receive until the end, or until the sender has sent all."""
    buffer = memoryview(bytearray(size_bytes))
    pull, clock = sock.recv_into, perf_counter_ns
    received, got = 0, 1
    now_ns = clock()
    if total_bytes is None:
        while got and now_ns < start_ns:
            got = pull(buffer)
            now_ns = clock()
    cpu_ns, begun_ns, last_ns = process_time_ns(), now_ns, end_ns if total_bytes is None else sys.maxsize
    with suppress(ConnectionError):  # the sender was there first
        while got and now_ns < last_ns:
            got = pull(buffer)
            received += got
            now_ns = clock()
    result = {"bytes": received, "elapsed_ns": now_ns - begun_ns, "cpu_ns": process_time_ns() - cpu_ns}
    return _close(sock, {**result, "ended_ns": now_ns})


def _close(sock: socket.socket, result: dict[str, Any]) -> dict[str, Any]:
    """Close with a reset, and tell what TCP says of the connection."""
    if sock.family != socket.AF_UNIX:
        result |= read_tcp(sock)
        abort(sock)
    return result


def abort(sock: socket.socket) -> None:
    """Let it be closed with a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)


def read_tcp(sock: socket.socket) -> dict[str, int | None]:
    """Tell how many segments were sent again, and how fast TCP lets them out; nothing where the kernel does not."""
    if sys.platform != "linux" or sock.type != socket.SOCK_STREAM:
        return {}
    with suppress(OSError):
        told = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        (paced,) = PACING.unpack_from(told)
        (again,) = RETRANSMITS.unpack_from(told)
        return {"retransmits": again, "pacing_bytes_per_s": None if paced == UNPACED else paced}
    return {}
