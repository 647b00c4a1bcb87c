"""A datagram from an address to itself: the least that proves that packets pass."""

from __future__ import annotations

import errno
import os
import socket
import time


def exchange(address: str, size_bytes: int, timeout_s: float) -> tuple[int | None, str | None]:
    """Send a datagram to an address of this machine, from there: nanoseconds until it came, or the reason why not."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    payload = os.urandom(size_bytes)
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.settimeout(timeout_s)
            sock.bind((address, 0))
            sock.connect(sock.getsockname())  # nothing that others send is taken for it
            begun = time.perf_counter_ns()
            sock.send(payload)
            is_whole = sock.recv(size_bytes + 1) == payload
            taken = time.perf_counter_ns() - begun
    except TimeoutError:
        return None, "timeout"
    except OSError as error:
        return None, errno.errorcode.get(error.errno or 0, str(error))
    return (taken, None) if is_whole else (None, "corrupted")
