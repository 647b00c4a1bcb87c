"""ICMP echo with own packets and an own receive path.

What icmplib offers to send and receive with is not used: it times by the wall clock, reads at most 1024 bytes,
takes a firewall's EPERM for a broadcast, and matches replies by identifier and number alone.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from time import perf_counter_ns
from typing import TYPE_CHECKING

from lodiag.dataclass import replace
from lodiag.system import errqueue
from lodiag.system.icmp_socket import open_icmp_socket
from lodiag.system.packets import (
    ECHO_HEADER,
    ECHO_REPLY,
    PAYLOAD_KEY,
    QueuedError,
    decode_echo,
    encode_echo,
    make_payload,
    name_error,
    resembles,
)
from lodiag.system.probe import Answer, SendError, unwrap_seq
from lodiag.system.sockopts import refuse_echo_requests, refuse_other_replies, set_ttl
from lodiag.system.stamping import Stamper
from lodiag.system.stamps import find_stamp

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lodiag.system.packets import EchoMessage
    from lodiag.system.stamps import ControlMessages

BESIDES_PAYLOAD_BYTES = 1_024
"""Room for the headers of a reply, or for an ICMP error with what it quotes: at most 576 bytes (RFC 1812 4.3.2.3)."""

KEYED = PAYLOAD_KEY.size
"""A payload of so many bytes is certainly ours if it is whole; a shorter one another program's may be like."""

FOREIGN_AT_ONCE = 64
"""Other programs' messages skipped in one go, lest their flood keep us from our schedule."""


class IcmpProbe:
    """Echo requests to one address from one socket."""

    port = None

    def __init__(self, family: str, address: str, method: str, *, source: str | None, size_bytes: int) -> None:
        """Open the socket: ``MethodRefusedError`` without permission, ``SendError`` if ``source`` is unusable."""
        self._sock = open_icmp_socket(family, method, source)
        self._is_raw = self._sock.type == socket.SOCK_RAW
        self.method = "icmp-raw" if self._is_raw else "icmp-datagram"
        self._family, self._address, self._size = family, address, size_bytes
        self._room = size_bytes + BESIDES_PAYLOAD_BYTES
        self._ident = int.from_bytes(os.urandom(2), "big")
        self._key = os.urandom(8)
        self._last_seq = 0
        self._ttl: int | None = None
        # A raw socket is told of errors in-band; its error queue would hold them again, and those about anybody's echo.
        self._has_queue = not self._is_raw and errqueue.enable(self._sock, family)
        errqueue.enable_ttl(self._sock, family)
        if self._is_raw:
            refuse_echo_requests(self._sock, family)
            refuse_other_replies(self._sock, family, self._ident)
        self._stamper = Stamper(self._sock)
        self._aside: deque[errqueue.Caught] = deque()

    @property
    def own_address(self) -> str | None:
        """Have none: each echo request is routed on its own."""
        return None

    def tell_interfaces(self) -> None:
        """Have replies and errors tell by which interface they come."""
        errqueue.enable_interface(self._sock, self._family)

    def use_clock(self, clock: str, *, closely: bool = False) -> bool:
        """Have the kernel stamp requests and replies."""
        return self._stamper.use(clock, closely=closely)

    def _payload(self, seq: int) -> bytes:
        return make_payload(self._key, seq, self._size)

    def send(self, seq: int, ttl: int | None = None) -> int:
        """Send echo request ``seq``."""
        if ttl is not None and ttl != self._ttl:
            set_ttl(self._sock, self._family, ttl)
            self._ttl = ttl
        packet = encode_echo(self._family, self._ident, seq, self._payload(seq))
        self._last_seq = seq
        if self._has_queue:
            errqueue.clear_pending(self._sock)
        sent_ns = self._stamper.note_send(seq)
        try:
            errqueue.send(self._sock, packet, (self._address, 0))
        except OSError as error:
            self._read_stamps()
            raise SendError(error, self._stamper.retract_send(seq)) from error
        if not self._is_raw:
            # Linux replaces the identifier of a datagram socket by its port, which it chooses at the first send.
            self._ident = self._sock.getsockname()[1] or self._ident
        return sent_ns

    def receive(self) -> Answer | None:
        """Return the next reply to, or error about, an echo request of this socket."""
        for _ in range(FOREIGN_AT_ONCE):
            try:
                packet, source, ancillary = self._read()
            except OSError:  # nothing there, or the notice of an entry in the error queue
                return self._receive_queued() if self._has_queue or self._stamper.queues else None
            received_ns = perf_counter_ns()
            message = decode_echo(self._family, packet, errqueue.find_ttl(ancillary))
            if message is not None and message.ident == self._ident:
                answer = self._to_answer(message, source, received_ns, ancillary)
                if answer is not None:
                    return answer
        return None

    def _read(self) -> tuple[bytes, str, ControlMessages]:
        if not hasattr(self._sock, "recvmsg"):
            packet, source = self._sock.recvfrom(self._room)
            return packet, source[0], []
        packet, ancillary, _, source = self._sock.recvmsg(self._room, errqueue.ANCILLARY_BYTES)
        return packet, source[0], ancillary

    def _read_stamps(self, seq: int | None = None) -> None:
        """Read the stamps of what was sent, up to that of ``seq`` if given; errors on the way are kept aside."""
        if self._stamper.queues:
            while caught := errqueue.read(self._sock, self._family, self._stamper, seq):
                self._aside.append(caught)

    def locate(self, seq: int) -> str | None:
        """Tell by the kernel's stamps how far a request came."""
        self._read_stamps()
        return self._stamper.locate(seq)

    def _to_answer(
        self, message: EchoMessage, source: str, received_ns: int, ancillary: ControlMessages
    ) -> Answer | None:
        """Judge one message under our identifier; ``None`` if it answers another process's probe after all."""
        seq = unwrap_seq(message.seq, self._last_seq)
        if seq < 1:
            return None
        expected = self._payload(seq)
        if message.icmp_type != ECHO_REPLY[self._family]:
            # An error quotes as much as it likes of what we sent.
            ours = expected.startswith(message.payload[: len(expected)])
            error = QueuedError(message.icmp_type, message.icmp_code, source)
            index = errqueue.find_interface(ancillary)
            return self._to_error(seq, error, message.ttl, received_ns, index) if ours else None
        is_whole = message.payload == expected
        if source != self._address:
            if not (is_whole and message.checksum_good) or len(expected) < KEYED:
                return None
            error, index = QueuedError(message.icmp_type, message.icmp_code, source), errqueue.find_interface(ancillary)
            return replace(self._to_error(seq, error, message.ttl, received_ns, index), error="reply-from-elsewhere")
        if not (is_whole or resembles(message.payload, expected)):
            return None
        self._read_stamps(seq)
        kernel_rtt_ns, clock = self._stamper.measure(seq, find_stamp(ancillary), received_ns)
        return Answer(
            seq=seq,
            received_ns=received_ns,
            kernel_rtt_ns=kernel_rtt_ns,
            clock=clock,
            intact=message.checksum_good and is_whole,
            address=source,
            ttl=message.ttl,
            size_bytes=len(message.payload),
            icmp_type=message.icmp_type,
            icmp_code=message.icmp_code,
            interface_index=errqueue.find_interface(ancillary),
        )

    def _receive_queued(self) -> Answer | None:
        caught = self._aside.popleft() if self._aside else errqueue.read(self._sock, self._family, self._stamper)
        if caught is None or len(caught.quoted) < ECHO_HEADER.size:
            return None
        seq = unwrap_seq(ECHO_HEADER.unpack_from(caught.quoted)[4], self._last_seq)
        return self._to_error(seq, caught.error, caught.ttl, caught.received_ns, caught.interface_index)

    def _to_error(
        self, seq: int, error: QueuedError, ttl: int | None, received_ns: int, interface_index: int | None
    ) -> Answer:
        return Answer(
            seq=seq,
            received_ns=received_ns,
            is_reply=False,
            address=error.offender,
            ttl=ttl,
            icmp_type=error.icmp_type,
            icmp_code=error.icmp_code,
            error=name_error(self._family, error.icmp_type, error.icmp_code, echo=True),
            interface_index=interface_index,
        )

    def waits_for(self) -> Iterable[tuple[socket.socket, bool]]:
        """Wait for the one socket to be readable."""
        yield self._sock, False

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()
