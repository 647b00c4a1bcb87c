"""Tables of flows: who talks to whom, and what waits at either end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lodiag.render.cells import Table, milliseconds
from lodiag.render.flows import ESTAB, node, port, queues, size, states

if TYPE_CHECKING:
    from lodiag.model import Report
    from lodiag.model.map import FlowRecord

NOTHING = "connections"


def lay_out(report: Report[FlowRecord, Any]) -> list[Table]:
    """Tell of each flow; then of those in which bytes wait."""
    columns = ["client", "server", "port", "conns", "to server", "to client", "rtt ms", "states"]
    rows = [
        [
            node(r.client),
            node(r.server),
            port(r),
            str(r.connections),
            size(r.to_server_bytes),
            size(r.to_client_bytes),
            milliseconds(r.rtt_p50_ms),
            states(r, ESTAB),
        ]
        for r in report.records
    ]
    tables = [Table(columns, rows, frozenset(columns) - {"client", "server", "states"})]
    waiting = [
        [node(r.client), node(r.server), port(r), end, *map(size, counts)]
        for r in report.records
        for end, counts in queues(r).items()
        if any(counts)
    ]
    if waiting:
        names = ["client", "server", "port", "queues of", "recv-q", "send-q"]
        tables.append(Table(names, waiting, frozenset({"port", "recv-q", "send-q"})))
    return tables
