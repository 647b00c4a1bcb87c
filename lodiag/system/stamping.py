"""Having the kernel stamp what a probe socket sends and receives; no privilege is needed.

SO_TIMESTAMPNS is not used: for a message without a stamp it makes one up when the message is read.
"""

from __future__ import annotations

import socket
import sys
import time
from time import perf_counter_ns, time_ns
from typing import TYPE_CHECKING

from lodiag.system.sockopts import FAMILIES
from lodiag.system.stamps import (
    SCM_TSTAMP_SCHED,
    SCM_TSTAMP_SND,
    SO_TIMESTAMPING,
    SOL_SOCKET,
    Reading,
    find_sent,
    find_stamp,
    measure,
)

if TYPE_CHECKING:
    from lodiag.system.stamps import ControlMessages

TX_SOFTWARE, RX_SOFTWARE, SOFTWARE, OPT_ID, TX_SCHED, OPT_TSONLY = 1 << 1, 1 << 3, 1 << 4, 1 << 7, 1 << 8, 1 << 11
"""Linux's include/uapi/linux/net_tstamp.h; the last came with Linux 4.0."""

FLAGS = {"kernel": TX_SCHED | RX_SOFTWARE | SOFTWARE | OPT_ID | OPT_TSONLY, "kernel-rx": RX_SOFTWARE | SOFTWARE}

MOST_UNDER_WAY = 1 << 16
"""Probes whose sending is remembered; a reply to an older one is taken for one to its namesake of 16 bits anyway."""

WARM_UP_S = (0.0, 0.001, 0.002, 0.004, 0.008, 0.016)
"""Pauses after which stamping is looked for, 31 ms in all: Linux 6.18 took up to 12.5 ms to begin."""

OWN_ADDRESSES = {"ipv4": "127.0.0.1", "ipv6": "::1"}


class Stamper:
    """The stamps of one socket's probes, matched to them by the numbers that the kernel gives its sends."""

    def __init__(self, sock: socket.socket) -> None:
        """Time by the user's clock until another is chosen."""
        self.clock = "user"
        self._sock = sock
        self._flags = 0
        self._sends = 0
        self._seqs: dict[int, int] = {}
        self._sent: dict[int, Reading] = {}
        self._left_ns: dict[int, int] = {}
        self._departed: set[int] = set()

    def use(self, clock: str, *, closely: bool = False, on_request: bool = False) -> bool:
        """Time by this clock from now on; whether it is to be had.

        ``closely`` has the kernel tell as well what leaves the queue of the interface, if it is to stamp what is sent.
        ``on_request`` has it stamp of what is sent only the messages that ask for that by a control message.
        """
        if clock == "user":
            return True
        flags = FLAGS[clock] | (TX_SOFTWARE if closely and clock == "kernel" else 0)
        flags &= ~TX_SCHED if on_request else -1
        if sys.platform != "linux" or not self._set(flags):
            return False
        self.clock, self._flags = clock, flags
        return True

    def _set(self, flags: int) -> bool:
        """Choose what is stamped, and read it back: a sandbox may accept what it does not do."""
        try:
            self._sock.setsockopt(SOL_SOCKET, SO_TIMESTAMPING, flags)
            return self._sock.getsockopt(SOL_SOCKET, SO_TIMESTAMPING) == flags
        except OSError:
            return False

    @property
    def queues(self) -> bool:
        """Whether stamps come by the error queue, which must then be emptied lest no wait end in sleep."""
        return self.clock == "kernel"

    def note_send(self, seq: int) -> int:
        """Note that probe ``seq`` is sent now, and return when that is by the monotonic clock."""
        if self.clock == "user":
            return perf_counter_ns()
        if len(self._sent) >= MOST_UNDER_WAY:
            self._forget(next(iter(self._sent)))
        self._seqs[self._sends] = seq
        self._seqs.pop(self._sends - MOST_UNDER_WAY, None)
        self._sends += 1
        self._sent[seq] = reading = Reading(perf_counter_ns(), time_ns(), perf_counter_ns())
        return reading.after_ns

    def retract_send(self, seq: int) -> str:
        """Take back a send that failed, and tell how far it came all the same: as ``locate`` has it, or not-sent.

        Unless it was stamped on its way, whether it counts in the kernel is not known, so that all are numbered anew:
        from 0 when the option is turned on that was off. What the error queue holds must have been read before.
        """
        was_stamped = seq in self._left_ns
        self._forget(seq)
        if was_stamped:
            return "queue"
        self._seqs.clear()
        self._sends = 0
        if self.queues:
            self._set(self._flags & ~OPT_ID)
            self._set(self._flags)
        return "not-sent"

    def locate(self, seq: int) -> str | None:
        """How far a probe came that was not answered; ``None`` where the stamps do not tell.

        ``socket``: it never came to the queue of the interface. ``queue``: it never left that. ``interface``: it was
        handed to the interface. What the error queue holds must have been read before.
        """
        if not self.queues or seq not in self._sent:
            return None
        if seq in self._departed:
            return "interface"
        if seq in self._left_ns:
            return "queue" if self._flags & TX_SOFTWARE else None
        return "socket"

    def take(self, ancillary: ControlMessages) -> bool:
        """Keep the stamp that an entry of the error queue holds; whether it is such an entry."""
        found = find_sent(ancillary)
        if found is None:
            return False
        where, number = found
        seq, stamp_ns = self._seqs.get(number), find_stamp(ancillary)
        if where == SCM_TSTAMP_SND or not self._flags & TX_SOFTWARE:
            self._seqs.pop(number, None)
        if seq is not None and seq in self._sent:
            if where == SCM_TSTAMP_SND:
                self._departed.add(seq)
            elif where == SCM_TSTAMP_SCHED and stamp_ns is not None:
                self._left_ns[seq] = stamp_ns
        return True

    def awaits(self, seq: int) -> bool:
        """Whether the stamp of this probe's sending is still to be read."""
        return self.queues and seq in self._sent and seq not in self._left_ns

    def measure(self, seq: int, arrived_ns: int | None, received_ns: int) -> tuple[int | None, str]:
        """Round trip by the kernel's stamps, and which clock that is; ``None`` where only the user's is left."""
        sent, left_ns = self._sent.get(seq), self._left_ns.get(seq)
        if sent is None:
            return None, "user"
        self._forget(seq)
        found = measure(sent, left_ns, arrived_ns, Reading(received_ns, time_ns(), perf_counter_ns()))
        return found or (None, "user")

    def _forget(self, seq: int) -> None:
        self._sent.pop(seq, None)
        self._left_ns.pop(seq, None)
        self._departed.discard(seq)


def warm_up(family: str) -> bool:
    """Wait until the kernel stamps what arrives, and tell whether it does: it begins some milliseconds after asked.

    A socket that is connected to itself sends to itself until a stamp is there. That is for all sockets of the
    machine at once, whatever their family. Where nothing comes back the wait is short.
    """
    try:
        with socket.socket(FAMILIES[family], socket.SOCK_DGRAM) as sock:
            sock.settimeout(0)
            sock.bind((OWN_ADDRESSES[family], 0))
            sock.connect(sock.getsockname())
            sock.setsockopt(SOL_SOCKET, SO_TIMESTAMPING, FLAGS["kernel-rx"])
            for pause_s in WARM_UP_S:
                time.sleep(pause_s)
                if _is_stamped(sock):
                    return True
    except OSError:  # no such address, or nothing may be sent: neither will probes be
        pass
    return False


def _is_stamped(sock: socket.socket) -> bool:
    sock.send(b"")
    try:
        _, ancillary, _, _ = sock.recvmsg(1, 128)
    except BlockingIOError:
        return False
    return find_stamp(ancillary) is not None
