"""Tables of interfaces, and of how one was changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lodiag.model.net import FOREVER_S
from lodiag.render.cells import Table
from lodiag.render.escaping import text
from lodiag.render.flows import size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lodiag.model import Report
    from lodiag.model.iface import IfaceAddress, IfaceChange, IfaceRecord, IfaceSetting, IfaceSummary
    from lodiag.model.net import Qdisc, Route, Rule

_Rows = tuple[list[str], list[list[str]]]

NOTHING = "loopback interface"
NUMBERS = frozenset({"mtu", "bytes", "packets", "errors", "dropped", "priority", "ms"})

_STATUSES = {
    "changed": "done",
    "unchanged": "unchanged: it is so already",
    "planned": "not done: this is what would be",
}


def headline(report: Report[Any, IfaceSummary]) -> str | None:
    """Say what became of a change."""
    change = report.summary.change
    return None if change is None else f"{text(change.interface)} {change.action}: {_STATUSES[change.status]}"


def lay_out(report: Report[IfaceRecord, IfaceSummary]) -> list[Table]:
    """Make the tables that have any row: of a change the commands, packets and addresses."""
    drawn = _list_tables(report.records, report.summary)
    return [Table(headers, rows, frozenset(headers) & NUMBERS) for headers, rows in drawn if rows]


def _list_tables(records: Sequence[IfaceRecord], summary: IfaceSummary) -> Iterator[_Rows]:
    """Headers and rows of each table."""
    if summary.change is not None:
        yield _list_commands(summary.change)
        yield _list_packets(summary.change)
    yield _list_links(records)
    yield _list_addresses(records)
    if summary.change is None:
        yield _list_counters(records)
        yield _list_routes(summary.routes or ())
        yield _list_rules(summary.rules or ())
        yield _list_settings(summary.settings)


def _list_commands(change: IfaceChange) -> _Rows:
    lines = [["the same as", command] for command in change.commands] + [["undo", line] for line in change.undo]
    return ["", "command"], [[kind, text(command)] for kind, command in lines]


def _list_packets(change: IfaceChange) -> _Rows:
    rows = [
        [
            f"{packet.address}, {packet.size_bytes} bytes",
            "-" if packet.rtt_ms is None else f"{packet.rtt_ms:.3f}",
            "came back" if packet.error is None else packet.error,
        ]
        for packet in change.packets
    ]
    return ["packet", "ms", "status"], rows


def _list_links(records: Sequence[IfaceRecord]) -> _Rows:
    rows = [
        [text(r.ifname), ",".join(r.flags) or "-", text(r.operstate), text(r.mtu), _queue(r.qdisc, r.queue)]
        for r in records
    ]
    return ["interface", "flags", "state", "mtu", "qdisc"], rows


def _queue(name: str | None, queue: Qdisc | None) -> str:
    """Write a qdisc, with what it does to packets."""
    if queue is None:
        return text(name)
    told = {
        "rate": None if queue.rate_bps is None else f"{queue.rate_bps:,} bit/s",
        "delay": None if queue.delay_ms is None else f"{queue.delay_ms:g} ms",
        "loss": None if not queue.loss_ratio else f"{queue.loss_ratio:.2%}",
        "dropped": queue.drops or None,
    }
    return " ".join([text(queue.kind), *(f"{word} {value}" for word, value in told.items() if value is not None)])


def _list_addresses(records: Sequence[IfaceRecord]) -> _Rows:
    rows = [
        [
            text(r.ifname),
            _with_prefix(address),
            address.kind,
            text(address.scope),
            text(address.label),
            _lifetime(address),
        ]
        for r in records
        for address in r.addr_info
    ]
    return ["interface", "address", "kind", "scope", "label", "lifetime"], rows


def _with_prefix(address: IfaceAddress) -> str:
    """Write an address as ip(8) does."""
    bits = "" if address.prefixlen is None else f"/{address.prefixlen}"
    return f"{address.local} peer {address.address}{bits}" if address.address else f"{address.local}{bits}"


def _lifetime(address: IfaceAddress) -> str:
    """Write how long an address is valid, and what it is besides."""
    valid = address.valid_life_time
    words = [] if valid is None else ["forever" if valid == FOREVER_S else f"{valid} s"]
    return " ".join([*words, *_list_states(address)]) or "-"


def _list_states(address: IfaceAddress) -> Iterator[str]:
    for name in ("secondary", "tentative", "dadfailed", "deprecated"):
        if getattr(address, name):
            yield name


def _list_counters(records: Sequence[IfaceRecord]) -> _Rows:
    rows = [
        [f"{text(r.ifname)} {way}", size(c.bytes), *(str(count) for count in (c.packets, c.errors, c.dropped))]
        for r in records
        if r.stats64
        for way, c in (("received", r.stats64.rx), ("sent", r.stats64.tx))
    ]
    return ["counted", "bytes", "packets", "errors", "dropped"], rows


def _list_routes(routes: Sequence[Route]) -> _Rows:
    rows = [
        [
            route.dst if route.src is None else f"{route.dst} from {route.src}",
            route.type,
            route.table,
            " ".join(filter(None, (route.gateway and f"via {route.gateway}", text(route.dev)))),
            text(route.prefsrc),
        ]
        for route in routes
    ]
    return ["route", "type", "table", "to", "from"], rows


def _list_rules(rules: Sequence[Rule]) -> _Rows:
    rows = [[str(rule.priority), rule.family, _write_rule(rule), _write_action(rule)] for rule in rules]
    return ["priority", "family", "rule", "action"], rows


def _write_rule(rule: Rule) -> str:
    """Write what a rule is for, in the words of ip(8)."""
    told = {
        "from": rule.src if rule.srclen is None else f"{rule.src}/{rule.srclen}",
        "to": rule.dst if rule.dstlen is None else f"{rule.dst}/{rule.dstlen}",
        "iif": rule.iif,
        "oif": rule.oif,
        "fwmark": rule.fwmark if rule.fwmask is None else f"{rule.fwmark}/{rule.fwmask}",
        "tos": rule.tos,
        "ipproto": rule.ipproto,
        "sport": None if rule.sport is None else "-".join(map(str, rule.sport)),
        "dport": None if rule.dport is None else "-".join(map(str, rule.dport)),
        "uidrange": None if rule.uids is None else "-".join(map(str, rule.uids)),
    }
    words = [f"{word} {text(value)}" for word, value in told.items() if value is not None]
    return " ".join([*(["not"] if rule.inverted else []), *words])


def _write_action(rule: Rule) -> str:
    target = "l3mdev" if rule.l3mdev else rule.table if rule.action == "lookup" else rule.goto
    return rule.action if target is None else f"{rule.action} {target}"


def _list_settings(settings: Sequence[IfaceSetting]) -> _Rows:
    rows = [[text(s.name), text(s.value) or "(none)", "" if s.note is None else s.note] for s in settings]
    return ["parameter", "value", "note"], rows
