"""Several sockets on one port: two services, a specific address before a wildcard, groups by SO_REUSEPORT."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from lodiag.judge.services import are_strangers
from lodiag.judge.snapshot import name_end
from lodiag.judge.who_words import find_shadowed, name_answer, name_owners, sockets_of, tell_record, tell_socket
from lodiag.model import Evidence, Finding
from lodiag.model.conns import Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lodiag.model.who import WhoRecord, WhoSummary
    from lodiag.system.facts import Condition

MOST_SHOWN = 8
"""Sockets that a finding shows; it counts the others."""


def judge_sharing(
    summary: WhoSummary, records: Sequence[WhoRecord], processes: Mapping[int, Condition]
) -> Iterator[Finding]:
    """Judge who shares a port of one protocol; ``processes`` are their owners."""
    answered = [record for record in records if record.answered and record.socket]
    yield from _judge_services(summary, answered, processes)
    for record in answered:
        yield from _judge_shadow(summary, record, processes)
        if record.shared_by:
            yield _judge_group(record, processes)


def _judge_services(
    summary: WhoSummary, answered: Sequence[WhoRecord], processes: Mapping[int, Condition]
) -> Iterator[Finding]:
    services: list[list[WhoRecord]] = []
    for record in answered:
        own = sockets_of(record)
        known = next((s for s in services if not are_strangers(sockets_of(s[0]), own, processes)), None)
        if known is None:
            services.append([record])
        else:
            known.append(record)
    if len(services) < len(("one", "another")):
        return
    proto = answered[0].proto
    ways = ", ".join(f"{s[0].address} leads to {name_answer(s[0])}" for s in services)
    unseen = [item for s in services for item in sockets_of(s[0]) if item.owners is None]
    judged = Evidence(name="owners", value="hidden: told apart by user and unit", source="process table")
    evidence = [tell_record(record) for service in services for record in service]
    groups = dict.fromkeys(tell_socket(item) for service in services for item in service[0].shared_by[:MOST_SHOWN])
    yield Finding(
        code="two-services-on-one-port",
        severity="warn",
        subject=f"{proto} port {summary.port}",
        message=f"{proto} port {summary.port} is {_count(len(services))} services: {ways}",
        evidence=(*evidence, *groups, *([judged] if unseen else [])),
        hint="Which one a client of localhost meets depends on the address that it tries first. Stop one, or move it.",
        fix=None,
        see=(),
    )


def _count(number: int) -> str:
    return "two" if number == len(("one", "another")) else str(number)


def _judge_shadow(summary: WhoSummary, record: WhoRecord, processes: Mapping[int, Condition]) -> Iterator[Finding]:
    """Find wildcard sockets that would answer if none were bound to the address itself."""
    shadowed = find_shadowed(summary, record)
    if not shadowed:
        return
    strangers = [item for item in shadowed if are_strangers(sockets_of(record), [item], processes)]
    loser = (strangers or shadowed)[0]
    end = name_end(Endpoint(address=record.address, port=record.port))
    yield Finding(
        code="specific-shadows-wildcard",
        severity="warn" if strangers else "info",
        subject=f"{record.proto} {end}",
        message=f"{name_answer(record)} at {end} goes before {name_owners(loser)} at {name_end(loser.local)}",
        evidence=(tell_record(record), *(tell_socket(item) for item in shadowed[:MOST_SHOWN])),
        hint="What is bound to the address itself gets all that is sent to it; the wildcard gets the rest.",
        fix=None,
        see=(),
    )


def _judge_group(record: WhoRecord, processes: Mapping[int, Condition]) -> Finding:
    """Say that several sockets share an address and a port, and whether they are of one service."""
    group = record.shared_by
    end = name_end(group[0].local, group[0].interface)
    is_tcp = record.proto == "tcp"
    option = "SO_REUSEPORT" if is_tcp else "SO_REUSEPORT or SO_REUSEADDR"
    what = "the kernel spreads connections over them" if is_tcp else "a datagram goes to one of them"
    strange = any(are_strangers([one], [other], processes) for one, other in combinations(group, 2))
    services = " of different services" if strange else ""
    return Finding(
        code="reuseport-strangers" if strange else "reuseport-group",
        severity="warn" if strange else "info",
        subject=f"{record.proto} {end}",
        message=f"{len(group)} sockets{services} share {record.proto} {end} ({option}): {what}",
        evidence=(
            Evidence(name="sockets", value=len(group), source="socket table"),
            *dict.fromkeys(tell_socket(item) for item in group[:MOST_SHOWN]),
        ),
        hint="Is one of them left over? A client meets now one, now another." if strange else None,
        fix=None,
        see=("socket(7)",),
    )
