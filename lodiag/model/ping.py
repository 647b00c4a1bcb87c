"""Records of ``ping``."""

from __future__ import annotations

from lodiag.dataclass import dataclass
from lodiag.model import CLOCKS, FAMILIES, METHODS, Refusal, detail, fact, label, metric

REPLY_STATUSES = ("received", "timeout", "late", "corrupted", "unreachable", "not-sent")
STAGES = ("not-sent", "socket", "queue", "interface")
"""How far a probe came: refused by the system call; taken, and never seen at the queue of the interface; put there, and
never seen to leave it; handed to the interface."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PingReply:
    """The fate of one probe."""

    seq: int = fact("Number of the probe, from 1; it does not wrap at 65536.")
    sent_at: str = fact("When it was sent: RFC 3339, UTC.")
    rtt_ms: float | None = fact("Round trip in milliseconds, by `clock`; null unless a reply came.")
    rtt_user_ms: float | None = fact("The same by a monotonic clock around the system calls of this process.")
    clock: str | None = fact("Clock of rtt_ms: the kernel's at both ends, at the reply's, or this process's.", CLOCKS)
    reply_ttl: int | None = fact("TTL or hop limit of what came back.")
    size_bytes: int | None = fact("Bytes of payload that came back.")
    status: str = fact("What became of it.", REPLY_STATUSES)
    error: str | None = fact("Code of what went wrong; null when received.")
    icmp_type: int | None = fact("Type of the ICMP message that came back.")
    icmp_code: int | None = fact("Code of the ICMP message that came back.")
    reply_from: str | None = fact("Address that the message came from.")
    reached: str | None = fact(
        "How far a probe came of which nothing came back, by the kernel's stamps; null where they do not tell.", STAGES
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RttBucket:
    """How many round trips took so long."""

    from_ms: float = fact("Least time that counts here.")
    below_ms: float = fact("Least time that no longer does.")
    count: int = fact("How many there are.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """Two or more probes in a row that were lost or could not be sent."""

    first_seq: int = fact("Number of the first of them.")
    started_at: str = fact("When the first of them was sent, or should have been: RFC 3339, UTC.")
    ended_at: str = fact("When the last of them was.")
    count: int = fact("How many they are.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PingRecord:
    """All that one address answered."""

    target: str = label("The target as it was given.")
    address: str = label("The loopback address that was probed.")
    family: str = label("Family of the address.", FAMILIES)
    method: str | None = label("How it was probed; null if no socket could be had.", METHODS)
    clock: str | None = label(
        "Clock of most round trips, or for them if there is none; null if no socket was had.", CLOCKS
    )
    source_address: str | None = fact("Source address asked for; null leaves it to the kernel.")
    interval_s: float = fact("Seconds from one probe to the next; 0 if each follows the answer to the last.")
    size_bytes: int = label("Bytes of payload in each probe.")
    fragments: int | None = fact("Packets in which each probe leaves, by the mtu; null where that was not read.")
    sent: int = metric("Probes that were sent.")
    received: int = metric("Probes whose intact reply came in time.")
    lost: int = metric("Probes that were sent and not received.")
    loss_ratio: float | None = metric("Lost of sent, 0 to 1; null when nothing was sent.")
    not_sent: int = metric("Probes that the system refused to send.")
    sent_per_s: float | None = metric("Probes sent a second, from the first to the last; null for fewer than two.")
    timed: int = metric("Received probes whose round trip was measured; of a flood it may be the first of each burst.")
    duplicates: int = metric("Further replies to a probe that had one.")
    corrupted: int = metric("Replies whose payload or checksum was wrong; not received.")
    late: int = metric("Replies after the timeout; not received.")
    reordered: int = metric("Received replies to probes that were sent before one that was already received.")
    strays: int = metric("Replies that came from another address than was probed; not received.")
    lost_unqueued: int | None = metric(
        "Silent probes that never came to the queue of the interface; null where no stamps tell."
    )
    lost_queued: int | None = metric("Silent probes that never left that queue; null likewise.")
    lost_sent: int | None = metric("Silent probes that were handed to the interface; null likewise.")
    outage_count: int = metric("Times that two or more probes in a row were lost or not sent.")
    reply_ttl_min: int | None = metric("Lowest TTL or hop limit of the received replies; null where it is not told.")
    reply_ttl_max: int | None = metric("Highest of them.")
    lesser_clock: int = metric("Received replies that had to be timed by a lesser clock than was to be had.")
    rtt_min_ms: float | None = metric("Shortest round trip of the received probes.")
    rtt_avg_ms: float | None = metric("Arithmetic mean of the round trips.")
    rtt_max_ms: float | None = metric("Longest round trip.")
    rtt_stddev_ms: float | None = metric("Population standard deviation of the round trips.")
    rtt_p50_ms: float | None = metric("Median round trip, by nearest rank.")
    rtt_p95_ms: float | None = metric("95th percentile round trip, by nearest rank.")
    rtt_p99_ms: float | None = metric("99th percentile round trip, by nearest rank.")
    rtt_p999_ms: float | None = metric("99.9th percentile round trip, by nearest rank.")
    rtt_user_p50_ms: float | None = metric("Median round trip by the clock of this process.")
    rtt_user_p99_ms: float | None = metric("99th percentile round trip by the clock of this process.")
    jitter_ms: float | None = metric("Mean absolute difference of the round trips of consecutive probes.")
    error: str | None = fact(
        "Code of the last refusal to send a probe; if all were sent, of the last thing that kept one from being "
        "answered; null if none."
    )
    errno: str | None = fact("The system's own word for why a probe could not be sent; null if all could.")
    icmp_type: int | None = fact("Type of the last ICMP error; null if none came.")
    icmp_code: int | None = fact("Code of the last ICMP error.")
    icmp_from: str | None = fact("Address that the last ICMP error came from.")
    outages: tuple[Outage, ...] = detail("The first hundred outages, as ranges of time.")
    histogram: tuple[RttBucket, ...] = detail(
        "The round trips of received probes in buckets, four to each power of two; empty ones are left out."
    )
    refused: tuple[Refusal, ...] = detail("Better methods that were refused, best first.")
    replies: tuple[PingReply, ...] | None = detail(
        "The fate of each probe, or of the last 65536; null where it was not kept."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PingSummary:
    """Totals over all addresses."""

    addresses: int = metric("Addresses that were probed.")
    answered: int = metric("Addresses of which at least one reply was received.")
    sent: int = fact("Probes sent to all of them.")
    received: int = fact("Probes received from all of them.")


RECORD, SUMMARY = PingRecord, PingSummary
