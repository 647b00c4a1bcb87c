"""Tables of hops: one for each method."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from lodiag.render.cells import Table, milliseconds, percent
from lodiag.render.escaping import text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lodiag.model import Report
    from lodiag.model.trace import HopProbe, HopRecord, TraceSummary

NOTHING = "hops"


def headline(report: Report[Any, TraceSummary]) -> str:
    """Say what was traced, how, and which way the kernel sends it."""
    found = report.summary
    name = text(found.target) if found.target == found.address else f"{text(found.target)} ({found.address})"
    port = "" if found.port is None else f", port {found.port}"
    methods = " and ".join(each.method for each in found.methods) or found.method
    return f"trace of {name} by {methods}{port}{_way(found)}"


def _way(found: TraceSummary) -> str:
    """The kernel's route, in the words of ip-route(8), or where it is not told the interface's mtu."""
    route = found.route
    path = "" if found.path_mtu_bytes is None else f"packets of {found.path_mtu_bytes} bytes pass"
    if route is None:
        own = "" if found.interface is None else f"{text(found.interface)} has mtu {found.mtu_bytes}"
        told = "; ".join(filter(None, (own, path)))
        return f"\n{told}" if told else ""
    if route.type is None:
        return f"\nno route: {route.errno}"
    table = None if route.table in {"local", "main"} else route.table  # which of the two is not certain
    parts = {"via": route.gateway, "dev": route.dev, "table": table, "src": route.prefsrc, "mtu": route.mtu}
    told = "".join(f" {name} {text(value)}" for name, value in parts.items() if value is not None)
    return "\n" + "; ".join(filter(None, (f"route: {route.type}{told}", path)))


def lay_out(report: Report[HopRecord, Any]) -> list[Table]:
    """Make a table of each method, which names it where there are several."""
    is_sized = any(record.mtu_bytes is not None for record in report.records)
    rows = [
        [
            str(r.hop),
            text(r.address),
            text(r.interface),
            text(r.reply_ttl),
            str(r.sent),
            percent(r.loss_ratio),
            milliseconds(r.rtt_min_ms),
            milliseconds(r.rtt_avg_ms),
            milliseconds(r.rtt_max_ms),
            *([text(r.mtu_bytes)] if is_sized else []),
            " ".join(dict.fromkeys(write_status(p) for p in r.probes)),
        ]
        for r in report.records
    ]
    headers = ["address", "by", "ttl", "sent", "loss", "min ms", "avg", "max", *["mtu"] * is_sized, "status"]
    methods = [r.method for r in report.records]
    first = {method: method if len(set(methods)) > 1 else "hop" for method in methods}
    return [
        Table(
            [first[method], *headers],
            list(_fold([row for row, own in zip(rows, methods, strict=True) if own == method])),
            frozenset({first[method], *headers} - {"address", "by", "status"}),
        )
        for method in first
    ]


def write_status(probe: HopProbe) -> str:
    """What became of a probe: of an ICMP error its type and code, of what was not sent the reason."""
    if probe.status == "unreachable" and probe.icmp_type is not None:
        return f"{probe.status} ({probe.icmp_type}/{probe.icmp_code})"
    return probe.error or probe.status


def _fold(rows: list[list[str]]) -> Iterator[list[str]]:
    """Write successive hops that differ in nothing but their number as one row, as in 2-30."""
    for cells, alike in groupby(rows, key=lambda row: row[1:]):
        hops = [row[0] for row in alike]
        yield [hops[0] if len(hops) == 1 else f"{hops[0]}-{hops[-1]}", *cells]
