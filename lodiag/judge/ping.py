"""What the records of ``ping`` mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.judge.silence import GROUP_SYSCTL, SEE_RULES, Silence, judge_silence, make_finding
from lodiag.model import Evidence, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lodiag.judge.silence import Surroundings
    from lodiag.model.ping import PingRecord


def judge_ping(
    record: PingRecord,
    surroundings: Surroundings,
    *,
    others_answered: bool,
    max_loss_ratio: float | None,
    max_rtt_ms: float | None,
) -> Iterator[Finding]:
    """Judge one address.

    An address without any reply fails, but is a warning if another address of the same name answered:
    a client that tries them in turn gets through.
    """
    if record.received == 0:
        error = record.error or "interrupted"
        silence = Silence(address=record.address, family=record.family, error=error, evidence=(_counts(record),))
        yield judge_silence(silence, surroundings, "warn" if others_answered else "fail")
    elif record.not_sent:
        yield make_finding(record.error or "send-failed", "fail", record.address, (_counts(record),))
    elif record.lost:
        message = f"{record.lost} of {record.sent} probes to {record.address} were lost"
        yield _plain("loss", "warn", record, message, f"On a loopback none should be. {SEE_RULES}")
    yield from _judge_oddities(record)
    yield from _judge_limits(record, max_loss_ratio, max_rtt_ms)
    if record.method == "udp" and record.refused:
        yield _judge_refusal(record, surroundings)


def judge_deadline(record: PingRecord, wanted: int) -> Finding:
    """Judge a run that the deadline ended before all the probes that were asked for were sent."""
    tried = record.sent + record.not_sent
    message = f"{record.address}: the deadline came when {tried} of {wanted} probes were sent"
    return _plain("deadline-reached", "fail", record, message, "Give it more time, or fewer probes.")


def _judge_oddities(record: PingRecord) -> Iterator[Finding]:
    corrupted = record.corrupted if record.received else 0
    odd = (
        ("duplicates", record.duplicates, "further replies to probes that had one", "Does a rule duplicate packets?"),
        ("corrupted", corrupted, "damaged replies", "Something rewrites packets."),
        ("late", record.late, "replies after the timeout", "Is the machine overloaded, or lo shaped by a qdisc?"),
    )
    for code, count, what, hint in odd:
        if count:
            yield _plain(code, "warn", record, f"{record.address}: {count} {what}", hint)


def _judge_limits(record: PingRecord, max_loss_ratio: float | None, max_rtt_ms: float | None) -> Iterator[Finding]:
    loss, rtt = record.loss_ratio, record.rtt_max_ms
    if max_loss_ratio is not None and loss is not None and loss > max_loss_ratio:
        message = f"{record.address}: {loss:.4%} of the probes were lost, and the limit is {max_loss_ratio:.4%}"
        yield _plain("loss-over-limit", "fail", record, message, None)
    if max_rtt_ms is not None and rtt is not None and rtt > max_rtt_ms:
        message = f"{record.address}: a round trip took {rtt:.3f} ms, and the limit is {max_rtt_ms:g} ms"
        yield _plain("rtt-over-limit", "fail", record, message, None)


def _judge_refusal(record: PingRecord, around: Surroundings) -> Finding:
    """Say that UDP stands in for echo, which this user may not send."""
    refused = tuple(Evidence(name=r.method, value=r.reason, source="socket(2)") for r in record.refused)
    groups = around.sysctls.get(GROUP_SYSCTL)
    setting = (Evidence(name=GROUP_SYSCTL, value=groups, source="sysctl"),)
    return Finding(
        code="icmp-not-permitted",
        severity="info",
        subject=record.address,
        message=f"{record.address} was probed by UDP, because this user may open no ICMP socket",
        evidence=refused + (setting if groups is not None else ()),
        hint="That the address answers is certain; whether it answers echo requests was not tested.",
        fix=None,
        see=("icmp(7)", "capabilities(7)"),
    )


def _counts(record: PingRecord) -> Evidence:
    value = f"{record.sent} sent, {record.received} received, {record.not_sent} not sent"
    return Evidence(name="probes", value=value, source=f"{record.method or 'no'} socket")


def _plain(code: str, severity: str, record: PingRecord, message: str, hint: str | None) -> Finding:
    return Finding(
        code=code,
        severity=severity,
        subject=record.address,
        message=message,
        evidence=(_counts(record),),
        hint=hint,
        fix=None,
        see=(),
    )
