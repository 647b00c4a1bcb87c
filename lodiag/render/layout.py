"""Which columns a person sees of each command's report: shared by the formats that are tables."""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from lodiag.render.columns import TEXT, USUAL, endpoint, owners, processes_of, write_column
from lodiag.render.escaping import text
from lodiag.render.flows import ESTAB, node, port, queues, size, states

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lodiag.model import Missing, Report
    from lodiag.model.audit import AuditRecord
    from lodiag.model.check import CheckRecord
    from lodiag.model.conns import ConnRecord, Owner
    from lodiag.model.doctor import DiagnosisRecord, DoctorSummary
    from lodiag.model.iface import IfaceRecord, IfaceSummary
    from lodiag.model.map import FlowRecord
    from lodiag.model.ping import PingRecord
    from lodiag.model.trace import HopProbe, HopRecord, TraceSummary
    from lodiag.model.who import WhoRecord, WhoSocket


class Table(NamedTuple):
    """Headers and rows of text; the columns in ``right`` are numbers, and are aligned so."""

    headers: list[str]
    rows: Sequence[Sequence[str]]
    right: frozenset[str]


def lay_out(report: Report[Any, Any], columns: Sequence[str] = ()) -> list[Table]:
    """Tables for the records of a report; none where there is no record. ``columns`` are those of sockets to show."""
    if not report.records:
        return []
    if report.command == "doctor":
        return _doctor(report, is_verbose=bool(columns))
    return _conns(report, columns) if report.command == "conns" else _LAYOUTS[report.command](report)


def headline(report: Report[Any, Any]) -> str | None:
    """Lines above the tables, where the summary says what they do not."""
    write = _HEADLINES.get(report.command)
    return None if write is None else write(report)


def _head_ping(report: Report[PingRecord, Any]) -> str | None:
    from lodiag.render import pings

    return pings.headline(report)


def _head_bench(report: Report[Any, Any]) -> str | None:
    from lodiag.render import bench

    return bench.headline(report)


def _head_iface(report: Report[Any, IfaceSummary]) -> str | None:
    from lodiag.render import ifaces

    return ifaces.tell_change(report.summary.change)


def _head_trace(report: Report[Any, TraceSummary]) -> str:
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
        return f"\nno route: {route.error}"
    table = None if route.table in {"local", "main"} else route.table  # which of the two is not certain
    parts = {"via": route.gateway, "dev": route.dev, "table": table, "src": route.prefsrc, "mtu": route.mtu}
    told = "".join(f" {name} {text(value)}" for name, value in parts.items() if value is not None)
    return "\n" + "; ".join(filter(None, (f"route: {route.type}{told}", path)))


def note(item: Missing) -> str:
    """Say what could not be seen."""
    sockets = "socket" if item.count == 1 else "sockets"
    count = "" if item.count is None else f" of {item.count} {sockets}"
    return f"{item.what}{count} cannot be seen: {item.why}"


def milliseconds(value: float | None) -> str:
    """Write a time to the microsecond."""
    return "-" if value is None else f"{value:.3f}"


def percent(ratio: float | None) -> str:
    """Write a ratio as a percentage, with enough digits that little is not shown as none, nor almost all as all."""
    if ratio is None:
        return "-"
    digits = next(d for d in (4, 7, 12) if ratio == 1 or f"{ratio * 100:.{d}g}" != "100")
    return f"{ratio * 100:.{digits}g} %"


def _ping(report: Report[PingRecord, Any]) -> list[Table]:
    from lodiag.render import pings

    return pings.lay_out(report)


def _trace(report: Report[HopRecord, Any]) -> list[Table]:
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


def _conns(report: Report[ConnRecord, Any], chosen: Sequence[str]) -> list[Table]:
    records = report.records
    columns = list(chosen or USUAL)
    owned = processes_of(records)
    if "cmdline" not in columns and any(owner.cmdline is not None for owner in _list_different(owned)):
        columns.append("cmdline")
    was_asked = owned.count(None) < len(owned) or any(item.what == "owners" for item in report.missing)
    if not was_asked and not chosen:
        columns = [name for name in columns if name not in {"user", "process"}]
    rows = [*zip(*(write_column(records, name) for name in columns), strict=True)]
    return [Table(columns, rows, frozenset(columns) - TEXT)]


def _list_different(owned: Sequence[Sequence[Owner] | None]) -> Iterator[Owner]:
    """List owners; what is one object is listed once, as sockets of a process share it."""
    for found in {id(found): found for found in owned}.values():
        yield from found or ()


def _who(report: Report[WhoRecord, Any]) -> list[Table]:
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
    sockets = list(dict.fromkeys(item for r in report.records if r.socket for item in r.group or (r.socket,)))
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


def _map(report: Report[FlowRecord, Any]) -> list[Table]:
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


def _iface(report: Report[IfaceRecord, IfaceSummary]) -> list[Table]:
    from lodiag.render import ifaces

    drawn = ifaces.list_tables(report.records, report.summary)
    return [Table(headers, rows, frozenset(headers) & ifaces.NUMBERS) for headers, rows in drawn if rows]


def _bench(report: Report[Any, Any]) -> list[Table]:
    from lodiag.render import bench

    return [Table(*parts) for parts in bench.tables(report)]


def _check(report: Report[CheckRecord, Any]) -> list[Table]:
    rows = [
        [text(r.status), text(r.id), text(r.message), "-" if r.elapsed_ms is None else f"{r.elapsed_ms:.1f}"]
        for r in report.records
    ]
    return [Table(["status", "check", "result", "ms"], rows, frozenset({"ms"}))]


def _audit(report: Report[AuditRecord, Any]) -> list[Table]:
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


def _doctor(report: Report[DiagnosisRecord, DoctorSummary], *, is_verbose: bool) -> list[Table]:
    """Tell of each family of diagnoses, or of each diagnosis; then what was done."""
    if is_verbose:
        headers = ["group", "diagnosis", "outcome", "measured"]
        rows = [[r.group, r.diagnosis, r.severity or r.outcome, text(r.why or r.measured)] for r in report.records]
    else:
        headers = ["group", "outcome", "measured"]
        rows = [[g.group, g.severity or g.outcome, text(g.told)] for g in report.summary.groups]
    tables = [Table(headers, rows, frozenset())]
    if report.summary.repairs:
        done = [
            [r.code, text(r.command), text(r.failure) if r.failure else "done", text("; ".join(r.undo) or None)]
            for r in report.summary.repairs
        ]
        tables.append(Table(["repair of", "command", "outcome", "undo"], done, frozenset()))
    return tables


_LAYOUTS: dict[str, Callable[[Report[Any, Any]], list[Table]]] = {
    "ping": _ping,
    "trace": _trace,
    "bench": _bench,
    "who": _who,
    "map": _map,
    "iface": _iface,
    "check": _check,
    "audit": _audit,
}

_HEADLINES: dict[str, Callable[[Report[Any, Any]], str | None]] = {
    "who": lambda report: text(report.summary.sentence),
    "ping": _head_ping,
    "bench": _head_bench,
    "check": lambda report: text(report.summary.verdict),
    "audit": lambda report: text(report.summary.verdict),
    "iface": _head_iface,
    "doctor": lambda report: text(report.summary.verdict),
    "trace": _head_trace,
}
