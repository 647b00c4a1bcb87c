"""Datagrams of chosen sizes that nothing may fragment: what tells the mtu of a path, as tracepath(8) does it.

The target's "port unreachable" says that one passed, "fragmentation needed" or "packet too big" that a router has a
smaller link behind it (RFC 1191, RFC 8201), and EMSGSIZE that the own interface has. No privilege is needed.
"""

from __future__ import annotations

import errno
import socket
from time import perf_counter_ns
from typing import TYPE_CHECKING, NamedTuple

from lodiag.system import errqueue
from lodiag.system.packets import PORT_UNREACHABLE, TOO_BIG, UNREACHABLE, decode_extended_err, decode_own_mtu
from lodiag.system.probe import SendError
from lodiag.system.sockopts import UDP_TRACEROUTE_PORT, hold_closed_port, open_socket

if TYPE_CHECKING:
    from collections.abc import Iterable

HEADER_BYTES = {"ipv4": 20 + 8, "ipv6": 40 + 8}
LARGEST_PACKET = {"ipv4": 65_535, "ipv6": 65_535 + 40}
"""RFC 791 3.1; IPv6 leaves its own header out of the length (RFC 8200 section 3)."""

_DISCOVER = {"ipv4": (socket.IPPROTO_IP, 10), "ipv6": (socket.IPPROTO_IPV6, 23)}
"""IP_MTU_DISCOVER and IPV6_MTU_DISCOVER (ip(7), ipv6(7)); Python 3.11 names neither."""
_PROBE = 3
"""IP_PMTUDISC_PROBE: forbid to fragment, whatever the kernel has learned of the path before."""


class SizeAnswer(NamedTuple):
    """What became of a datagram: it passed, or did not for an mtu that ``address`` told, or for something else.

    ``address`` is ``None`` where this host's own interface is too small; ``mtu_bytes`` may be 0 (RFC 1191 section 5).
    """

    passed: bool
    address: str | None
    mtu_bytes: int | None


class SizeProbe:
    """A connected UDP socket, to a port that nothing listens on."""

    def __init__(self, family: str, address: str) -> None:
        """Open it; ``SendError`` where the address cannot be used, or the system has no error queue."""
        self._family, self._address = family, address
        self._sock = open_socket(family, socket.SOCK_DGRAM, None)
        self._holder = hold_closed_port(family, socket.SOCK_DGRAM, address)
        port = self._holder.getsockname()[1] if self._holder else UDP_TRACEROUTE_PORT
        failure = None if errqueue.enable(self._sock, family) else OSError(errno.EOPNOTSUPP, "no error queue")
        try:
            self._sock.setsockopt(*_DISCOVER[family], _PROBE)
            self._sock.connect((address, port))
        except OSError as error:
            failure = error
        if failure is not None:
            self.close()
            raise SendError(failure)

    def send(self, packet_bytes: int) -> int:
        """Send a packet of this size, headers included, and return when; one that is too large is answered."""
        errqueue.clear_pending(self._sock)
        sent_ns = perf_counter_ns()
        try:
            errqueue.send(self._sock, bytes(packet_bytes - HEADER_BYTES[self._family]))
        except OSError as error:
            if error.errno != errno.EMSGSIZE:
                raise SendError(error) from error
        return sent_ns

    def receive(self) -> SizeAnswer | None:
        """Return the next answer; ``None`` if there is none."""
        try:
            _, ancillary, _, _ = self._sock.recvmsg(1, errqueue.ANCILLARY_BYTES, socket.MSG_ERRQUEUE)
        except OSError:
            return None
        for data in (data for level, _, data in ancillary if level in {socket.IPPROTO_IP, socket.IPPROTO_IPV6}):
            own = decode_own_mtu(data)
            if own is not None:
                return SizeAnswer(passed=False, address=None, mtu_bytes=own)
            error = decode_extended_err(self._family, data)
            if error is not None:
                kind = error.icmp_type, error.icmp_code
                is_reply = kind == (UNREACHABLE[self._family], PORT_UNREACHABLE[self._family])
                told = (error.mtu_bytes or 0) if kind == TOO_BIG[self._family] else None
                return SizeAnswer(is_reply and error.offender == self._address, error.offender, told)
        return None

    def waits_for(self) -> Iterable[tuple[socket.socket, bool]]:
        """Wait for the one socket to be readable."""
        yield self._sock, False

    def close(self) -> None:
        """Close the socket and release the port."""
        self._sock.close()
        if self._holder is not None:
            self._holder.close()
