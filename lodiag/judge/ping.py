"""What the records of ``ping`` mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.dataclass import replace
from lodiag.judge.delays import judge_delays
from lodiag.judge.icmp_errors import tell_icmp_error
from lodiag.judge.places import DROPPED, find_place, hint_at, tell_places
from lodiag.judge.replies import judge_replies
from lodiag.judge.silence import LOOK_AT_RULES, Silence, judge_silence, make_finding, tell, tell_errno
from lodiag.model import Evidence, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lodiag.judge.silence import Surroundings
    from lodiag.model.ping import PingRecord


LEAST_LOSS_STEP = 1e-9
"""Two ratios of losses differ by no less, since no more than 1e9 probes are sent; 0.7 percent of 1000 is not over 7."""

MOST_OUTAGES_SHOWN = 3
"""Of which a finding gives the times; the record has more."""

LEAST_DELAYED = 3
"""Replies of which the median is no single wait: what is sent to many addresses at once waits at once."""

LONG_DELAY_MS = 1.0
"""Ten times what this process takes for a probe after a pause, with cold caches: 0.1 ms on a slow virtual machine."""


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
        silence = Silence(address=record.address, family=record.family, error=error, evidence=_met(record))
        finding = judge_silence(silence, surroundings, "warn" if others_answered else "fail")
        place = hint_at(record) if finding.code == "timeout" else None
        yield finding if place is None else replace(finding, hint=f"{place} {finding.hint}")
    else:
        yield from _judge_losses(record)
    yield from _judge_oddities(record)
    yield from judge_replies(record, surroundings.settings)
    yield from judge_delays(record)
    yield from _judge_limits(record, max_loss_ratio, max_rtt_ms)
    yield from _judge_clock(record)
    if record.method == "udp" and record.refused:
        yield _judge_refusal(record, surroundings)


def _judge_losses(record: PingRecord) -> Iterator[Finding]:
    """Judge what was refused, and what was lost, of an address that answers other probes."""
    if record.not_sent:
        finding = make_finding(record.error or "send-failed", "fail", record.address, _met(record))
        part = f"this met {record.not_sent} of {record.sent + record.not_sent} probes"
        yield replace(finding, message=f"{finding.message}; {part}")
    if record.lost:
        message = f"{record.lost} of {record.sent} probes to {record.address} were lost"
        finding = _plain("loss", "warn", record, message, f"On a loopback none should be. {_where(record)}")
        yield replace(finding, evidence=_met(record))


def name_silence(record: PingRecord, around: Surroundings) -> PingRecord:
    """Tell apart what is silence all the same: dropped on the way out, ignored by the kernel, lost."""
    if record.error != "timeout" or record.received:
        return record
    place = find_place(record)
    is_down = around.interfaces is not None and not any(interface.is_up for interface in around.interfaces)
    if place in DROPPED and not is_down:  # what is down drops as a queue does
        return replace(record, error=DROPPED[place])
    is_echo = (record.method or "").startswith("icmp")
    if is_echo and around.settings[f"echo-ignored-{record.family}"].value == "1":
        return replace(record, error="icmp-ignored")
    return record


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
    if max_loss_ratio is not None and loss is not None and loss - max_loss_ratio > LEAST_LOSS_STEP / 2:
        message = f"{record.address}: {loss:.4%} of the probes were lost, and the limit is {max_loss_ratio:.4%}"
        yield _plain("loss-over-limit", "fail", record, message, None)
    if max_rtt_ms is not None and rtt is not None and rtt > max_rtt_ms:
        message = f"{record.address}: a round trip took {rtt:.3f} ms, and the limit is {max_rtt_ms:g} ms"
        yield _plain("rtt-over-limit", "fail", record, message, None)


def _judge_clock(record: PingRecord) -> Iterator[Finding]:
    """Say which times are less true than the others, and how long this process waits after the kernel is done."""
    if record.lesser_clock:
        message = f"{record.address}: {record.lesser_clock} of {record.received} round trips are by a lesser clock"
        hint = "Their stamps were missing, or the wall clock was set: their times include what this process took."
        yield _plain("lesser-clock", "info", record, message, hint)
    kernel_ms, user_ms = record.rtt_p50_ms, record.rtt_user_p50_ms
    if record.timed < LEAST_DELAYED or kernel_ms is None or user_ms is None:
        return
    if user_ms - kernel_ms > LONG_DELAY_MS:
        delay_ms = user_ms - kernel_ms
        message = f"{record.address} answers in {kernel_ms:.3f} ms, which this process learns {delay_ms:.3f} ms later"
        hint = "The machine is busy, or this process may use little of it: what waits for the loopback waits as long."
        times = (("the kernel", kernel_ms), ("this process", user_ms))
        evidence = tuple(Evidence(name=f"median by {who}", value=f"{ms:.3f} ms", source="ping") for who, ms in times)
        finding = _plain("scheduling-delay", "warn", record, message, hint)
        yield replace(finding, evidence=(*finding.evidence, *evidence))


def _judge_refusal(record: PingRecord, around: Surroundings) -> Finding:
    """Say that UDP stands in for echo, which this user may not send."""
    refused = tuple(Evidence(name=r.method, value=r.why, source="socket(2)") for r in record.refused)
    groups = around.settings["icmp-groups"]
    return Finding(
        code="icmp-denied",
        severity="info",
        subject="icmp",
        message="UDP was used to probe, because this user may open no ICMP socket",
        evidence=refused + ((tell(groups),) if groups.value is not None else ()),
        hint="What answers is reachable; whether it answers echo requests was not tested.",
        fix=None,
        see=(),
    )


def _measured(record: PingRecord) -> tuple[Evidence, ...]:
    value = f"{record.sent} sent, {record.received} received, {record.not_sent} not sent"
    return Evidence(name="probes", value=value, source=f"{record.method or 'no'} socket"), *tell_errno(record.errno)


def _met(record: PingRecord) -> tuple[Evidence, ...]:
    """What probes that were not answered met instead."""
    error = tell_icmp_error(record.family, record.icmp_type, record.icmp_code, record.icmp_from)
    outages = (
        Evidence(
            name=f"outage from {outage.started_at} to {outage.ended_at}", value=f"{outage.count} probes", source="ping"
        )
        for outage in record.outages[:MOST_OUTAGES_SHOWN]
    )
    shown = outages if record.received else ()
    return *_measured(record), *((error,) if error else ()), *tell_places(record), *shown


def _where(record: PingRecord) -> str:
    if record.icmp_from:
        return f"An ICMP error tells of some. {LOOK_AT_RULES}"
    return hint_at(record) or LOOK_AT_RULES


def _plain(code: str, severity: str, record: PingRecord, message: str, hint: str | None) -> Finding:
    return Finding(
        code=code,
        severity=severity,
        subject=record.address,
        message=message,
        evidence=_measured(record),
        hint=hint,
        fix=None,
        see=(),
    )
