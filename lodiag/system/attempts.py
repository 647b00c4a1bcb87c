"""Attempts to send from the loopback to itself by sockets of one's own: many under way at once, in one thread."""

from __future__ import annotations

import errno
import os
import random
import select
import socket
import struct
from abc import ABC, abstractmethod
from contextlib import suppress
from time import perf_counter_ns
from typing import TYPE_CHECKING, NamedTuple, Protocol

from lodiag.clock import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

FAMILIES = {"ipv4": (socket.AF_INET, "127.0.0.1"), "ipv6": (socket.AF_INET6, "::1")}
TIMEOUT = "timeout"
"""What a probe met that nobody answered, and for which the kernel gave no reason."""

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of a socket that leaves no TIME_WAIT behind."""


class Met(NamedTuple):
    """What one probe met: ``error`` is ``None`` if it was answered, a name of errno, or ``timeout``.

    ``stage`` is the system call that failed: socket, bind, connect, send or receive.
    """

    proto: str
    family: str
    address: str
    stage: str | None
    error: str | None
    took_ms: float


class Attempt(Protocol):
    """A probe that never blocks."""

    met: Met | None

    def step(self) -> None:
        """Go on as far as can be without waiting."""
        ...

    def waits_for(self) -> Iterable[tuple[int, int]]:
        """Yield descriptors and the events of poll(2) that it waits for."""
        ...

    def end(self) -> None:
        """Give up, if it is not over, and give the sockets back."""
        ...


def run(attempts: Sequence[Attempt], timeout_s: float) -> tuple[Met, ...]:
    """Let all attempts go on until each is over or time is up."""
    end_ns = perf_counter_ns() + round(timeout_s * NS_PER_S)
    try:
        while waiting := [attempt for attempt in attempts if attempt.met is None]:
            left_ns = end_ns - perf_counter_ns()
            if left_ns <= 0:  # the answer may be there all the same: who waits for a processor is late to look
                for attempt in waiting:
                    attempt.step()
                break
            poll = select.poll()
            for attempt in waiting:
                for descriptor, events in attempt.waits_for():
                    poll.register(descriptor, events)
            poll.poll(left_ns / 1e6)
            for attempt in waiting:
                attempt.step()
    finally:
        for attempt in attempts:
            attempt.end()
    return tuple(attempt.met for attempt in attempts if attempt.met is not None)


HIGH_PORTS = range(61_000, 65_536)
"""Above those that Linux gives to clients if it is not told otherwise."""


def bind_anywhere(sock: socket.socket, address: str) -> None:
    """Bind to a port of the kernel's choice, or where clients have taken all of those, to one that is above them."""
    try:
        sock.bind((address, 0))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        for port in random.sample(HIGH_PORTS, 16):
            with suppress(OSError):
                sock.bind((address, port))
                return
        raise


def name_errno(error: OSError) -> str:
    """Symbol of an errno, as in ``ECONNREFUSED``."""
    return errno.errorcode.get(error.errno or 0, str(error))


class _Exchange(ABC):
    """What an attempt by TCP and one by UDP have in common: both ends of it are here."""

    proto = ""

    def __init__(self, family: str, address: str | None = None) -> None:
        """Begin."""
        self.met: Met | None = None
        self._family, self._address = family, address or FAMILIES[family][1]
        self._began_ns = perf_counter_ns()
        self._stage = "socket"
        self._sockets: list[socket.socket] = []
        try:
            self._open()
        except OSError as error:
            self._over(name_errno(error))

    @abstractmethod
    def _open(self) -> None:
        """Open both ends, and send what can be sent."""

    def _make(self, kind: socket.SocketKind) -> socket.socket:
        sock = socket.socket(FAMILIES[self._family][0], kind)
        self._sockets.append(sock)
        sock.settimeout(0)
        return sock

    def _over(self, error: str | None) -> None:
        stage = None if error is None else self._stage
        took_ms = (perf_counter_ns() - self._began_ns) / 1e6
        self.met = Met(self.proto, self._family, self._address, stage, error, round(took_ms, 3))

    def end(self) -> None:
        """Give up, if it is not over, and give the sockets back."""
        if self.met is None:
            self._over(TIMEOUT)
        for sock in self._sockets:
            if sock.type == socket.SOCK_STREAM:
                with suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            sock.close()


class TcpAttempt(_Exchange):
    """Connect to an own listener and send it a byte."""

    proto = "tcp"

    def _open(self) -> None:
        self._accepted: socket.socket | None = None
        self._is_connected = False
        self._server = self._make(socket.SOCK_STREAM)
        self._client = self._make(socket.SOCK_STREAM)
        self._stage = "bind"
        bind_anywhere(self._server, self._address)
        self._server.listen(1)
        self._stage = "connect"
        with suppress(BlockingIOError):
            self._client.connect(self._server.getsockname())

    def step(self) -> None:
        """Go on as far as can be without waiting."""
        try:
            self._go_on()
        except BlockingIOError:
            return
        except OSError as error:
            self._over(name_errno(error))

    def _go_on(self) -> None:
        if not self._is_connected:
            failed = self._client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if failed:
                raise OSError(failed, os.strerror(failed))
            try:
                self._client.getpeername()
            except OSError:  # not yet
                return
            self._is_connected, self._stage = True, "send"
            self._client.send(b"!")
            self._stage = "receive"
        if self._accepted is None:
            self._accepted, _ = self._server.accept()
            self._sockets.append(self._accepted)
            self._accepted.settimeout(0)
        self._accepted.recv(1)
        self._over(None)

    def waits_for(self) -> Iterator[tuple[int, int]]:
        """Yield descriptors and the events of poll(2) that it waits for."""
        if not self._is_connected:
            yield self._client.fileno(), select.POLLOUT
        elif self._accepted is None:
            yield self._server.fileno(), select.POLLIN
        else:
            yield self._accepted.fileno(), select.POLLIN


class UdpAttempt(_Exchange):
    """Send a byte to an own socket."""

    proto = "udp"

    def _open(self) -> None:
        self._receiver = self._make(socket.SOCK_DGRAM)
        self._sender = self._make(socket.SOCK_DGRAM)
        self._stage = "bind"
        bind_anywhere(self._receiver, self._address)
        self._stage = "connect"
        self._sender.connect(self._receiver.getsockname())
        self._stage = "send"
        self._sender.send(b"!")
        self._stage = "receive"

    def step(self) -> None:
        """Go on as far as can be without waiting."""
        try:
            self._receiver.recv(1)
            self._over(None)
        except BlockingIOError:
            failed = self._sender.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if failed:
                self._over(errno.errorcode.get(failed, str(failed)))
        except OSError as error:
            self._over(name_errno(error))

    def waits_for(self) -> Iterator[tuple[int, int]]:
        """Yield descriptors and the events of poll(2) that it waits for."""
        yield self._receiver.fileno(), select.POLLIN
        yield self._sender.fileno(), 0  # an ICMP error
