"""The kernel's stamps of every request of a burst, read by one system call for all of them."""

from __future__ import annotations

import socket
import struct
from time import perf_counter_ns, time_ns
from typing import TYPE_CHECKING

from lodiag.system import errqueue, mmsg
from lodiag.system.stamping import FLAGS, OPT_ID
from lodiag.system.stamps import (
    NS_PER_S,
    SO_EE_ORIGIN_TIMESTAMPING,
    SO_TIMESTAMPING,
    SOL_SOCKET,
    Reading,
    was_set_between,
)

if TYPE_CHECKING:
    import ctypes
    from collections.abc import Iterator

    from lodiag.system.errqueue import Caught

HEAD = struct.Struct("@Nii")
"""struct cmsghdr of cmsg(3): its length with this head, level, type. The next one begins at a multiple of a long."""

ARRIVED = struct.Struct("@Nii6l")
"""A control message that stamps what was received: a head, and the three times of a struct scm_timestamping."""

SENT = struct.Struct(ARRIVED.format + "NiiIBBBBII32x")
"""Control messages that stamp what was sent: the same, a head, and a struct sock_extended_err; the rest is not used."""

QUOTE_BYTES = 576
"""What an ICMP error quotes, as far as the number of the probe is in it."""

CHOSEN = FLAGS["kernel"]


def read_arrivals(control: memoryview, count: int) -> list[int]:
    """When each of the first messages of a batch was stamped, in nanoseconds since the epoch; 0 if it was not."""
    stamp = (SOL_SOCKET, SO_TIMESTAMPING)
    return [
        seconds * NS_PER_S + nanoseconds if (level, kind) == stamp else 0
        for _, level, kind, seconds, nanoseconds, *_ in ARRIVED.iter_unpack(control[: count * ARRIVED.size])
    ]


def split_control(area: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Split the control messages of one message, as recvmsg of the standard library gives them."""
    at = 0
    while at + HEAD.size <= len(area):
        length, level, kind = HEAD.unpack_from(area, at)
        if length < HEAD.size:
            return
        yield level, kind, area[at + HEAD.size : at + length]
        at += -(-length // struct.calcsize("@l")) * struct.calcsize("@l")


class BurstStamps:
    """The stamps of one burst at a time, found by the numbers that the kernel gives the sends of a socket."""

    def __init__(self, sock: socket.socket, family: str, library: ctypes.CDLL, slots: int) -> None:
        """Lay out what is read at once; the socket is to stamp all that it sends and receives already."""
        self._sock, self._family, self._slots = sock, family, slots
        self._queue = mmsg.Batch(library, slots, (QUOTE_BYTES,), control_bytes=SENT.size, controlled=slots)
        self._first = self._next = 0
        self._left_ns: dict[int, int] = {}
        self._sent = Reading(0, 0, 0)

    def note_send(self, count: int) -> int:
        """Note that a burst is sent now, and return when that is by the monotonic clock."""
        self._left_ns.clear()
        self._first = self._next
        self._next += count
        self._sent = Reading(perf_counter_ns(), time_ns(), perf_counter_ns())
        return self._sent.after_ns

    def note_failure(self, sent: int) -> bool:
        """Note that no more went than ``sent``; whether the next came to the queue of the interface all the same.

        What failed may count in the kernel or not: all are numbered anew, as they are when the option is turned on
        that was off. What the error queue holds must have been read before.
        """
        self._next = 0
        for flags in (CHOSEN & ~OPT_ID, CHOSEN):
            self._sock.setsockopt(SOL_SOCKET, SO_TIMESTAMPING, flags)
        return self._first + sent in self._left_ns

    def read(self) -> Iterator[Caught]:
        """Read the error queue: stamps are kept, and ICMP errors are yielded."""
        while got := self._queue.receive(self._sock, self._slots, socket.MSG_ERRQUEUE):
            received_ns = perf_counter_ns()
            for slot, entry in enumerate(SENT.iter_unpack(self._queue.control[: got * SENT.size])):
                level, kind, seconds, nanoseconds, origin, number = *entry[1:5], entry[13], entry[18]
                if (level, kind, origin) == (SOL_SOCKET, SO_TIMESTAMPING, SO_EE_ORIGIN_TIMESTAMPING):
                    self._left_ns[number] = seconds * NS_PER_S + nanoseconds
                elif caught := self._decode(slot, got, received_ns):
                    yield caught

    def _decode(self, slot: int, got: int, received_ns: int) -> Caught | None:
        control = bytes(self._queue.control[slot * SENT.size :][: self._queue.control_lengths[slot]])
        quoted = bytes(self._queue.parts[0][slot * QUOTE_BYTES :][: self._queue.lengths(got)[slot]])
        return errqueue.decode(self._family, quoted, [*split_control(control)], received_ns)

    def measure(self, position: int, arrived_ns: list[int], received_ns: int) -> list[int]:
        """Round trips of what arrived of the burst from this position on; none of what was not stamped.

        None at all if the wall clock was set, by which they are stamped, or a stamp is another's (see ``stamps``).
        """
        began_ns = map(self._left_ns.get, range(self._first + position, self._first + position + len(arrived_ns)))
        found = [arrived - began for began, arrived in zip(began_ns, arrived_ns, strict=True) if began and arrived]
        reading = Reading(received_ns, time_ns(), perf_counter_ns())
        if was_set_between(self._sent, reading):
            return []
        most_ns = received_ns - self._sent.after_ns
        return found if not found or (min(found) >= 0 and max(found) <= most_ns) else []
