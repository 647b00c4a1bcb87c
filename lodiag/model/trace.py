"""Records of ``trace``."""

from __future__ import annotations

from lodiag.dataclass import dataclass
from lodiag.model import METHODS, Refusal, detail, fact, label, metric
from lodiag.model.net import RouteAnswer  # noqa: TC001 - the schema reads the type of each field

MTU_STATUSES = ("found", "black-hole", "unanswered")
HOP_STATUSES = ("reached", "ttl-exceeded", "unreachable", "timeout", "not-sent")


@dataclass(frozen=True, slots=True, kw_only=True)
class HopProbe:
    """The fate of one probe of a hop."""

    address: str | None = fact("Address that answered this probe.")
    rtt_ms: float | None = fact("Milliseconds until an answer came, by a monotonic clock.")
    status: str = fact("What became of it.", HOP_STATUSES)
    icmp_type: int | None = fact("Type of the ICMP message that came back.")
    icmp_code: int | None = fact("Code of the ICMP message that came back.")
    reply_ttl: int | None = fact("TTL or hop limit that the answer still had; null where it is not told.")
    interface: str | None = fact("Interface by which the answer came; null where it is not told, as by TCP.")
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
    rtt_last_ms: float | None = metric("Time to the last answer.")
    rtt_min_ms: float | None = metric("Shortest time to an answer.")
    rtt_avg_ms: float | None = metric("Arithmetic mean of the times to an answer.")
    rtt_max_ms: float | None = metric("Longest time to an answer.")
    rtt_stddev_ms: float | None = metric("Population standard deviation of the times to an answer.")
    reply_ttl: int | None = metric("TTL or hop limit that the last answer still had; null where it is not told.")
    interface: str | None = fact("Interface by which the last answer came; null where it is not told, as by TCP.")
    mtu_bytes: int | None = metric("With --mtu: what this hop said is the mtu of the link behind it.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceMethod:
    """What came of one method."""

    method: str = fact("How it was probed.", METHODS)
    port: int | None = fact("Destination port of udp and tcp probes.")
    reached: bool = fact("Whether the target answered.")
    hops: int | None = fact("Distance at which it did; null when it did not.")
    source_address: str | None = fact("Address that the probes went out from; null where it is not told, as by icmp.")
    error: str | None = fact("Code of what kept it from being reached; null when it was.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceSummary:
    """Where the trace ended."""

    target: str = label("The target as it was given.")
    address: str = label("The loopback address that was traced.")
    method: str = label("How it was probed; all if by several methods.", (*METHODS, "all"))
    reached: bool = metric("Whether the target answered.")
    hops: int | None = metric("Distance at which the target answered; null when it did not.")
    interface: str | None = fact("Loopback interface of the address's family; null where unknown.")
    mtu_bytes: int | None = metric("That interface's mtu.")
    path_mtu_bytes: int | None = metric("With --mtu: the largest packet that passes unfragmented; null if unknown.")
    path_mtu_status: str | None = fact(
        "With --mtu: found; black-hole where large packets vanish without a word; or unanswered.", MTU_STATUSES
    )
    port: int | None = fact("Destination port of udp and tcp probes; null if there are several.")
    route: RouteAnswer | None = detail(
        "The way that the kernel's routing tables give, before the packet filter has its say; null if not told."
    )
    methods: tuple[TraceMethod, ...] = detail("What came of each method.")
    refused: tuple[Refusal, ...] = detail("Better methods that were refused, best first.")


RECORD, SUMMARY = HopRecord, TraceSummary
