"""Whether replies take longer than a loopback's do, by the kernel's own clock: a busy machine does not show in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.model import Evidence, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lodiag.model.ping import PingRecord

USUAL_MS = 0.25
"""Within this time the kernel answers: measured were 2 to 15 µs, 0.1 ms with both processors busy, 0.3 ms at worst."""

LONG_MS = 1.0
"""Seventy times what a kernel takes with cold caches."""

LEAST_REPLIES = 3
"""Of fewer, one that was interrupted would be the median."""

LEAST_MIXED = 20
"""Replies that it takes for a tenth of them to be two."""

LEAST_SHARE = 0.1
"""What fewer replies do is the tail of all: interruptions make one."""

MOST_BETWEEN = 0.05
"""Share of replies that may be neither fast nor slow: more of them are a slope, and not two heights."""


def judge_delays(record: PingRecord) -> Iterator[Finding]:
    """Judge the median, and whether there are two kinds of replies."""
    median = record.rtt_p50_ms
    if record.clock == "user" or median is None or record.timed < LEAST_REPLIES:
        return
    slow = sum(bucket.count for bucket in record.histogram if bucket.from_ms >= LONG_MS)
    fast = sum(bucket.count for bucket in record.histogram if bucket.below_ms <= USUAL_MS)
    between = record.timed - slow - fast
    is_mixed = min(slow, fast) >= LEAST_SHARE * record.timed and between <= MOST_BETWEEN * record.timed
    if record.timed >= LEAST_MIXED and is_mixed:
        message = (
            f"{record.address}: {slow} of {record.timed} replies take more than {LONG_MS:g} ms, "
            f"and {fast} less than {USUAL_MS:g} ms"
        )
        hint = "There are two ways for them: is a part shaped by a qdisc, or sent to another host?"
        yield _make("bimodal-rtt", record, message, hint)
    elif median > LONG_MS:
        message = f"{record.address} takes {median:.3f} ms to answer (median), where a loopback takes some hundredths"
        yield _make("long-delay", record, message, "Is its interface shaped by a qdisc, or does another host answer?")


def _make(code: str, record: PingRecord, message: str, hint: str) -> Finding:
    times = {"rtt_min_ms": record.rtt_min_ms, "rtt_p50_ms": record.rtt_p50_ms, "rtt_max_ms": record.rtt_max_ms}
    return Finding(
        code=code,
        severity="warn",
        subject=record.address,
        message=message,
        evidence=tuple(
            Evidence(name=name, value=value, source=f"{record.clock} clock") for name, value in times.items()
        ),
        hint=hint,
        fix=None,
        see=(),
    )
