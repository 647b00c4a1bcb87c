"""A list of sockets: those that are wanted, in order, with what was found of them and what could not be seen."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from lodiag.model import Missing, Refusal
from lodiag.model.conns import ConnCount, ConnRecord, ConnsSummary
from lodiag.report import ReportMaker
from lodiag.sockets.choosing import choose, choose_owned, name_users
from lodiag.sockets.describing import HIDDEN, ConnTable, Describer, leave_out_bound_elsewhere
from lodiag.sockets.ordering import sort_by_owners, sort_sockets
from lodiag.system.facts import Question

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lodiag.model import Finding, Report
    from lodiag.sockets.options import ConnsOptions
    from lodiag.sockets.snapshot import Taken
    from lodiag.system import System
    from lodiag.system.facts import SocketTable


def list_chosen(
    options: ConnsOptions, sort: str, system: System, asked: ConnsOptions | None = None
) -> Report[ConnRecord, ConnsSummary]:
    """List the sockets that checked options choose, or the more that ``asked`` does, to choose among them later."""
    maker = ReportMaker("conns", system)
    asked = asked or options
    taken = _take(asked, system) if asked.with_findings else None
    table, records = (taken.table, _pick(taken, asked, sort)) if taken else _read(asked, sort, system)
    missing = list(_find_missing(table, records, options))
    if asked.chooses_by_owner:
        records = choose_owned(records, asked, name_users(asked.user, system))
    records = sort_by_owners(records, sort)
    findings, unjudged = _judge(taken, records) if taken else ([], [])
    return maker.make(
        source=table.source,
        summary=_count(records, table),
        records=records,
        findings=findings,
        missing=[*missing, *unjudged],
    )


def _read(asked: ConnsOptions, sort: str, system: System) -> tuple[SocketTable, ConnTable]:
    """Read no more than what is wanted."""
    question = Question(
        proto=asked.proto,
        family=asked.family,
        states=asked.states,
        local_port=asked.local_port,
        remote_port=asked.remote_port,
        with_tcp=asked.with_tcp,
        port=asked.port,
        local_address=asked.local_address,
    )
    table = system.list_sockets(asked.source, question)
    rows = sort_sockets(leave_out_bound_elsewhere(choose(table.sockets, asked), system), sort)
    describer = Describer(system, asked)
    return table, ConnTable(rows, describer.find_owners(rows), describer)


def _take(asked: ConnsOptions, system: System) -> Taken:
    from lodiag.sockets.snapshot import take_snapshot

    return take_snapshot(system, asked)


def _pick(taken: Taken, asked: ConnsOptions, sort: str) -> ConnTable:
    """Pick what is wanted of all that was read."""
    places = {id(row): at for at, row in enumerate(taken.records.rows)}
    return taken.records.pick(places[id(row)] for row in sort_sockets(choose(taken.records.rows, asked), sort))


def _judge(taken: Taken, records: ConnTable) -> tuple[list[Finding], list[Missing]]:
    """Judge all sockets, and report what is about these; what could not be judged likewise."""
    from lodiag.judge.sockets import find_unjudged, judge_sockets

    judged = dict(zip(map(id, taken.records.rows), taken.snapshot.records, strict=True))
    own = [judged[id(row)] for row in records.rows]
    shown = {id(record) for record in own}
    found = [j.finding for j in judge_sockets(taken.snapshot) if any(id(record) in shown for record in j.sockets)]
    return found, list(find_unjudged(taken.snapshot, own))


def _find_missing(table: SocketTable, records: ConnTable, wanted: ConnsOptions) -> Iterator[Missing]:
    """Say what the source could not see; before a search by owner, which hidden owners would falsify."""
    if table.partial:
        yield table.partial
    asked = {
        "unit": wanted.unit is not None,
        "user": wanted.user is not None and not wanted.with_process,
        "bound": wanted.states is not None and "bound" in wanted.states,
    }
    for name, words in _UNTOLD.items():
        if asked[name] and name in table.lacks:
            yield Missing(what=words, count=None, why=f"the source {table.source} does not tell them")
    hidden = records.column("processes").count(None) if wanted.with_process else 0
    if hidden:
        yield Missing(what="owners", count=hidden, why=HIDDEN)


_UNTOLD = {
    "unit": "units and containers of sockets",
    "user": "users of sockets",
    "bound": "sockets that are bound and do not listen",
}


def _count(records: ConnTable, table: SocketTable) -> ConnsSummary:
    tally = Counter(zip(records.column("proto"), records.column("state"), strict=True))
    counts = tuple(ConnCount(proto=p, state=s, sockets=n) for (p, s), n in sorted(tally.items()))
    refused = tuple(Refusal(method=name, why=reason) for name, reason in table.refused)
    return ConnsSummary(sockets=tally.total(), counts=counts, refused=refused)
