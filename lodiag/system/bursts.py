"""ICMP echo in bursts: many requests by one system call, and their replies by another.

What comes back as it should, in order and whole, is compared with what was sent all at once. Anything else is taken
apart one by one, as ``IcmpProbe`` does it.
"""

from __future__ import annotations

import socket
import struct
from time import perf_counter_ns
from typing import TYPE_CHECKING, NamedTuple

from lodiag.system import errqueue, mmsg
from lodiag.system.burst_stamps import ARRIVED, BurstStamps, read_arrivals
from lodiag.system.icmp import IcmpProbe
from lodiag.system.icmp_socket import KINDS
from lodiag.system.packets import (
    ECHO_HEADER,
    ECHO_REPLY,
    ECHO_REQUEST,
    IPV4_HEADER_BYTES,
    PAYLOAD_KEY,
    checksum,
    decode_echo,
    make_payload,
)
from lodiag.system.probe import MethodRefusedError, SendError
from lodiag.system.sockopts import set_ttl
from lodiag.system.stamping import TX_SCHED
from lodiag.system.stamps import SO_TIMESTAMPING, SOL_SOCKET

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lodiag.system.probe import Answer

SLOTS = 256
"""Messages of a burst: those whose numbers differ in their last byte alone."""

LEAST_BYTES = PAYLOAD_KEY.size
"""A shorter payload has no room for what makes all checksums of a burst alike."""

REPLY_SPACE_BYTES = 1_024
"""What the kernel books for a reply beside its payload (struct sk_buff and what is around it), generously."""

STAMP_SPACE_BYTES = 1_024
"""The same of the stamp of a request, which is kept in the same buffer."""

RECEIVE_BUFFER_BYTES = 1 << 22

_ASK_FOR_STAMP = struct.pack("@NiiI4x", struct.calcsize("@NiiI"), SOL_SOCKET, SO_TIMESTAMPING, TX_SCHED)
_LOWS = bytes(range(SLOTS))
_FLIPPED_LOWS = _LOWS[::-1]


class Harvest(NamedTuple):
    """What came back: the next ``whole`` probes in order, or else answers one by one."""

    whole: int
    received_ns: int
    kernel_rtts_ns: Sequence[int] = ()
    """Round trips of those of them that the kernel stamped."""
    answers: Sequence[Answer] = ()


class BurstProbe(IcmpProbe):
    """Echo requests to one address from one connected socket, a burst at a time.

    The payload's number is the complement of the probe's: whatever that is, the two add up to the same, so that one
    checksum (RFC 1071) is right for all.
    """

    def __init__(  # noqa: PLR0913 - what decides a probe socket
        self, family: str, address: str, method: str, *, source: str | None, size_bytes: int, stamp_each: bool
    ) -> None:
        """Open the socket: ``MethodRefusedError`` without permission, or where there is no call for bursts."""
        library = mmsg.load()
        if library is None:
            reason = "no sendmmsg"
            raise MethodRefusedError(reason)
        super().__init__(family, address, method, source=source, size_bytes=size_bytes)
        try:
            if not self._is_raw and source is None:
                self._sock.bind(("", 0))
            self._sock.connect((address, 0))
        except OSError as error:
            self._sock.close()
            raise SendError(error) from error
        if not self._is_raw:
            self._ident = self._sock.getsockname()[1]
        errqueue.enable_ttl(self._sock, family, on=False)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        space = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        space_bytes = size_bytes * 3 // 2 + REPLY_SPACE_BYTES + (STAMP_SPACE_BYTES if stamp_each else 0)
        self._longest = max(1, min(SLOTS, space // space_bytes))
        self._length = ECHO_HEADER.size + size_bytes
        self._sizes = (IPV4_HEADER_BYTES, self._length) if self._is_raw and family == "ipv4" else (self._length,)
        self._requests = mmsg.Batch(
            library, SLOTS, (self._length,), control_bytes=len(_ASK_FOR_STAMP), controlled=SLOTS
        )
        self._replies = mmsg.Batch(
            library, SLOTS, self._sizes, control_bytes=ARRIVED.size, controlled=SLOTS if stamp_each else 1
        )
        self._stamps = BurstStamps(self._sock, family, library, SLOTS) if stamp_each else None
        self._expected = memoryview(bytearray(SLOTS * self._length))
        self._epoch = self._block = -1
        self._burst_first = 0

    def use_bursts(self) -> bool:
        """Have the kernel stamp the replies, and each request or the first of each burst; whether it does."""
        return self._stamper.use("kernel", on_request=self._stamps is None)

    def _payload(self, seq: int) -> bytes:
        return make_payload(self._key, ~seq & 0xFFFF_FFFF_FFFF_FFFF, self._size)

    def fit(self, first: int) -> int:
        """How many probes a burst may have that begins with this one."""
        return min(self._longest, SLOTS - first % SLOTS)

    def send_burst(self, first: int, count: int, ttl: int | None = None) -> tuple[int, int, int]:
        """Send the probes from ``first`` on, no more than ``fit``; how many went, and when the first and the last."""
        if ttl is not None and ttl != self._ttl:
            set_ttl(self._sock, self._family, ttl)
            self._ttl = ttl
        self._number(first // SLOTS)
        self._last_seq = first + count - 1
        self._burst_first = first
        slot = first % SLOTS
        errqueue.clear_pending(self._sock)
        if self._stamps is not None:
            return self._send_stamped(self._stamps, slot, count)
        self._requests.control_lengths[slot] = len(_ASK_FOR_STAMP)
        sent_ns = self._stamper.note_send(first)
        try:
            return self._requests.send(self._sock, slot, count), sent_ns, perf_counter_ns()
        except OSError as error:
            self._read_stamps()
            raise SendError(error, self._stamper.retract_send(first)) from error
        finally:
            self._requests.control_lengths[slot] = 0

    def _send_stamped(self, stamps: BurstStamps, slot: int, count: int) -> tuple[int, int, int]:
        sent_ns, sent, failure = stamps.note_send(count), 0, None
        try:
            sent = self._requests.send(self._sock, slot, count)
        except OSError as error:
            failure = error
        if sent < count:
            self._read_stamps()
            was_queued = stamps.note_failure(sent)
            if failure is not None:
                raise SendError(failure, "queue" if was_queued else "not-sent") from failure
        return sent, sent_ns, perf_counter_ns()

    def _read_stamps(self, seq: int | None = None) -> None:
        """Read the stamps of what was sent; errors on the way are kept aside."""
        if self._stamps is None:
            super()._read_stamps(seq)
        else:
            self._aside.extend(self._stamps.read())

    def _receive_queued(self) -> Answer | None:
        if self._stamps is not None and not self._aside:
            self._read_stamps()
        return super()._receive_queued() if self._stamps is None or self._aside else None

    def _number(self, block: int) -> None:
        """Write the numbers of a block of probes into the requests, and into what is expected of their replies."""
        if block == self._block:
            return
        self._block = block
        epoch, high = divmod(block, 256)
        if epoch != self._epoch:
            self._epoch = epoch
            self._begin_epoch(block * SLOTS)
        for area in (self._requests.parts[0], self._expected):
            area[6 :: self._length] = bytes([high]) * SLOTS
            area[22 :: self._length] = bytes([255 - high]) * SLOTS

    def _begin_epoch(self, seq: int) -> None:
        """Write what is alike for all probes whose numbers differ in the last 16 bits alone."""
        payload = self._payload(seq)
        for area, kind in ((self._requests.parts[0], ECHO_REQUEST), (self._expected, ECHO_REPLY)):
            message = ECHO_HEADER.pack(kind[self._family], 0, 0, self._ident, seq & 0xFFFF) + payload
            if self._family == "ipv4":  # of the other the kernel makes and checks the sum
                message = message[:2] + checksum(message).to_bytes(2, "big") + message[4:]
            area[:] = message * SLOTS
            area[7 :: self._length] = _LOWS
            area[23 :: self._length] = _FLIPPED_LOWS
        self._requests.control[:] = _ASK_FOR_STAMP * SLOTS

    def receive_burst(self, first: int, count: int) -> Harvest | None:
        """Take in what has come of the ``count`` probes from ``first`` on; ``None`` if there is nothing.

        It may be of other probes as well, which are then answers one by one.
        """
        try:
            got = self._replies.receive(self._sock, max(count, 1))
        except OSError:  # the notice of an entry in the error queue
            got = 0
        received_ns = perf_counter_ns()
        if not got:
            queued = self._receive_queued()
            return None if queued is None else Harvest(0, received_ns, answers=(queued,))
        if got > count or not self._is_as_expected(first % SLOTS, got):
            found = (
                self._take_apart(slot, length, received_ns) for slot, length in enumerate(self._replies.lengths(got))
            )
            return Harvest(0, received_ns, answers=[answer for answer in found if answer is not None])
        return Harvest(got, received_ns, self._measure(first, got, received_ns))

    def _measure(self, first: int, got: int, received_ns: int) -> list[int]:
        """Round trips of what was stamped of the ``got`` probes from ``first`` on."""
        if self._stamps is not None:
            self._read_stamps()
            arrived_ns = read_arrivals(self._replies.control, got)
            return self._stamps.measure(first - self._burst_first, arrived_ns, received_ns)
        if not self._stamper.awaits(first):
            return []
        self._read_stamps(first)
        (first_ns,) = read_arrivals(self._replies.control, 1)
        rtt_ns, _ = self._stamper.measure(first, first_ns or None, received_ns)
        return [] if rtt_ns is None else [rtt_ns]

    def _is_as_expected(self, slot: int, got: int) -> bool:
        """Whether the messages that were received are the replies to the requests from this slot on."""
        messages, length = self._replies.parts[-1], self._length
        if self._family == "ipv6":
            messages[2 : got * length : length] = messages[3 : got * length : length] = bytes(got)
        return (
            self._replies.lengths(got) == [sum(self._sizes)] * got
            and messages[: got * length].tobytes() == self._expected[slot * length : (slot + got) * length].tobytes()
        )

    def _take_apart(self, slot: int, length: int, received_ns: int) -> Answer | None:
        """Decode the message of one slot, as it would have come alone."""
        pieces = [
            part[slot * size : (slot + 1) * size] for part, size in zip(self._replies.parts, self._sizes, strict=True)
        ]
        message = decode_echo(self._family, b"".join(pieces)[:length])
        if message is None or message.ident != self._ident:
            return None
        return self._to_answer(message, self._address, received_ns, [])


def open_burst_probe(  # noqa: PLR0913 - what decides a probe socket
    method: str, family: str, address: str, *, source: str | None, size_bytes: int, stamp_each: bool
) -> BurstProbe:
    """Open one, with stamps for each probe or the first of each burst; see ``System.open_burst_probe``."""
    if method not in KINDS or size_bytes < LEAST_BYTES:
        reason = f"no bursts of {size_bytes} bytes by {method}"
        raise MethodRefusedError(reason)
    probe = BurstProbe(family, address, method, source=source, size_bytes=size_bytes, stamp_each=stamp_each)
    if not probe.use_bursts():
        probe.close()
        reason = "no kernel stamps"
        raise MethodRefusedError(reason)
    return probe
