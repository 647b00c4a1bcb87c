"""Which process talks to which over the loopback: both ends of each connection joined, and counted by who they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.conns import list_connections
from lodiag.flows.counting import gather
from lodiag.flows.mirrors import OVER, confirm, ends_of, list_suspects
from lodiag.flows.nodes import Cast
from lodiag.flows.pairs import join
from lodiag.judge.map import judge_mirrors
from lodiag.limits import LAST_PORT, require_whole
from lodiag.model import Missing
from lodiag.model.map import MapSummary
from lodiag.report import ReportMaker
from lodiag.sockets.choosing import contains
from lodiag.sockets.describing import HIDDEN
from lodiag.sockets.options import STATES, ConnsOptions
from lodiag.system import System

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lodiag.flows.mirrors import Verdict
    from lodiag.flows.pairs import Pair
    from lodiag.model import Finding, Report
    from lodiag.model.conns import ConnRecord, ConnsSummary
    from lodiag.model.map import FlowRecord

_PASSED = "their connections began or ended while the table was read"
_UNCONFIRMED = "whether they are missing could not be confirmed: there are too many, or this system does not tell"
_STATES = frozenset(STATES) - {"bound"}
"""What is bound and does not listen talks to nobody."""


def map_flows(
    *,
    proto: str | None = None,
    process: str | None = None,
    port: int | None = None,
    source: str | None = None,
    system: System | None = None,
) -> Report[FlowRecord, MapSummary]:
    """Join both ends of every loopback connection and count them by client, server and port.

    Args:
        proto: ``tcp`` or ``udp``; ``None`` for both.
        process: Text that the name of a process at either end must contain, in any case; or that of the unit,
            container or user by which an unseen one goes.
        port: Port of the server.
        source: ``sock_diag``, ``proc`` or ``psutil``; ``None`` for the best that is to be had.
        system: The machine; a test's own stands in for it.

    Returns:
        A report with one ``FlowRecord`` per client, server and port. A TCP connection of which one end is missing, and
        was confirmed to be, is a finding.

    Raises:
        ConfigError: A filter is out of range.
        UnsupportedError: The socket table cannot be read.

    """
    ConnsOptions(proto=proto, process=process, source=source)  # which checks them
    if port is not None:
        require_whole("port", port, 0, LAST_PORT)
    machine = system or System()
    maker = ReportMaker("map", machine)

    def read() -> Report[ConnRecord, ConnsSummary]:
        return list_connections(proto=proto, states=_STATES, with_tcp=True, source=source, system=machine)

    table = read()
    records = list(table.records)
    pairs = join(records)
    partial = [item for item in table.missing if item.what != "owners"]
    verdict = confirm(list(list_suspects(pairs)), machine, source, is_partial=bool(partial))
    if verdict.there:
        records += _pick_mirrors(read().records, verdict)
        pairs = join(records)
    wanted = [pair for pair in pairs if port in {None, pair.port}]
    flows = [found for found in gather(wanted, Cast(records, pairs)) if process is None or _names(found[0], process)]
    shown = [pair for _, members in flows for pair in members]
    summary = MapSummary(
        flows=len(flows),
        connections=len(shown),
        one_sided=sum(pair.lone is not None for pair in shown),
        refused=table.summary.refused,
    )
    return maker.make(
        source=table.source,
        summary=summary,
        records=[flow for flow, _ in flows],
        findings=_judge(flows, verdict),
        missing=[*partial, *_find_missing(pairs, verdict)],
    )


def _pick_mirrors(records: Iterable[ConnRecord], verdict: Verdict) -> Iterator[ConnRecord]:
    """Take from a later reading the ends that the first did not have."""
    for record in records:
        if record.proto == "tcp" and record.state != OVER and ends_of(record)[::-1] in verdict.there:
            yield record


def _names(flow: FlowRecord, process: str) -> bool:
    """Whether an end has a name that contains a text."""
    ends = flow.client, flow.server
    names = [end.name for end in ends if end.kind != "none"] + [o.process for end in ends for o in end.owners or ()]
    return any(contains(name, process) for name in names)


def _judge(flows: Sequence[tuple[FlowRecord, Sequence[Pair]]], verdict: Verdict) -> Iterator[Finding]:
    for flow, members in flows if verdict.missing else ():
        ends = [end for end in list_suspects(members) if ends_of(end) in verdict.missing]
        if ends:
            yield judge_mirrors(flow, ends, verdict.method)


def _find_missing(pairs: Sequence[Pair], verdict: Verdict) -> Iterator[Missing]:
    """Say what was not seen, of all connections: a search by process misses those whose processes are hidden."""
    hidden = sum(end.owners is None for pair in pairs for end in {id(end): end for end in pair[:2] if end}.values())
    passing = sum(1 for _ in list_suspects(pairs)) - len(verdict.missing) - verdict.unconfirmed
    for what, count, why in (
        ("owners", hidden, HIDDEN),
        ("other ends", passing, _PASSED),
        ("other ends", verdict.unconfirmed, _UNCONFIRMED),
    ):
        if count > 0:
            yield Missing(what=what, count=count, why=why)
