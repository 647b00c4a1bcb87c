"""Who gets what is sent to each address, and who owns the sockets that do."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from lodiag.render.cells import Table
from lodiag.render.columns import endpoint, owners
from lodiag.render.escaping import text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lodiag.model import Report
    from lodiag.model.who import WhoRecord, WhoSocket, WhoSummary

NOTHING = "addresses"


def headline(report: Report[Any, WhoSummary]) -> str:
    """Give the verdict."""
    return text(report.summary.verdict)


def lay_out(report: Report[WhoRecord, Any]) -> list[Table]:
    """Who gets what is sent to each address; then those sockets, and who owns them since when."""
    from lodiag.model.conns import Endpoint

    rows = [
        [
            r.proto,
            endpoint(Endpoint(address=r.address, port=r.port)),
            "yes" if r.answered else "?" if r.answered is None else "no" if r.status == "refused" else r.status,
            endpoint(r.socket.local, r.socket.interface) if r.socket else "-",
            "-" if r.how is None else r.how.removesuffix("-wildcard"),
            *_queue(r.socket),
        ]
        for r in report.records
    ]
    headers = ["proto", "asked", "answered", "by", "bound as", "queue", "drops"]
    sockets = list(dict.fromkeys(item for r in report.records if r.socket for item in r.shared_by or (r.socket,)))
    return [Table(headers, rows, frozenset({"queue", "drops"})), *([_who_owns(sockets)] if sockets else [])]


def _who_owns(sockets: Sequence[WhoSocket]) -> Table:
    """Tell of sockets; those of one group that differ in nothing shown are one row."""
    headers = ["socket", "started", "process", "unit"]
    rows = [
        [
            f"{item.proto} {endpoint(item.local, item.interface)}",
            min((owner.started_at for owner in item.owners or () if owner.started_at), default="-"),
            owners(item.owners, item.no_owner)
            if item.owners is not None or item.user is None
            else f"? of user {text(item.user)}",
            text(item.container or item.unit),
        ]
        for item in sockets
    ]
    if any(owner.cmdline is not None for item in sockets for owner in item.owners or ()):
        headers.append("cmdline")
        for cells, item in zip(rows, sockets, strict=True):
            cells.append("; ".join(text(owner.cmdline) for owner in item.owners or ()) or "-")
    alike = Counter(map(tuple, rows))
    folded = [[f"{count} x {row[0]}" if count > 1 else row[0], *row[1:]] for row, count in alike.items()]
    return Table(headers, folded, frozenset())


def _queue(item: WhoSocket | None) -> tuple[str, str]:
    """Length and limit of the accept queue, and what was dropped."""
    if item is None:
        return "-", "-"
    return "-" if item.accept_queue is None else f"{item.accept_queue}/{text(item.backlog)}", text(item.drops)
