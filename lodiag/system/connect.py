"""Connecting to a port at several addresses at once, without waiting for one after the other.

It uses ``_socket``, of which ``socket`` is made: that one takes as long to load as a bare Python takes to start, and
this is all that most health checks need.
"""

from __future__ import annotations

import _socket
import errno
import select
import sys
from time import perf_counter_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_UNDER_WAY = {errno.EINPROGRESS, errno.EWOULDBLOCK, 10035}
"""Answers of a non-blocking connect that is under way; 10035 is Windows' WSAEWOULDBLOCK."""

_ABORT = (1).to_bytes(4, sys.byteorder) + bytes(4)
"""SO_LINGER on with no time (socket(7)), as two ints: close() resets the connection, and nothing of it stays."""

NS_PER_MS = 1_000_000


def connect(addresses: Sequence[str], port: int, timeout_s: float) -> list[tuple[str, str | None, float | None]]:
    """Connect to a port at each of the addresses (literals), and close again what came of it.

    Gives of each, in order: the address, the name of the error (ETIMEDOUT if it was not decided in time) or ``None``,
    and milliseconds until the connection stood, or ``None``. A connection to itself, which TCP makes where a client is
    given the very port that it asks for (RFC 9293 3.5), is no service: that is ECONNREFUSED.
    """
    began_ns = perf_counter_ns()
    attempts = [_Attempt(address, port, began_ns) for address in addresses]
    pending = {attempt.sock.fileno(): attempt for attempt in attempts if attempt.sock and not attempt.is_decided}
    try:
        while pending:
            left_ns = began_ns + int(timeout_s * 1e9) - perf_counter_ns()
            ready = _wait(pending, left_ns) if left_ns > 0 else []
            if not ready and left_ns <= 0:
                break
            for number in ready:
                pending.pop(number).decide()
    finally:
        for attempt in attempts:
            attempt.close()
    return [(a.address, a.error if a.is_decided else "ETIMEDOUT", a.rtt_ms) for a in attempts]


def _wait(pending: dict[int, _Attempt], left_ns: int) -> list[int]:
    if hasattr(select, "poll"):
        poll = select.poll()
        for number in pending:
            poll.register(number, select.POLLOUT)
        return [number for number, _ in poll.poll(-(-left_ns // NS_PER_MS))]
    _, writable, failed = select.select([], list(pending), list(pending), left_ns / 1e9)
    return [*{*writable, *failed}]


class _Attempt:
    """One connection, from the call to what came of it."""

    def __init__(self, address: str, port: int, began_ns: int) -> None:
        self.address, self.port, self._began_ns = address, port, began_ns
        self.error: str | None = None
        self.rtt_ms: float | None = None
        self.is_decided = False
        self.sock: _socket.socket | None = None
        try:
            family = _socket.AF_INET6 if ":" in address else _socket.AF_INET
            self.sock = _socket.socket(family, _socket.SOCK_STREAM)
            self.sock.setblocking(False)  # noqa: FBT003 - the system call's own argument
            self._began_ns = perf_counter_ns()
            code = self.sock.connect_ex((address, port))
        except OSError as error:
            code = error.errno or errno.EIO
        if code not in _UNDER_WAY:
            self._settle(code)

    def decide(self) -> None:
        """Take what became of it: the socket is writable, so something did."""
        assert self.sock is not None  # noqa: S101 - only what has a socket is waited for
        self._settle(self.sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR))

    def _settle(self, code: int) -> None:
        ended_ns, self.is_decided = perf_counter_ns(), True
        if code == 0 and self._is_own_peer():
            code = errno.ECONNREFUSED
        if code:
            self.error = errno.errorcode.get(code, str(code))
        else:
            self.rtt_ms = (ended_ns - self._began_ns) / NS_PER_MS

    def _is_own_peer(self) -> bool:
        try:
            found = self.sock is not None and self.sock.getsockname() == self.sock.getpeername()
        except OSError:  # it is gone already
            return False
        if found and self.sock is not None:  # the port must not wait out its end: a service wants it
            self.sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, _ABORT)
        return found

    def close(self) -> None:
        """Close it as any client does: a service that is well must not log a reset."""
        if self.sock is not None:
            self.sock.close()


def resolve_localhost() -> tuple[str, ...]:
    """Addresses of localhost in the resolver's order; none if it is unknown. As bytes it needs no codec for names."""
    try:
        found = _socket.getaddrinfo(b"localhost", None, 0, _socket.SOCK_STREAM)
    except OSError:
        return ()
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
