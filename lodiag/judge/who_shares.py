"""Several sockets on one port: two services, a specific address before a wildcard, groups by SO_REUSEPORT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.judge.who_words import (
    find_shadowed,
    is_same_service,
    name_answer,
    name_owners,
    sockets_of,
    tell_record,
    tell_socket,
    write_end,
)
from lodiag.model import Evidence, Finding
from lodiag.model.conns import Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lodiag.model.who import WhoRecord, WhoSocket, WhoSummary

MOST_SHOWN = 8
"""Sockets that a finding shows; it counts the others."""


def judge_sharing(summary: WhoSummary, records: Sequence[WhoRecord]) -> Iterator[Finding]:
    """Judge who shares a port of one protocol."""
    answered = [record for record in records if record.answered and record.socket]
    yield from _judge_services(summary, answered)
    for record in answered:
        yield from _judge_shadow(summary, record)
        if record.group:
            yield _judge_group(record)


def _judge_services(summary: WhoSummary, answered: Sequence[WhoRecord]) -> Iterator[Finding]:
    services: list[list[WhoRecord]] = []
    for record in answered:
        known = next((s for s in services if is_same_service(sockets_of(s[0]), sockets_of(record))), None)
        if known is None:
            services.append([record])
        else:
            known.append(record)
    if len(services) < len(("one", "another")):
        return
    proto = answered[0].proto
    ways = ", ".join(f"{s[0].address} leads to {name_answer(s[0])}" for s in services)
    unseen = [item for s in services for item in sockets_of(s[0]) if item.owners is None]
    judged = Evidence(name="owners", value="hidden: told apart by user and control group", source="process table")
    evidence = [tell_record(record) for service in services for record in service]
    groups = dict.fromkeys(tell_socket(item) for service in services for item in service[0].group[:MOST_SHOWN])
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


def _judge_shadow(summary: WhoSummary, record: WhoRecord) -> Iterator[Finding]:
    """Find wildcard sockets that would answer if none were bound to the address itself."""
    shadowed = find_shadowed(summary, record)
    if not shadowed:
        return
    strangers = find_shadowed(summary, record, strangers=True)
    loser = (strangers or shadowed)[0]
    end = write_end(Endpoint(address=record.address, port=record.port))
    yield Finding(
        code="specific-shadows-wildcard",
        severity="warn" if strangers else "info",
        subject=f"{record.proto} {end}",
        message=f"{name_answer(record)} at {end} goes before {name_owners(loser)} at {write_end(loser.local)}",
        evidence=(tell_record(record), *(tell_socket(item) for item in shadowed[:MOST_SHOWN])),
        hint="What is bound to the address itself gets all that is sent to it; the wildcard gets the rest.",
        fix=None,
        see=(),
    )


def _judge_group(record: WhoRecord) -> Finding:
    """Say that several sockets share an address and a port, and whether they are of one program."""
    group = record.group
    end = write_end(group[0].local, group[0].interface)
    is_tcp = record.proto == "tcp"
    option = "SO_REUSEPORT" if is_tcp else "SO_REUSEPORT or SO_REUSEADDR"
    what = "the kernel spreads connections over them" if is_tcp else "a datagram goes to one of them"
    strange = any(not _is_same_program(group[0], item) for item in group[1:])
    programs = " of different programs" if strange else ""
    return Finding(
        code="reuseport-strangers" if strange else "reuseport-group",
        severity="warn" if strange else "info",
        subject=f"{record.proto} {end}",
        message=f"{len(group)} sockets{programs} share {record.proto} {end} ({option}): {what}",
        evidence=(
            Evidence(name="sockets", value=len(group), source="socket table"),
            *dict.fromkeys(tell_socket(item) for item in group[:MOST_SHOWN]),
        ),
        hint="Is one of them left over? A client meets now one, now another." if strange else None,
        fix=None,
        see=("socket(7)",),
    )


def _is_same_program(item: WhoSocket, other: WhoSocket) -> bool:
    if item.owners and other.owners:
        names = [{owner.process for owner in found.owners or ()} for found in (item, other)]
        return bool(names[0] & names[1])
    return (item.uid, item.cgroup) == (other.uid, other.cgroup)
