"""The Linux error queue: ICMP errors about our own probes, told at once and without privilege.

Where the mechanism is absent, ``enable`` says so and the caller does without. Constants that Python
3.11 does not name are those of Linux's include/uapi/linux/in.h and in6.h; see also ip(7), ipv6(7).
"""

from __future__ import annotations

import errno
import socket
import sys
from contextlib import suppress
from time import perf_counter_ns
from typing import TYPE_CHECKING, NamedTuple

from lodiag.system.packets import QueuedError, decode_extended_err
from lodiag.system.stamps import find_stamp

if TYPE_CHECKING:
    from lodiag.system.stamping import Stamper

IP_RECVERR = 11
IP_RECVTTL = 12
IPV6_RECVERR = 25
IP_PKTINFO = 8
IPV6_RECVPKTINFO, IPV6_PKTINFO = 49, 50
ANCILLARY_BYTES = 512
QUOTE_BYTES = 2048
"""Room for what an ICMP error quotes: at most 576 bytes (RFC 1812 4.3.2.3) or 1280 (RFC 4443 2.4)."""


class Caught(NamedTuple):
    """An ICMP error of the error queue: what we had sent, what was wrong with it, when it was read.

    ``arrived_ns`` is when the kernel stamped it, in nanoseconds since the epoch, and ``interface_index`` by which
    interface it came; ``None`` if the kernel does not tell.
    """

    quoted: bytes
    error: QueuedError
    ttl: int | None
    received_ns: int
    arrived_ns: int | None
    interface_index: int | None = None
    target: str | None = None
    """Where it went that had the error."""


def enable(sock: socket.socket, family: str) -> bool:
    """Ask for the error queue on this socket; whether it is to be had."""
    if not hasattr(socket, "MSG_ERRQUEUE"):
        return False
    level, option = (socket.IPPROTO_IP, IP_RECVERR) if family == "ipv4" else (socket.IPPROTO_IPV6, IPV6_RECVERR)
    try:
        sock.setsockopt(level, option, 1)
    except OSError:  # a kernel that only looks like Linux, such as gVisor
        return False
    return True


def enable_ttl(sock: socket.socket, family: str, *, on: bool = True) -> None:
    """Ask for the TTL of what arrives, or no longer; it stays unknown where the system does not tell."""
    try:
        if family == "ipv6":
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, on)
        elif hasattr(socket, "MSG_ERRQUEUE"):
            sock.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, on)
    except (OSError, AttributeError):  # then reply_ttl is None
        return


def find_ttl(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    """TTL or hop limit among control messages."""
    for level, kind, data in ancillary:
        if (level, kind) in {(socket.IPPROTO_IP, socket.IP_TTL), (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT)}:
            return int.from_bytes(data[:4], sys.byteorder)
    return None


def enable_interface(sock: socket.socket, family: str) -> None:
    """Ask by which interface things arrive; it stays unknown where the system does not tell."""
    option = (socket.IPPROTO_IP, IP_PKTINFO) if family == "ipv4" else (socket.IPPROTO_IPV6, IPV6_RECVPKTINFO)
    if sys.platform == "linux":
        with suppress(OSError):
            sock.setsockopt(*option, 1)


def find_interface(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    """Index of the interface among control messages: first in in_pktinfo, behind the address in in6_pktinfo."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO):
            return int.from_bytes(data[:4], sys.byteorder)
        if (level, kind) == (socket.IPPROTO_IPV6, IPV6_PKTINFO):
            return int.from_bytes(data[16:20], sys.byteorder)
    return None


def read(sock: socket.socket, family: str, stamper: Stamper | None = None, seq: int | None = None) -> Caught | None:
    """Take the next ICMP error off the queue; ``None`` when there is none.

    Stamps on the way to it are the ``stamper``'s; with ``seq`` nothing is read that comes after this probe's.
    """
    while stamper is None or seq is None or stamper.awaits(seq):
        try:
            quoted, ancillary, _, target = sock.recvmsg(QUOTE_BYTES, ANCILLARY_BYTES, socket.MSG_ERRQUEUE)
        except BlockingIOError:
            return None
        received_ns = perf_counter_ns()
        if stamper is not None and stamper.take(ancillary):
            continue
        caught = decode(family, quoted, ancillary, received_ns, target[0] if target else None)
        if caught is not None:
            return caught
    return None


def decode(
    family: str, quoted: bytes, ancillary: list[tuple[int, int, bytes]], received_ns: int, target: str | None = None
) -> Caught | None:
    """Decode an entry of the error queue; ``None`` unless ICMP caused it."""
    for level, kind, data in ancillary:
        if (level, kind) in {(socket.IPPROTO_IP, IP_RECVERR), (socket.IPPROTO_IPV6, IPV6_RECVERR)}:
            error = decode_extended_err(family, data)
            if error is not None:
                ttl, arrived_ns, index = find_ttl(ancillary), find_stamp(ancillary), find_interface(ancillary)
                return Caught(quoted, error, ttl, received_ns, arrived_ns, index, target)
    return None


OF_EARLIER = {errno.ECONNREFUSED, errno.EHOSTUNREACH}
"""As what a port that is closed, and a TTL that is used up, are told to a later send (Linux's net/ipv4/icmp.c)."""


TRIES = 8
"""Errors that come one after the other in the microseconds of as many calls are those of a flood of answers."""


def send(sock: socket.socket, packet: bytes, address: tuple[str, int] | None = None) -> None:
    """Send a packet, though ICMP errors about earlier ones may come just now: a call that tells of one sends nothing.

    What keeps this packet itself from being sent is told each time.
    """
    for left in reversed(range(TRIES)):
        try:
            return _send(sock, packet, address)
        except OSError as error:
            if not left or error.errno not in OF_EARLIER:
                raise
    return None


def _send(sock: socket.socket, packet: bytes, address: tuple[str, int] | None) -> None:
    if address is None:
        sock.send(packet)
    else:
        sock.sendto(packet, address)


def clear_pending(sock: socket.socket) -> None:
    """Take the pending error off the socket; the next send would otherwise fail with it and send nothing."""
    sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
