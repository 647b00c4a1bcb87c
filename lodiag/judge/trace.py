"""What the hops of ``trace`` mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.judge.silence import ECHO_SYSCTLS, Silence, Surroundings, judge_silence
from lodiag.model import Evidence, Finding
from lodiag.targets import family_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lodiag.model.trace import HopRecord, TraceSummary


def judge_trace(
    summary: TraceSummary, records: Sequence[HopRecord], first_hop: int, around: Surroundings
) -> Iterator[Finding]:
    """Judge a trace: whether the target was reached, and whether its traffic stayed on this host."""
    strangers = [r for r in records if any(p.address not in {None, summary.address} for p in r.probes)]
    is_far = summary.hops is not None and summary.hops > first_hop
    if strangers or is_far:
        yield _judge_leaving(summary, strangers)
    if not summary.reached:
        yield _judge_unreached(summary, records, around)


def _judge_leaving(summary: TraceSummary, strangers: Sequence[HopRecord]) -> Finding:
    seen = tuple(
        Evidence(name=f"hop {record.hop}", value=record.address, source=f"{record.method} probe")
        for record in strangers
    )
    hops = Evidence(name="hops", value=summary.hops, source=f"{summary.method} probe")
    return Finding(
        code="leaves-loopback",
        severity="fail",
        subject=summary.address,
        message=f"traffic to {summary.address} leaves this host or is redirected: loopback is one hop away",
        evidence=(hops, *seen),
        hint=f"See: ip route get {summary.address}; ip rule; ip route show table all; nft list ruleset",
        fix=None,
        see=("ip-route(8)", "ip-rule(8)"),
    )


def _judge_unreached(summary: TraceSummary, records: Sequence[HopRecord], around: Surroundings) -> Finding:
    probes = [probe for record in records for probe in record.probes]
    errors = [probe.error for probe in probes if probe.error]
    error = next((e for e in errors if e != "timeout"), "timeout")
    if records and any(probe.status == "ttl-exceeded" for probe in records[-1].probes):
        error = "max-hops-reached"
    family = family_of(summary.address)
    if error == "timeout" and summary.method.startswith("icmp") and around.sysctls.get(ECHO_SYSCTLS[family]) == "1":
        error = "icmp-ignored"
    sent = sum(record.sent for record in records)
    received = sum(record.received for record in records)
    value = f"{sent} sent, {received} answered, {len(probes) - sent} not sent"
    counts = Evidence(name="probes", value=value, source=f"{summary.method} socket")
    silence = Silence(address=summary.address, family=family, error=error, evidence=(counts,))
    return judge_silence(silence, around, "fail")
