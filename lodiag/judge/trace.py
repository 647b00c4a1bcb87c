"""What the hops of ``trace`` mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.dataclass import replace
from lodiag.judge.methods import NOT_ASKED, is_echo_ignored, judge_methods
from lodiag.judge.silence import Silence, judge_silence, make_finding, tell_errno
from lodiag.judge.way import judge_way
from lodiag.model import Evidence
from lodiag.targets import family_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lodiag.hops.options import TraceOptions
    from lodiag.judge.silence import Surroundings
    from lodiag.model import Finding
    from lodiag.model.trace import HopRecord, TraceMethod, TraceSummary


_SERVICES = {
    "udp": "What listens on port {port} may take probes without an answer: leave out --port, or try --method tcp.",
    "tcp": "What listens on port {port} may have a full accept queue: lodiag doctor {port} tells, or leave out "
    "--port to trace to a closed one.",
}
"""What else silence can mean, where a service was asked."""


def judge_trace(
    summary: TraceSummary, records: Sequence[HopRecord], options: TraceOptions, around: Surroundings
) -> Iterator[Finding]:
    """Judge a trace: whether the target was reached, by all methods alike, and whether its traffic stayed here."""
    way = list(judge_way(summary, records, options, around))
    yield from way
    yield from judge_methods(summary, options, around)
    yield from _judge_mtu(summary, records)
    if not any(finding.code == "routing-loop" for finding in way):
        for found in summary.methods:
            if found.reached or (summary.reached and found.error not in NOT_ASKED):
                continue
            own = [record for record in records if record.method == found.method]
            yield _judge_unreached(summary.address, found, own, around, options)


def _judge_unreached(
    address: str, found: TraceMethod, records: Sequence[HopRecord], around: Surroundings, options: TraceOptions
) -> Finding:
    family, error = family_of(address), found.error or "timeout"
    if error == "timeout" and is_echo_ignored(found.method, family, around):
        error = "icmp-ignored"
    probes = [probe for record in records for probe in record.probes]
    sent = sum(record.sent for record in records)
    received = sum(record.received for record in records)
    value = f"{sent} sent, {received} answered, {len(probes) - sent} not sent"
    errno = next((probe.errno for probe in probes if probe.errno), None)
    counts = Evidence(name="probes", value=value, source=f"{found.method} socket")
    evidence = (counts, *_tell_last(found, records), *tell_errno(errno))
    silence = Silence(address=address, family=family, error=error, evidence=evidence)
    finding = judge_silence(silence, around, "fail")
    service = _SERVICES.get(found.method) if options.port is not None and finding.code == "timeout" else None
    return replace(finding, hint=service.format(port=options.port)) if service else finding


def _tell_last(found: TraceMethod, records: Sequence[HopRecord]) -> Iterator[Evidence]:
    """Tell who answered last, and what it said."""
    answered = [(record.hop, probe) for record in records for probe in record.probes if probe.address is not None]
    if answered:
        hop, probe = answered[-1]
        icmp = "" if probe.icmp_type is None else f", ICMP type {probe.icmp_type} code {probe.icmp_code}"
        value = f"{probe.address} at hop {hop}: {probe.error or probe.status}{icmp}"
        yield Evidence(name="last answer", value=value, source=f"{found.method} probe")


def _judge_mtu(summary: TraceSummary, records: Sequence[HopRecord]) -> Iterator[Finding]:
    """Say who on the way has a smaller link, or that somebody keeps silent about it."""
    subject = summary.address
    told = {record.address: record.mtu_bytes for record in records if record.mtu_bytes is not None}
    evidence = [Evidence(name=f"mtu behind {address}", value=mtu, source="udp probe") for address, mtu in told.items()]
    if summary.path_mtu_status == "black-hole":
        if summary.route is not None:
            evidence.append(Evidence(name="mtu of the route", value=summary.route.mtu, source="rtnetlink"))
        if summary.path_mtu_bytes is not None:
            evidence.append(Evidence(name="path_mtu_bytes", value=summary.path_mtu_bytes, source="udp probe"))
        yield make_finding("mtu-black-hole", "warn", subject, tuple(evidence))
    elif summary.path_mtu_status == "found" and told:
        evidence.append(Evidence(name="path_mtu_bytes", value=summary.path_mtu_bytes, source="udp probe"))
        yield make_finding("smaller-path-mtu", "info", subject, tuple(evidence))
