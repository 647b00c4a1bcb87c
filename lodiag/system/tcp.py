"""TCP probes: a connection that is accepted or refused reaches the target; neither needs privilege."""

from __future__ import annotations

import errno
import socket
import struct
from selectors import EVENT_WRITE, DefaultSelector
from time import perf_counter_ns
from typing import TYPE_CHECKING

from lodiag.dataclass import replace
from lodiag.system import errqueue
from lodiag.system.packets import name_error
from lodiag.system.probe import SEND_ERRORS, Answer, SendError
from lodiag.system.sockopts import UDP_TRACEROUTE_PORT, hold_closed_port, open_socket, set_ttl

if TYPE_CHECKING:
    from collections.abc import Iterable

ABORT = struct.pack("ii", 1, 0)
"""SO_LINGER on with no time: close() resets the connection and leaves no TIME_WAIT behind (socket(7))."""

FIRST_RESEND_NS = 1_000_000_000
"""After a second without an answer a SYN is sent again (RFC 6298 section 2)."""

_STARTED = {0, errno.EINPROGRESS, errno.EWOULDBLOCK, 10035}
"""Answers of a non-blocking connect that is under way; 10035 is Windows' WSAEWOULDBLOCK."""


class TcpProbe:
    """One connection attempt a probe, each from a socket of its own."""

    method = "tcp"

    def __init__(self, family: str, address: str, *, source: str | None, port: int | None) -> None:
        """Without ``port``, reserve one that nothing listens on; ``SendError`` if ``source`` is unusable."""
        open_socket(family, socket.SOCK_STREAM, source).close()
        try:
            self._ready = DefaultSelector()
        except OSError as error:  # no descriptor is left
            raise SendError(error) from error
        self._holder = hold_closed_port(family, socket.SOCK_STREAM, address) if port is None else None
        self.port = port or (self._holder.getsockname()[1] if self._holder else UDP_TRACEROUTE_PORT)
        self._family, self._address, self._source = family, address, source
        self._pending: dict[int, socket.socket] = {}
        self._sent_ns: dict[int, int] = {}
        self._tells_interfaces = False
        self.own_address: str | None = None

    def tell_interfaces(self) -> None:
        """Have ICMP errors tell by which interface they come; a connection does not tell."""
        self._tells_interfaces = True

    def use_clock(self, clock: str, *, closely: bool = False) -> bool:
        """Have no clock but the user's: the kernel stamps bytes of a connection, not its beginning."""
        del closely
        return clock == "user"

    def send(self, seq: int, ttl: int | None = None) -> int:
        """Begin connection attempt ``seq``."""
        sock = open_socket(self._family, socket.SOCK_STREAM, self._source)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
        errqueue.enable(sock, self._family)
        if self._tells_interfaces:
            errqueue.enable_interface(sock, self._family)
            errqueue.enable_ttl(sock, self._family)
        if ttl is not None:
            set_ttl(sock, self._family, ttl)
        sent_ns = perf_counter_ns()
        code = sock.connect_ex((self._address, self.port))
        if code not in _STARTED and code != errno.ECONNREFUSED:
            sock.close()
            raise SendError(OSError(code, "connect failed"))
        self._pending[seq], self._sent_ns[seq] = sock, sent_ns
        self._ready.register(sock, EVENT_WRITE, seq)
        self.own_address = str(sock.getsockname()[0])
        return sent_ns

    def receive(self) -> Answer | None:
        """Return the next attempt that was decided."""
        for key, _ in self._ready.select(0):  # to ask each of thousands would take longer than their answers
            seq, sock = key.data, self._pending[key.data]
            answer = self._decide(seq, sock)
            if answer is not None:
                self._ready.unregister(sock)
                self._pending.pop(seq).close()
                taken_ns = answer.received_ns - self._sent_ns.pop(seq)
                return replace(answer, was_resent=taken_ns >= FIRST_RESEND_NS)
        return None

    def _decide(self, seq: int, sock: socket.socket) -> Answer | None:
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        received_ns = perf_counter_ns()
        if code == errno.ECONNREFUSED or (code == 0 and _is_connected(sock)):
            return Answer(seq=seq, received_ns=received_ns, address=self._address)
        if code == 0:
            return None
        caught = errqueue.read(sock, self._family) if hasattr(socket, "MSG_ERRQUEUE") else None
        if caught is None:
            error = SEND_ERRORS.get(code, "destination-unreachable")
            return Answer(seq=seq, received_ns=received_ns, is_reply=False, address=None, error=error)
        found = caught.error
        return Answer(
            seq=seq,
            received_ns=received_ns,
            is_reply=False,
            address=found.offender,
            ttl=caught.ttl,
            icmp_type=found.icmp_type,
            icmp_code=found.icmp_code,
            interface_index=caught.interface_index,
            error=name_error(self._family, found.icmp_type, found.icmp_code, echo=False),
        )

    def locate(self, seq: int) -> str | None:
        """Know nothing of where an attempt is."""
        del seq
        return None

    def waits_for(self) -> Iterable[tuple[socket.socket, bool]]:
        """Wait for any attempt to be writable, as it is once it is decided."""
        return ((sock, True) for sock in self._pending.values())

    def close(self) -> None:
        """Abort what is still under way and release the port."""
        for sock in self._pending.values():
            sock.close()
        self._pending.clear()
        self._ready.close()
        if self._holder is not None:
            self._holder.close()


def _is_connected(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:  # ENOTCONN: not decided yet
        return False
    return True
