"""The fate of a probe, and the times of many, in the words of a report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lodiag.clock import to_ms
from lodiag.model.ping import PingReply
from lodiag.rtt import describe_buckets, describe_rtts

if TYPE_CHECKING:
    from lodiag.histogram import Histogram
    from lodiag.system.probe import Answer


def describe_fate(  # noqa: PLR0913 - what becomes of a probe
    seq: int,
    sent_ns: int,
    status: str,
    answer: Answer | None,
    *,
    sent_at: str,
    error: str | None,
    reached: str | None,
) -> PingReply:
    """Describe what became of probe ``seq``; only what the target itself answered has a round trip."""
    timed = answer if answer is not None and answer.is_reply else None
    user_ms = to_ms(timed.received_ns - sent_ns) if timed else None
    return PingReply(
        seq=seq,
        sent_at=sent_at,
        rtt_ms=to_ms(timed.kernel_rtt_ns) if timed and timed.kernel_rtt_ns is not None else user_ms,
        rtt_user_ms=user_ms,
        clock=timed.clock if timed else None,
        reply_ttl=answer.ttl if answer else None,
        size_bytes=answer.size_bytes if answer else None,
        status=status,
        error=error,
        icmp_type=answer.icmp_type if answer else None,
        icmp_code=answer.icmp_code if answer else None,
        reply_from=answer.address if answer else None,
        reached=reached,
    )


def name_times(rtts: Histogram, user_rtts: Histogram) -> dict[str, Any]:
    """Fields of a ``PingRecord`` that tell of round trips, by the best clock and by that of this process."""
    found, by_user = describe_rtts(rtts), describe_rtts(user_rtts)
    return {
        "rtt_min_ms": found.min_ms,
        "rtt_avg_ms": found.avg_ms,
        "rtt_max_ms": found.max_ms,
        "rtt_stddev_ms": found.stddev_ms,
        "rtt_p50_ms": found.p50_ms,
        "rtt_p95_ms": found.p95_ms,
        "rtt_p99_ms": found.p99_ms,
        "rtt_p999_ms": found.p999_ms,
        "rtt_user_p50_ms": by_user.p50_ms,
        "rtt_user_p99_ms": by_user.p99_ms,
        "histogram": describe_buckets(rtts),
    }
