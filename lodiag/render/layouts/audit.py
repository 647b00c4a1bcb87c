"""The table of services, and how far each can be reached."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from lodiag.render.cells import Table
from lodiag.render.columns import endpoint, owners
from lodiag.render.escaping import text

if TYPE_CHECKING:
    from lodiag.model import Report
    from lodiag.model.audit import AuditRecord, AuditSummary

NOTHING = "sockets"


def headline(report: Report[Any, AuditSummary]) -> str:
    """Give the verdict."""
    return text(report.summary.verdict)


def lay_out(report: Report[AuditRecord, Any]) -> list[Table]:
    """Tell how each socket is bound; those that differ in nothing shown are one row."""
    headers = ["proto", "local", "exposure", "peers", "process", "unit"]
    rows = [
        [
            f"{r.proto}6" if r.family == "ipv6" else r.proto,
            endpoint(r.local, r.interface),
            f"{r.exposure} (opened)" if r.opened_by else r.exposure,
            "-" if not r.peers else f"{r.local_peers}/{r.peers} local",
            owners(r.owners) if r.owners is not None or r.user is None else f"? of user {text(r.user)}",
            text(r.container or (r.unit and r.unit.removesuffix(".service"))),
        ]
        for r in report.records
    ]
    alike = Counter(map(tuple, rows))
    folded = [[f"{count} x {row[0]}" if count > 1 else row[0], *row[1:]] for row, count in alike.items()]
    if all(row[-1] == "-" for row in folded):
        headers, folded = headers[:-1], [row[:-1] for row in folded]
    return [Table(headers, folded, frozenset())]
