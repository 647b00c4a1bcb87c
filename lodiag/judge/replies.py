"""What is odd about the replies that an address gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.judge.silence import tell
from lodiag.model import Evidence, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lodiag.model.ping import PingRecord
    from lodiag.system.facts import Setting

USUAL_TTL = 64
"""Which Linux, macOS and the BSDs send with if they are not told otherwise (RFC 1700 "IP TIME TO LIVE")."""

LEAST_REORDERED_RATIO = 0.01
"""On a busy machine a processor may come late to what it was given, so that of thousands of replies a few are late."""


def judge_replies(record: PingRecord, settings: Mapping[str, Setting]) -> Iterator[Finding]:
    """Judge where replies come from, by how many hops, and in which order."""
    if record.received and record.strays:
        message = f"{record.strays} replies to probes of {record.address} came from another address"
        yield _make(
            "reply-from-elsewhere", record, message, "A rule rewrites sources, or redirects what is sent there."
        )
    if record.received and record.reordered / record.received > LEAST_REORDERED_RATIO:
        message = f"{record.address}: {record.reordered} of {record.received} replies came after those to later probes"
        yield _make(
            "reordered", record, message, "Is there a queue that does not keep the order, or a path off this host?"
        )
    yield from _judge_ttl(record, settings)


def _judge_ttl(record: PingRecord, settings: Mapping[str, Setting]) -> Iterator[Finding]:
    setting = settings.get(f"default-ttl-{record.family}")
    least, most = record.reply_ttl_min, record.reply_ttl_max
    if setting is None or not (setting.value or "").isdigit() or least is None or most is None:
        return
    if not least == most == int(setting.value or 0):
        found = str(least) if least == most else f"{least} to {most}"
        message = f"replies from {record.address} have TTL {found}, and this host sends with {setting.value}"
        hint = f"They come from another host, or something rewrites them. See: lodiag trace {record.address}"
        yield _make("unexpected-ttl", record, message, hint, tell(setting))


def has_usual_ttl(record: PingRecord) -> bool:
    """Whether all replies have the TTL of an untouched system, so that its setting need not be read."""
    return {record.reply_ttl_min, record.reply_ttl_max} <= {None, USUAL_TTL}


def _make(code: str, record: PingRecord, message: str, hint: str, *evidence: Evidence) -> Finding:
    counts = f"{record.sent} sent, {record.received} received"
    return Finding(
        code=code,
        severity="warn",
        subject=record.address,
        message=message,
        evidence=(Evidence(name="probes", value=counts, source=f"{record.method} socket"), *evidence),
        hint=hint,
        fix=None,
        see=(),
    )
