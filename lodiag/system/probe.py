"""What a probe socket gives and takes: the narrow shapes between ``ping``/``trace`` and the sockets."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Protocol

from lodiag.dataclass import dataclass

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable

SEND_ERRORS = {
    errno.ENETUNREACH: "network-unreachable",
    errno.ENETDOWN: "network-unreachable",
    errno.EHOSTUNREACH: "host-unreachable",
    errno.EADDRNOTAVAIL: "address-not-available",
    errno.EAFNOSUPPORT: "address-family-not-supported",
    errno.EPERM: "blocked-by-firewall",
    errno.EACCES: "route-prohibited",
    errno.EINVAL: "route-blackhole",
    errno.EMSGSIZE: "message-too-long",
    errno.ENOBUFS: "no-buffer-space",
    errno.EAGAIN: "no-buffer-space",
    errno.EMFILE: "too-many-open-files",
    errno.ENFILE: "too-many-open-files",
}
"""Codes of what the kernel answers to a send, connect or bind on the loopback (man ip(7), icmp(7), udp(7)).

EACCES comes of a ``prohibit`` route and EINVAL of a ``blackhole`` route: targets and options that
would cause them otherwise are refused before.
"""


class SendError(Exception):
    """The kernel refused to send: ``code`` names why, ``errno`` is its own word for it."""

    def __init__(self, error: OSError, reached: str = "not-sent") -> None:
        """Translate the operating system's error; ``reached`` is how far the probe came, as ``locate`` tells."""
        super().__init__(error.strerror or str(error))
        self.reached = reached
        self.errno = error.errno or 0
        self.code = SEND_ERRORS.get(self.errno, "send-failed")

    @property
    def errno_name(self) -> str:
        """Symbol and text of the errno, as in ``ENETUNREACH (Network is unreachable)``."""
        return f"{errno.errorcode.get(self.errno, self.errno)} ({os.strerror(self.errno)})"


class MethodRefusedError(Exception):
    """This machine does not let this user probe by this method."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back for a probe; what the mechanism cannot know is ``None``."""

    seq: int
    """The whole number that was given to ``send``."""
    received_ns: int
    """When it arrived, on the clock of ``send``."""
    address: str | None
    """Who sent it."""
    is_reply: bool = True
    """Whether the target itself answered; otherwise it is an ICMP error, and ``error`` names it."""
    intact: bool = True
    """Whether payload and checksum are what they should be."""
    ttl: int | None = None
    size_bytes: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None
    error: str | None = None
    interface_index: int | None = None
    """By which interface it came, if that was asked for."""
    was_resent: bool = False
    """Whether the system has sent the probe again meanwhile, so that its round trip is not known."""
    kernel_rtt_ns: int | None = None
    """Round trip by the kernel's stamps, if it is known."""
    clock: str = "user"
    """Whose clock the round trip is best told by: kernel, kernel-rx or user."""


class Waitable(Protocol):
    """Something that answers arrive at."""

    def waits_for(self) -> Iterable[tuple[socket.socket, bool]]:
        """Yield what to wait on for an answer, and whether it is for writing (as a TCP connect is)."""
        ...


class ProbeSocket(Waitable, Protocol):
    """A socket that sends numbered probes to one address and never blocks."""

    @property
    def method(self) -> str:
        """icmp-datagram, icmp-raw, udp or tcp."""
        ...

    @property
    def port(self) -> int | None:
        """Destination port, where the method has one."""
        ...

    def use_clock(self, clock: str, *, closely: bool = False) -> bool:
        """Time answers by the clock kernel, kernel-rx or user from now on; whether it is to be had.

        ``closely`` asks for what ``locate`` needs to tell more.
        """
        ...

    @property
    def own_address(self) -> str | None:
        """Address that probes go out from, once one was sent; ``None`` where the system does not tell."""
        ...

    def tell_interfaces(self) -> None:
        """Have answers tell from now on by which interface they come, where the system does."""
        ...

    def send(self, seq: int, ttl: int | None = None) -> int:
        """Send probe ``seq`` and return when, in nanoseconds of a monotonic clock; ``SendError`` if refused."""
        ...

    def receive(self) -> Answer | None:
        """Return the next answer that has arrived; ``None`` if there is none."""
        ...

    def locate(self, seq: int) -> str | None:
        """How far probe ``seq`` came, of which nothing came back: socket, queue, interface; ``None`` if unknown."""
        ...

    def close(self) -> None:
        """Give the socket back."""
        ...


def unwrap_seq(wire_seq: int, last_sent: int) -> int:
    """Whole number of the latest probe that was sent under this 16-bit number."""
    return last_sent - ((last_sent - wire_seq) & 0xFFFF)
