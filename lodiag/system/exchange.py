"""One datagram to a port at several addresses at once, and what came back."""

from __future__ import annotations

import errno
import selectors
import socket
from contextlib import ExitStack
from time import perf_counter_ns
from typing import TYPE_CHECKING

from lodiag.system.waiting import PollSelector

if TYPE_CHECKING:
    from collections.abc import Sequence

NS_PER_MS = 1_000_000
LARGEST = 65_535

Result = tuple[str, str | None, bytes | None, float | None]


def exchange(addresses: Sequence[str], port: int, data: bytes, timeout_s: float) -> list[Result]:
    """Send ``data`` to a port at each of the addresses (literals), and wait for one datagram of each.

    Gives of each, in order: the address, the name of the error or ``None``, the answer or ``None``, and milliseconds
    until that came. Silence is no error: the address has neither refused nor answered.
    """
    results: dict[str, Result] = {}
    socks: dict[str, socket.socket] = {}
    began_ns = perf_counter_ns()
    with ExitStack() as stack:
        selector = stack.enter_context(PollSelector())
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            try:
                sock = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
                sock.setblocking(False)  # noqa: FBT003 - the system call's own argument
                sock.connect((address, port))
                sock.send(data)
            except OSError as error:
                results[address] = address, name(error), None, None
            else:
                socks[address] = sock
                selector.register(sock, selectors.EVENT_READ, address)
        while selector.get_map():
            left_s = timeout_s - (perf_counter_ns() - began_ns) / 1e9
            if left_s <= 0:
                break
            for key, _ in selector.select(left_s):
                selector.unregister(key.fileobj)
                results[key.data] = _receive(key.data, socks[key.data], began_ns)
    return [results.get(address, (address, None, None, None)) for address in addresses]


def _receive(address: str, sock: socket.socket, began_ns: int) -> Result:
    try:
        reply = sock.recv(LARGEST)
    except OSError as error:
        return address, name(error), None, None
    return address, None, reply, (perf_counter_ns() - began_ns) / NS_PER_MS


def name(error: OSError) -> str:
    """Name an error as errno.h does."""
    return errno.errorcode.get(error.errno or 0, str(error))
