"""What the hops of ``trace`` mean."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lodiag.judge.silence import Silence, judge_silence, tell_errno
from lodiag.model import Evidence, Finding
from lodiag.targets import family_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lodiag.judge.silence import Surroundings
    from lodiag.model.trace import HopRecord, TraceSummary
    from lodiag.options import TraceOptions


_SERVICES = {
    "udp": "What listens on port {port} may take probes without an answer: leave out --port, or try --method tcp.",
    "tcp": "What listens on port {port} may have a full accept queue: leave out --port to trace to a closed one.",
}
"""What else silence can mean, where a service was asked."""


def judge_trace(
    summary: TraceSummary, records: Sequence[HopRecord], options: TraceOptions, around: Surroundings
) -> Iterator[Finding]:
    """Judge a trace: whether the target was reached, and whether its traffic stayed on this host."""
    strangers = [r for r in records if any(p.address not in {None, summary.address} for p in r.probes)]
    is_far = summary.hops is not None and summary.hops > options.first_hop
    nearer = records[:-1] if is_far else ()
    if strangers or any(record.received for record in nearer):
        yield _judge_leaving(summary, strangers)
    elif nearer:
        yield _judge_distance(summary, sum(record.sent for record in nearer))
    if not summary.reached:
        finding = _judge_unreached(summary, records, around)
        service = _SERVICES.get(summary.method) if options.port is not None and finding.code == "timeout" else None
        yield replace(finding, hint=service.format(port=options.port)) if service else finding


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
        hint="Look at the routes, at the rules that choose among them, and at the packet filter.",
        fix=None,
        see=(),
    )


def _judge_distance(summary: TraceSummary, asked: int) -> Finding:
    """Say that only a far hop answers, which a router that keeps silent can cause, or the loss of many probes."""
    return Finding(
        code="nearer-hops-silent",
        severity="fail",
        subject=summary.address,
        message=f"{summary.address} answers at hop {summary.hops} and no nearer, though loopback is one hop away",
        evidence=(
            Evidence(name="hops", value=summary.hops, source=f"{summary.method} probe"),
            Evidence(name="nearer probes", value=f"{asked} sent, 0 answered", source=f"{summary.method} probe"),
        ),
        hint="Its traffic passes routers that keep silent, or most probes are lost: look at routes and packet filter.",
        fix=None,
        see=(),
    )


def _judge_unreached(summary: TraceSummary, records: Sequence[HopRecord], around: Surroundings) -> Finding:
    probes = [probe for record in records for probe in record.probes]
    errors = [probe.error for probe in probes if probe.error]
    error = next((e for e in errors if e != "timeout"), "timeout" if probes else "interrupted")
    if records and any(probe.status == "ttl-exceeded" for probe in records[-1].probes):
        error = "max-hops-reached"
    family = family_of(summary.address)
    if (
        error == "timeout"
        and summary.method.startswith("icmp")
        and around.settings[f"echo-ignored-{family}"].value == "1"
    ):
        error = "icmp-ignored"
    sent = sum(record.sent for record in records)
    received = sum(record.received for record in records)
    value = f"{sent} sent, {received} answered, {len(probes) - sent} not sent"
    errno = next((probe.errno for probe in probes if probe.errno), None)
    counts = Evidence(name="probes", value=value, source=f"{summary.method} socket")
    silence = Silence(address=summary.address, family=family, error=error, evidence=(counts, *tell_errno(errno)))
    return judge_silence(silence, around, "fail")
