"""How a socket is bound: to whom it is open by its address and its interface, and what is to be said of that."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from lodiag.judge.servers import find_server
from lodiag.judge.services import INIT_PID
from lodiag.judge.snapshot import count, name_end, name_owners
from lodiag.model import Evidence, Finding
from lodiag.targets import is_loopback, is_wildcard

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence

    from lodiag.model.audit import AuditRecord
    from lodiag.model.conns import ConnRecord

MOST_ENDS = 6
"""Ends that a sentence names; of a server with a hundred ports it counts the others."""
ANSWERS_127_0_0_1 = frozenset({"loopback-ipv4", "loopback-interface", "wildcard", "wildcard-ipv4", "wildcard-dual"})


def classify(found: ConnRecord, loopbacks: Container[str]) -> str:
    """Name the exposure of a socket, in the words of ``EXPOSURES``; ``loopbacks`` are the loopback interfaces."""
    address = found.local.address
    if found.interface is not None and found.interface in loopbacks:
        return "loopback-interface"
    if is_wildcard(address):
        return _classify_wildcard(address, v6only=found.v6only)
    if found.interface is None and is_loopback(address):
        return {"127.0.0.1": "loopback-ipv4", "::1": "loopback-ipv6"}.get(address, "loopback-other")
    plain = ip_address(address)
    if plain.is_multicast:
        return "multicast"
    return "link-local" if plain.is_link_local else "specific"


def _classify_wildcard(address: str, *, v6only: bool | None) -> str:
    if address != "::":
        return "wildcard-ipv4"
    return {None: "wildcard", True: "wildcard-ipv6", False: "wildcard-dual"}[v6only]


def is_of_loopback(exposure: str) -> bool:
    """Whether no other host reaches what is bound so, unless something opens it."""
    return exposure.startswith("loopback")


def judge_exposure(records: Iterable[AuditRecord], source: str) -> Iterator[Finding]:
    """Say of each service that other hosts may reach where they do, and how it is kept to the loopback.

    That is a warning where its software asks for no password unless it is told to.
    """
    for own in group_services(record for record in records if record.exposed and not record.opened_by):
        server = find_server(own[0].software)
        is_open = server is not None and server.without_authentication is not None
        yield Finding(
            code="exposed-without-authentication" if is_open else "exposed",
            severity="warn" if is_open else "info",
            subject=f"{own[0].proto} {name_end(own[0].local, own[0].interface)}",
            message=f"{_name(own[0])} can be reached from other hosts at {list_ends(own)}{_tell_peers(own)}",
            evidence=tell_exposure(own, source),
            hint=advise(own[0]),
            fix=None,
            see=() if server is None else (server.see,),
        )


def judge_other_loopback(
    records: Iterable[AuditRecord], all_records: Sequence[AuditRecord], source: str
) -> Iterator[Finding]:
    """Say which sockets are at an address of the loopback that nobody tries by habit."""
    for own in group_services(record for record in records if record.exposure == "loopback-other"):
        first = own[0]
        usual = [
            record
            for record in all_records
            if (record.proto, record.local.port) == (first.proto, first.local.port)
            and record.exposure in ANSWERS_127_0_0_1
        ]
        at = f"127.0.0.1:{first.local.port}"
        then = f"{at} is {name_owners(usual[0])}" if usual else f"{at} is refused"
        yield Finding(
            code="only-at-another-address",
            severity="info",
            subject=f"{first.proto} {name_end(first.local)}",
            message=f"{_name(first)} answers at {list_ends(own)}, which localhost is not: {then}",
            evidence=tell_exposure(own, source),
            hint=(
                "No other host reaches it, and no client that asks for localhost or ::1. Other systems than Linux have "
                "no such address unless it is added to their loopback interface."
            ),
            fix=None,
            see=(),
        )


def group_services(records: Iterable[AuditRecord]) -> list[list[AuditRecord]]:
    """Put together the sockets of one service: those that share a process, a place, or a unit and a program."""
    groups: dict[int, list[AuditRecord]] = {}
    places: dict[object, int] = {}
    for number, record in enumerate(records):
        keys = list(_list_keys(record))
        joined = sorted({places[key] for key in keys if key in places})
        first = joined[0] if joined else number
        groups.setdefault(first, []).append(record)
        places |= dict.fromkeys(keys, first)
        for other in joined[1:]:  # two that nothing joined until now
            moved = groups.pop(other)
            groups[first] += moved
            places |= dict.fromkeys([key for own in moved for key in _list_keys(own)], first)
    return list(groups.values())


def _list_keys(record: AuditRecord) -> Iterator[object]:
    """Give what sockets of one service have in common; systemd's own process holds those of many."""
    yield record.proto, record.local, record.interface
    yield from (owner.pid for owner in record.owners or () if owner.pid != INIT_PID)
    group = record.container or record.unit
    if group is not None and not group.endswith(".scope"):
        names = None if record.owners is None else frozenset(owner.process for owner in record.owners)
        yield group, names, record.software
    elif record.owners is None:
        yield record.proto, record.local.port, record.user


def list_ends(records: Iterable[AuditRecord]) -> str:
    """Name where sockets are bound, each place once; TCP goes without saying."""
    ends = list(
        dict.fromkeys(
            f"{'' if record.proto == 'tcp' else 'udp '}{name_end(record.local, record.interface)}" for record in records
        )
    )
    more = len(ends) - MOST_ENDS
    return ", ".join(ends[:MOST_ENDS]) + (f" and {more} more" if more > 0 else "")


def tell_exposure(records: Sequence[AuditRecord], source: str) -> tuple[Evidence, ...]:
    """Give as evidence how sockets are bound, what holds them, and who is connected."""
    found = [Evidence(name="exposure", value=", ".join(dict.fromkeys(r.exposure for r in records)), source=source)]
    for software, told_by in dict.fromkeys((r.software, r.identified_by) for r in records):
        if software is not None:
            found.append(Evidence(name="software", value=software, source=_TOLD_BY[str(told_by)]))
    for address, interface in {r.local.address: r.address_interface for r in records if r.exposed}.items():
        if interface is not None:
            found.append(Evidence(name=f"interface of {address}", value=interface, source="interface addresses"))
    peers, local, by_loopback = _count_peers(records)
    if peers:
        value = f"{peers}, {local} of them of this host, {by_loopback} by the loopback"
        found.append(Evidence(name="connections", value=value, source=source))
    return tuple(found)


_TOLD_BY = {"process": "name of the process", "unit": "unit", "user-and-port": "user and port"}


def advise(record: AuditRecord) -> str:
    """Say how a service is kept to the loopback, and whether it asks for a password."""
    server = find_server(record.software)
    if server is None:
        return "If no other host needs it, have it listen at 127.0.0.1 or ::1."
    return " ".join(filter(None, (server.without_authentication, f"To keep it to the loopback: {server.setting}")))


def _name(record: AuditRecord) -> str:
    return name_owners(record) if record.software is None else f"{record.software} ({name_owners(record)})"


def _tell_peers(records: Sequence[AuditRecord]) -> str:
    peers, local, by_loopback = _count_peers(records)
    if not peers or peers != local:
        return ""
    whose = "its only connection comes" if peers == 1 else f"all its {count(peers, 'connection')} come"
    others = "" if by_loopback == peers else ", once they ask for it there"
    return f"; {whose} from this host, so it could be on the loopback alone{others}"


def _count_peers(records: Iterable[AuditRecord]) -> tuple[int, int, int]:
    """Count the connections of sockets, those of several that share a place once."""
    places = {(r.proto, r.family, r.local, r.interface): r for r in records}.values()
    counts = [(r.peers or 0, r.local_peers or 0, r.loopback_peers or 0) for r in places]
    peers, local, by_loopback = map(sum, zip(*counts, strict=True))
    return peers, local, by_loopback
