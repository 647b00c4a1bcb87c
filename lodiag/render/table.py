"""Tables for a person: the records, then what was found and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lodiag.render.cells import milliseconds
from lodiag.render.escaping import printable
from lodiag.render.fitting import draw, spell
from lodiag.render.layout import closing, headline, lay_out, note, tell_nothing
from lodiag.render.prose import clamp, wrap

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lodiag.model import Finding, Report
    from lodiag.model.ping import PingReply

_MARGIN = " " * 6
SCREEN = 20
"""Rows that, with what is around them, a terminal of 24 lines has room for."""


def render(
    report: Report[Any, Any], columns: Sequence[str] = (), width: int | None = None, encoding: str | None = None
) -> str:
    """Write a report for a terminal of ``width`` columns; without one for a pipe, where each row is one line.

    What ``encoding`` cannot spell is escaped before it is measured, so that no column slips.
    """
    if report.command == "check":
        from lodiag.render import verdict

        return verdict.render(report.summary.verdict, report.records, clamp(width))
    tables = lay_out(report, columns)
    parts = _wrap_lines(headline(report), clamp(width))
    parts += [draw(spell(table, encoding), width) for table in tables] or [tell_nothing(report)]
    if width is not None and sum(len(table.rows) for table in tables) > SCREEN:
        parts += _wrap_lines(closing(report), clamp(width))
    parts += ["\n".join(_describe(finding, clamp(width))) for finding in report.findings]
    parts += ["\n".join(wrap(f"note: {note(item)}", clamp(width))) for item in report.missing]
    return "\n\n".join(parts) + "\n"


def _wrap_lines(text: str | None, width: int) -> list[str]:
    lines = (text or "").splitlines()
    return ["\n".join(part for line in lines for part in wrap(line, width, indent=""))] if lines else []


def _describe(finding: Finding, width: int) -> Iterator[str]:
    yield from wrap(f"{finding.severity:<4}  {finding.code}: {printable(finding.message)}", width, indent=_MARGIN)
    for item in finding.evidence:
        value = "-" if item.value is None else printable(str(item.value))
        yield from wrap(f"{item.name}: {value} ({item.source})", width, _MARGIN, f"{_MARGIN}  ")
    for said in (getattr(finding, "impact", None), finding.hint):  # the first is of findings of doctor alone
        if said:
            yield from wrap(printable(said), width, _MARGIN)
    if finding.fix:
        root = " (as root)" if finding.fix.needs_root else ""
        for command in finding.fix.commands:
            yield f"{_MARGIN}fix{root}: {printable(command)}"
        for command in finding.fix.undo:
            yield f"{_MARGIN}undo: {printable(command)}"
    yield from _describe_further(finding, width)
    if finding.see:
        yield from wrap(f"see: {', '.join(finding.see)}", width, _MARGIN, f"{_MARGIN}  ")


def _describe_further(finding: Finding, width: int) -> Iterator[str]:
    """Write what the findings of doctor have besides."""
    for command in getattr(finding.fix, "persistent", ()):
        yield f"{_MARGIN}to keep it: {printable(command)}"
    explained, confidence = getattr(finding, "explains", ()), getattr(finding, "confidence", "certain")
    if explained:
        yield from wrap(f"also explains: {', '.join(explained)}", width, _MARGIN, f"{_MARGIN}  ")
    if confidence != "certain":
        yield f"{_MARGIN}confidence: {confidence}"


def render_reply(target: str, address: str, reply: PingReply) -> str:
    """Write the fate of one probe as a line, in the words of ping(8)."""
    del target
    if reply.status in {"received", "late", "corrupted"}:
        size = "" if reply.size_bytes is None else f"{reply.size_bytes} bytes "
        ttl = "" if reply.reply_ttl is None else f" ttl={reply.reply_ttl}"
        note = "" if reply.status == "received" else f" ({reply.status})"
        user = "" if reply.clock == "user" else f" user={milliseconds(reply.rtt_user_ms)} ms"
        time = f"time={milliseconds(reply.rtt_ms)} ms{user}"
        return f"{size or 'reply '}from {address}: seq={reply.seq}{ttl} {time}{note}"
    if reply.status == "unreachable":
        kind = "" if reply.icmp_type is None else _kind(reply)
        return f"from {reply.reply_from or address}: seq={reply.seq} {reply.error}{kind}"
    if reply.status == "not-sent":
        error = "" if reply.icmp_type is None else f"; from {reply.reply_from or address}{_kind(reply)}"
        return f"{address}: seq={reply.seq} not sent: {reply.error}{error}"
    return f"{address}: seq={reply.seq} no reply ({_PLACES.get(reply.reached or '', reply.error)})"


_PLACES = {
    "socket": "timeout; it never came to the queue",
    "queue": "timeout; it never left the queue",
    "interface": "timeout; it was sent",
}


def _kind(reply: PingReply) -> str:
    return f" (ICMP type {reply.icmp_type} code {reply.icmp_code})"
