"""Records of ``trace``."""

from __future__ import annotations

from dataclasses import dataclass

from lodiag.model import METHODS, Refusal, detail, fact, label, metric

HOP_STATUSES = ("reached", "ttl-exceeded", "unreachable", "timeout", "not-sent")


@dataclass(frozen=True, slots=True, kw_only=True)
class HopProbe:
    """The fate of one probe of a hop."""

    address: str | None = fact("Address that answered this probe.")
    rtt_ms: float | None = fact("Milliseconds until an answer came, by a monotonic clock.")
    status: str = fact("What became of it.", HOP_STATUSES)
    icmp_type: int | None = fact("Type of the ICMP message that came back.")
    icmp_code: int | None = fact("Code of the ICMP message that came back.")
    error: str | None = fact("Code of what went wrong; null when it was reached or passed on.")
    errno: str | None = fact("The system's own word for why it could not be sent; null if it could.")


@dataclass(frozen=True, slots=True, kw_only=True)
class HopRecord:
    """What answered at one distance."""

    hop: int = label("TTL or hop limit of the probes.")
    address: str | None = label("First address that answered; null for a silent hop.")
    method: str = label("How it was probed.", METHODS)
    probes: tuple[HopProbe, ...] = detail("The fate of each probe.")
    sent: int = metric("Probes that were sent.")
    received: int = metric("Probes that something answered.")
    loss_ratio: float | None = metric("Unanswered of sent, 0 to 1; null when nothing was sent.")
    rtt_min_ms: float | None = metric("Shortest time to an answer.")
    rtt_avg_ms: float | None = metric("Arithmetic mean of the times to an answer.")
    rtt_max_ms: float | None = metric("Longest time to an answer.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceSummary:
    """Where the trace ended."""

    target: str = label("The target as it was given.")
    address: str = label("The loopback address that was traced.")
    method: str = label("How it was probed.", METHODS)
    reached: bool = metric("Whether the target answered.")
    hops: int | None = metric("Distance at which the target answered; null when it did not.")
    interface: str | None = fact("Loopback interface of the address's family; null where unknown.")
    mtu_bytes: int | None = metric("That interface's mtu.")
    port: int | None = fact("Destination port of udp and tcp probes.")
    refused: tuple[Refusal, ...] = detail("Better methods that were refused, best first.")


RECORD, SUMMARY = HopRecord, TraceSummary
