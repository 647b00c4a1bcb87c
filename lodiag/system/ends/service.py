"""A running service: how long it takes to be connected to it, and to be answered."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from time import perf_counter_ns
from typing import Any

from lodiag.system.ends.crr import LAST
from lodiag.system.ends.rr import BIN_BITS, Times
from lodiag.system.ends.stream import ABORT

PATIENCE_S = 2
"""Seconds after which an answer is no longer waited for."""
LEAVE_US = 50_000
"""Microseconds that a service has to close a connection that its client has closed."""
PIECE = 65_536
MOST_HEAD = 65_536
MOST_BODY = 1 << 26
"""Bytes of an answer that are read; a page that is larger is not what a latency is measured by."""
LONGEST_STATUS = 80


def connect(*, family: int, address: list[Any], end_ns: int, most: int, abort: bool) -> dict[str, Any]:
    """Connect and close, at most so often; only connecting is timed.

    To an end of our own it closes with a reset, and tells it the last.
    """
    times, clock, done = Times(), perf_counter_ns, 0
    now_ns = begun_ns = clock()
    while (now_ns < end_ns and done < most) or not done:
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            _be_patient(sock)
            then_ns = clock()
            sock.connect(tuple(address))
            now_ns = clock()
            _count(times, now_ns - then_ns)
            if abort:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
            else:
                _take_leave(sock)
        done += 1
    if abort:
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.connect(tuple(address))
            sock.send(LAST)
    return {"transactions": done, "elapsed_ns": max(now_ns - begun_ns, 1), **times.tell()}


def ask(  # noqa: PLR0913 - what decides how to ask
    *, family: int, address: list[Any], request: str, kind: str, end_ns: int, most: int
) -> dict[str, Any]:
    """Ask over one connection, or over a new one each time if the service closes it; connecting is not timed.

    ``kind`` is http, echo, or auto: then the first answer tells.
    """
    service = _Service(family, address, request.encode("ascii"), kind)
    times, clock, done = Times(), perf_counter_ns, 0
    begun_ns = now_ns = clock()
    try:
        service.exchange()  # the first one pays for what the others find ready, and tells the kind
        begun_ns = now_ns = clock()
        while (now_ns < end_ns and done < most and service.kind != "none") or (not done and service.kind != "none"):
            service.open()
            then_ns = clock()
            service.exchange()
            now_ns = clock()
            _count(times, now_ns - then_ns)
            done += 1
    except BlockingIOError:
        service.kind = "none" if kind == "auto" and not done else service.kind
        return {"kind": service.kind, "timed_out": True, "transactions": done, "elapsed_ns": 1, **times.tell()}
    finally:
        service.close()
    return {
        "kind": service.kind,
        "status": service.status,
        "transactions": done,
        "elapsed_ns": max(now_ns - begun_ns, 1),
        **times.tell(),
    }


class _Service:
    """A connection to a service, opened anew where it was closed."""

    def __init__(self, family: int, address: list[Any], request: bytes, kind: str) -> None:
        self.kind, self.status = kind, ""
        self._family, self._address, self._request = family, tuple(address), request
        self._sock: socket.socket | None = None

    def open(self) -> socket.socket:
        """Connect, unless that was done."""
        if self._sock is None:
            self._sock = socket.socket(self._family, socket.SOCK_STREAM)
            _be_patient(self._sock)
            self._sock.connect(self._address)
        return self._sock

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def exchange(self) -> None:
        """Ask, and take in the whole answer."""
        sock = self.open()
        sock.sendall(self._request)
        got = sock.recv(PIECE)
        if self.kind == "auto":
            is_echo = bool(got) and self._request.startswith(got)
            self.kind = "http" if got.startswith(b"HTTP/") else "echo" if is_echo else "none"
        if self.kind == "http":
            self._read_page(sock, got)
        elif self.kind == "echo":
            while got and len(got) < len(self._request):
                more = sock.recv(PIECE)
                got = got + more if more else b""
            self.status = "echo"
            if got != self._request:
                raise ConnectionResetError
        else:
            self.close()

    def _read_page(self, sock: socket.socket, got: bytes) -> None:
        """Read a response to its end (RFC 9112 6.3)."""
        while b"\r\n\r\n" not in got and len(got) < MOST_HEAD:
            more = sock.recv(PIECE)
            if not more:
                raise ConnectionResetError
            got += more
        head, _, body = got.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        self.status = first.decode("ascii", "backslashreplace")[:LONGEST_STATUS]
        fields = {
            name.strip().lower(): value.strip().lower() for name, _, value in (ln.partition(b":") for ln in lines)
        }
        closes = fields.get(b"connection") == b"close" or (
            first.startswith(b"HTTP/1.0") and fields.get(b"connection") != b"keep-alive"
        )
        length = fields.get(b"content-length", b"")
        has_end = True
        if fields.get(b"transfer-encoding") == b"chunked":
            has_end = _read_while(
                sock, body[-7:], lambda tail: not tail.endswith(b"\r\n0\r\n\r\n") and tail != b"0\r\n\r\n"
            )
        elif length.isdigit():
            left = min(int(length), MOST_BODY) - len(body)
            while left > 0 and (more := sock.recv(min(left, PIECE))):
                left -= len(more)
            has_end = left <= 0
        elif first.split(b" ")[1:2] not in ([b"204"], [b"304"]):
            has_end = _read_while(sock, b"", lambda _: True)
        if closes or not has_end:
            self.close()


def _read_while(sock: socket.socket, tail: bytes, goes_on: Any) -> bool:  # noqa: ANN401 - of the last bytes
    """Read on; whether it ended otherwise than by the connection's end."""
    size = 0
    while goes_on(tail) and size < MOST_BODY:
        more = sock.recv(PIECE)
        if not more:
            return False
        size += len(more)
        tail = (tail + more)[-7:]
    return True


def _take_leave(sock: socket.socket) -> None:
    """Let the service close as well before it gets another connection: a short accept queue would overflow."""
    with suppress(OSError):
        sock.shutdown(socket.SHUT_WR)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", 0, LEAVE_US))
        while sock.recv(PIECE):
            pass


def _be_patient(sock: socket.socket) -> None:
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):  # SO_SNDTIMEO is connect()'s as well
        sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("@ll", PATIENCE_S, 0))
    with suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _count(times: Times, spent_ns: int) -> None:
    try:
        times.bins[spent_ns >> BIN_BITS] += 1
    except IndexError:
        times.long.append(spent_ns)


def accept(listener: socket.socket) -> dict[str, Any]:
    """Take connections, and close each when its other end has; until none comes for a while (SO_RCVTIMEO)."""
    take = listener._accept  # type: ignore[attr-defined]  # noqa: SLF001 - as crr does
    with suppress(BlockingIOError):
        while True:
            descriptor, _ = take()
            with socket.socket(fileno=descriptor) as sock, suppress(OSError):
                last = sock.recv(1)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
                if last == LAST:
                    return {}
    return {}
