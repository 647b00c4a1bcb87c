"""What stands before the loopback interface and may delay or lose its packets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.diagnoses import BOTH, Diagnosis, Found, Seen, find, told
from lodiag.diagnoses.links import need_lo
from lodiag.model.net import QUEUES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lodiag.diagnoses.survey import Survey
    from lodiag.model.net import Link, Qdisc

GROUP = "interface"
UNSHAPED = {"noqueue", "clsact", "ingress"}
"""Queueing disciplines that delay and drop nothing by themselves."""


def look_at_qdisc(survey: Survey) -> Seen:
    """Find that the interface is shaped."""
    lo = need_lo(survey)
    own = [qdisc for qdisc in survey.qdiscs if qdisc.dev == lo.ifname and qdisc.kind not in UNSHAPED]
    roots = [qdisc for qdisc in own if qdisc.root]
    if not roots:
        return Seen(f"qdisc {lo.qdisc or 'unknown'}")
    (root, *_) = roots
    harms = list(_tell_harms(root))
    if not harms and root.kind in QUEUES:
        return Seen(f"qdisc {root.kind}", (_judge_queue(survey, lo, root),))
    found = find(
        "lo-qdisc",
        "fail",
        lo.ifname,
        f"a {root.kind} queueing discipline stands on {lo.ifname}" + (f": {', '.join(harms)}" if harms else ""),
        (
            told("qdisc", root.kind, f"rtnetlink, {lo.ifname}"),
            told("drops", root.drops, "rtnetlink"),
            told("overlimits", root.overlimits, "rtnetlink"),
        ),
        impact="Everything that is sent over the loopback passes it.",
        hint="It may be left over from a test; a loopback that nobody shapes has noqueue.",
        fix=survey.system.prescribe("qdisc", dev=lo.ifname),
        see=("tc(8)",),
    )
    return Seen(f"qdisc {root.kind}", (found,))


def _judge_queue(survey: Survey, lo: Link, root: Qdisc) -> Found:
    """Judge a queue that only queues: that is no harm by itself."""
    return find(
        "lo-queue",
        "info",
        lo.ifname,
        f"packets of {lo.ifname} are queued by {root.kind}; a loopback that nobody has changed has noqueue",
        (told("qdisc", root.kind, f"rtnetlink, {lo.ifname}"),),
        fix=survey.system.prescribe("qdisc", dev=lo.ifname),
        see=("tc(8)",),
    )


def _tell_harms(qdisc: Qdisc) -> Iterator[str]:
    for word, ratio in (
        ("loses", qdisc.loss_ratio),
        ("doubles", qdisc.duplicate_ratio),
        ("reorders", qdisc.reorder_ratio),
        ("damages", qdisc.corrupt_ratio),
    ):
        if ratio:
            yield f"it {word} {ratio * 100:.3g} %"
    if qdisc.delay_ms:
        jitter = f" (± {qdisc.jitter_ms:g} ms)" if qdisc.jitter_ms else ""
        yield f"it delays by {qdisc.delay_ms:g} ms{jitter}"
    if qdisc.rate_bps:
        yield f"it lets {qdisc.rate_bps / 1e6:g} Mbit/s pass"


def look_at_xdp(survey: Survey) -> Seen:
    """Find a program that sees each packet before the kernel does, where packets are lost."""
    lo = need_lo(survey)
    if not lo.xdp:
        return Seen("no XDP program")
    harmed = [family for family in sorted(BOTH) if None not in survey.meets(family, "tcp", "udp")]
    timed_out = [family for family in harmed if "timeout" in survey.meets(family)]
    found = find(
        "xdp-program",
        "fail" if timed_out else "info",
        lo.ifname,
        f"an XDP program is attached to {lo.ifname}, which sees every packet before the kernel does",
        (told("xdp", value=True, source=f"rtnetlink, {lo.ifname}"),),
        impact="What is sent to oneself is not answered." if timed_out else None,
        confidence="likely" if timed_out else "certain",
        families=timed_out or BOTH,
        fix=survey.system.prescribe("xdp", dev=lo.ifname),
        see=("ip-link(8)", "bpf(2)"),
    )
    return Seen("an XDP program", (found,))


DIAGNOSES = (
    Diagnosis(GROUP, "qdisc", "is its traffic shaped", ("lo-qdisc", "lo-queue"), look_at_qdisc),
    Diagnosis(GROUP, "xdp", "does a program see its packets first", ("xdp-program",), look_at_xdp),
)
