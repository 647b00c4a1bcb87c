"""What the kernel's timestamps of a probe say: decoding and judging them, no input or output.

Sources: Linux's Documentation/networking/timestamping.rst, include/uapi/linux/net_tstamp.h and errqueue.h.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from lodiag.system.packets import EXTENDED_ERR

SOL_SOCKET, SO_TIMESTAMPING = 1, 37
"""Linux's include/uapi/asm-generic/socket.h; the control message has the option's number."""

QUEUE_KINDS = frozenset({(0, 11), (41, 25)})
"""Level and type of a sock_extended_err: IPPROTO_IP, IP_RECVERR and IPPROTO_IPV6, IPV6_RECVERR."""

SO_EE_ORIGIN_TIMESTAMPING = 4
SCM_TSTAMP_SND, SCM_TSTAMP_SCHED = 0, 1
"""Behind the queueing discipline, and before it: a round trip begins at the latter, lest it leave out what a shaped lo
delays."""

TIMESPEC = struct.Struct("@ll")
"""Seconds and nanoseconds, as wide as this machine's long: the first of the three of a struct scm_timestamping."""

NS_PER_S = 1_000_000_000
LEAST_STEP_NS = 1_000
"""Two clocks that run alike are read some tens of nanoseconds apart by rounding; a clock that is set moves more."""

ControlMessages = list[tuple[int, int, bytes]]


class Reading(NamedTuple):
    """The monotonic clock, the wall clock, and the monotonic clock again, read one after the other."""

    before_ns: int
    wall_ns: int
    after_ns: int


def find_stamp(ancillary: ControlMessages) -> int | None:
    """Nanoseconds since the epoch at which the kernel stamped a message; ``None`` if it did not."""
    for level, kind, data in ancillary:
        if (level, kind) == (SOL_SOCKET, SO_TIMESTAMPING) and len(data) >= TIMESPEC.size:
            seconds, nanoseconds = TIMESPEC.unpack_from(data)
            return seconds * NS_PER_S + nanoseconds or None
    return None


def find_sent(ancillary: ControlMessages) -> tuple[int, int] | None:
    """Where an entry of the error queue stamps what was sent, and which of the socket's sends that is.

    ``None`` if the entry is something else.
    """
    for level, kind, data in ancillary:
        if (level, kind) in QUEUE_KINDS and len(data) >= EXTENDED_ERR.size:
            _, origin, _, _, _, where, number = EXTENDED_ERR.unpack_from(data)
            if origin == SO_EE_ORIGIN_TIMESTAMPING:
                return int(where), int(number)
    return None


def was_set_between(first: Reading, second: Reading) -> bool:
    """Whether the wall clock was set between two readings.

    Wall less monotonic time is the same at both unless it was. How much that is, each reading bounds: the more
    loosely, the longer it was interrupted, so that a wait for the processor is never taken for a clock that was set.
    """
    lead_ns = (first.wall_ns - first.before_ns) - (second.wall_ns - second.after_ns)
    lag_ns = (second.wall_ns - second.before_ns) - (first.wall_ns - first.after_ns)
    return lead_ns < -LEAST_STEP_NS or lag_ns < -LEAST_STEP_NS


def measure(sent: Reading, left_ns: int | None, arrived_ns: int | None, received: Reading) -> tuple[int, str] | None:
    """Round trip in nanoseconds by the kernel's stamps, and which clock that is; ``None`` if only the user's is left.

    The stamps are of the wall clock: they are of no use if it was set in between. A stamp of another probe would
    give a time below 0, or above what the whole took in user space.
    """
    if arrived_ns is None or was_set_between(sent, received):
        return None
    most_ns = received.before_ns - sent.after_ns
    for began_ns, clock in ((left_ns, "kernel"), (sent.wall_ns, "kernel-rx")):
        if began_ns is not None and 0 <= arrived_ns - began_ns <= most_ns:
            return arrived_ns - began_ns, clock
    return None
