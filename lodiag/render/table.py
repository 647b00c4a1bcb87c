"""Tables for a person: the records, then what was found and what to do about it."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Any

from lodiag.render.cells import milliseconds
from lodiag.render.escaping import printable
from lodiag.render.layout import headline, lay_out, note, tell_nothing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lodiag.model import Finding, Report
    from lodiag.model.ping import PingReply
    from lodiag.render.cells import Table

WIDTH = 80
_MARGIN = 6
MOST_TABULATED = 1000
"""Rows that somebody may still read, and that are aligned for it if characters are wide."""


def render(report: Report[Any, Any], columns: Sequence[str] = ()) -> str:
    """Write a report for a terminal of 80 columns."""
    if report.command == "check":
        from lodiag.render import verdict

        return verdict.render(report.summary.verdict, report.records)
    head = headline(report)
    parts = ["\n".join(_wrap(line, "") for line in head.splitlines())] if head else []
    parts += [_draw(table) for table in lay_out(report, columns)] or [tell_nothing(report)]
    parts += [_describe(finding) for finding in report.findings]
    for item in report.missing:
        parts.append(_wrap(f"note: {note(item)}", ""))
    return "\n\n".join(parts) + "\n"


def _draw(table: Table) -> str:
    if len(table.rows) > MOST_TABULATED or all(cell.isascii() for row in table.rows for cell in row):
        return _draw_narrow(table)
    from tabulate import tabulate  # knows which characters take two columns

    alignment = ["right" if header in table.right else "left" for header in table.headers]
    # As a row the headers are not padded by two columns each, which tabulate does to headers.
    drawn = tabulate([table.headers, *table.rows], tablefmt="plain", disable_numparse=True, colalign=alignment)
    return "\n".join(line.rstrip() for line in drawn.splitlines())


def _draw_narrow(table: Table) -> str:
    """Draw a table as tabulate does, which takes 25 ms to load and 40 µs a row; each character takes one column."""
    rows = [tuple(table.headers), *(tuple(cell.strip() for cell in row) for row in table.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    write = "  ".join(
        f"%{width}s" if header in table.right else f"%-{width}s"
        for header, width in zip(table.headers, widths, strict=True)
    )
    return "\n".join([(write % row).rstrip() for row in rows])


def _describe(finding: Finding) -> str:
    return "\n".join(_lines(finding))


def _lines(finding: Finding) -> Iterator[str]:
    yield _wrap(f"{finding.severity:<4}  {finding.code}: {printable(finding.message)}", " " * _MARGIN)
    for item in finding.evidence:
        value = "-" if item.value is None else printable(str(item.value))
        yield _wrap(f"{' ' * _MARGIN}{item.name}: {value} ({item.source})", " " * (_MARGIN + 2))
    if getattr(finding, "impact", None):  # which the findings of doctor alone have, as those of _further_lines
        yield _wrap(" " * _MARGIN + printable(finding.impact), " " * _MARGIN)  # type: ignore[attr-defined]
    if finding.hint:
        yield _wrap(" " * _MARGIN + printable(finding.hint), " " * _MARGIN)
    if finding.fix:
        root = " (as root)" if finding.fix.needs_root else ""
        for command in finding.fix.commands:
            yield f"{' ' * _MARGIN}fix{root}: {printable(command)}"
        for command in finding.fix.undo:
            yield f"{' ' * _MARGIN}undo: {printable(command)}"
    yield from _further_lines(finding)
    if finding.see:
        yield f"{' ' * _MARGIN}see: {', '.join(finding.see)}"


def _further_lines(finding: Finding) -> Iterator[str]:
    """Write what the findings of doctor have besides."""
    for command in getattr(finding.fix, "persistent", ()):
        yield f"{' ' * _MARGIN}to keep it: {printable(command)}"
    explained, confidence = getattr(finding, "explains", ()), getattr(finding, "confidence", "certain")
    if explained:
        yield _wrap(f"{' ' * _MARGIN}also explains: {', '.join(explained)}", " " * (_MARGIN + 2))
    if confidence != "certain":
        yield f"{' ' * _MARGIN}confidence: {confidence}"


def _wrap(text: str, indent: str) -> str:
    return fill(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


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
