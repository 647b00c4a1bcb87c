"""Who answers at a port: one address and not the other, two services, strangers that share it, or nobody at all."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from lodiag.judge.services import are_strangers, is_same_service
from lodiag.judge.snapshot import Judgement, Listeners, answers_at, count, name_end, name_owners
from lodiag.model import Evidence, Finding
from lodiag.targets import ADDRESSES, is_loopback, is_wildcard

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lodiag.judge.snapshot import Snapshot
    from lodiag.model.conns import ConnRecord


def judge_ports(snapshot: Snapshot) -> Iterator[Judgement]:
    """Judge each port that TCP listens on, unless what listens there has changed between the readings."""
    listeners = Listeners(snapshot.records)
    later = None if snapshot.later is None else Listeners(snapshot.later.values())
    partly: list[ConnRecord] = []
    six_only: list[ConnRecord] = []
    for port, there in listeners.by_port.items():
        if later is not None and {row.cookie for row in there} != {row.cookie for row in later.by_port.get(port, ())}:
            continue
        answers = {address: listeners.find(address, port) for address in ADDRESSES.values()}
        yield from _judge_strangers(there, snapshot)
        yield from _judge_shadows(there, snapshot)
        yield from _judge_split(port, answers, snapshot)
        if any(row.local.address == "::" and row.v6only is None for row in there):
            continue  # it may answer IPv4 or not
        if answers["::1"] and not answers["127.0.0.1"]:
            six_only += answers["::1"]
        if not answers["127.0.0.1"] and not answers["::1"]:
            yield from _judge_elsewhere(there, snapshot)
        if answers["127.0.0.1"] and not answers["::1"]:
            partly += answers["127.0.0.1"]
    yield from _judge_family(six_only, snapshot)
    yield from _judge_second_choice(partly, snapshot)


def judge_held_ports(snapshot: Snapshot) -> Iterator[Judgement]:
    """Find ports that are bound although nothing listens there: why an address is in use that no tool shows in use."""
    listeners = Listeners(snapshot.records)
    for row in snapshot.records:
        again = snapshot.again(row) or row
        if row.proto != "tcp" or row.state != "bound" or again.state != "bound" or snapshot.is_gone(row):
            continue
        if listeners.find(row.local.address, row.local.port):
            continue
        finding = Finding(
            code="port-held",
            severity="info",
            subject=name_end(row.local),
            message=f"{name_owners(row)} holds {name_end(row.local)} and does not listen: others find it in use",
            evidence=(
                Evidence(name="state", value=row.state, source=snapshot.source),
                Evidence(name="listeners", value=0, source=snapshot.source),
            ),
            hint="A service cannot listen there until that process listens itself, connects, or closes the socket.",
            fix=None,
            see=(),
        )
        yield Judgement(finding, (row,))


def find_undecided(snapshot: Snapshot) -> tuple[int, ...]:
    """Ports with several listeners of which it cannot be known whether they are one service's."""
    return tuple(
        port
        for port, there in Listeners(snapshot.records).by_port.items()
        if any(is_same_service(a, b, snapshot.processes) is None for a, b in combinations(there, 2))
    )


def _judge_strangers(there: Sequence[ConnRecord], snapshot: Snapshot) -> Iterator[Judgement]:
    """Find listeners at the same end: both have asked to share it (SO_REUSEPORT), and the kernel deals out clients."""
    for one, other in combinations(there, 2):
        same_end = (one.family, one.local, one.interface) == (other.family, other.local, other.interface)
        if not same_end or not are_strangers([one], [other], snapshot.processes):
            continue
        where = name_end(one.local)
        finding = Finding(
            code="reuseport-strangers",
            severity="warn",
            subject=where,
            message=(
                f"{name_owners(one)} and {name_owners(other)} share {where} though they are not one service: "
                "each gets some of its clients"
            ),
            evidence=_tell((one, other), snapshot),
            hint="Both set SO_REUSEPORT. One may be left over from before a restart: stop the one that is not meant.",
            fix=None,
            see=(),
        )
        yield Judgement(finding, (one, other))
        return


def _judge_shadows(there: Sequence[ConnRecord], snapshot: Snapshot) -> Iterator[Judgement]:
    """Find a listener at one address that takes from another, at all addresses, what would be its own."""
    for wide in (row for row in there if is_wildcard(row.local.address)):
        for near in there:
            where = name_end(near.local)
            if is_wildcard(near.local.address) or not answers_at(wide, near.local.address):
                continue
            if wide.local.address == "::" and wide.v6only is None and near.family == "ipv4":
                continue  # they may have nothing in common
            if is_loopback(near.local.address) and are_strangers([near], [wide], snapshot.processes):
                finding = Finding(
                    code="specific-shadows-wildcard",
                    severity="warn",
                    subject=where,
                    message=(
                        f"{where} is answered by {name_owners(near)} and not by {name_owners(wide)}, "
                        f"which listens at {name_end(wide.local)}"
                    ),
                    evidence=_tell((near, wide), snapshot),
                    hint="The nearer address wins. Move one of them to another port.",
                    fix=None,
                    see=(),
                )
                yield Judgement(finding, (near, wide))


def _judge_split(port: int, answers: Mapping[str, Sequence[ConnRecord]], snapshot: Snapshot) -> Iterator[Judgement]:
    """Find a port at which IPv4 and IPv6 lead to different services."""
    four, six = answers["127.0.0.1"], answers["::1"]
    if not four or not six or not are_strangers(four, six, snapshot.processes):
        return
    subject = f"localhost:{port}"
    finding = Finding(
        code="two-services-on-one-port",
        severity="fail" if _differ(four[0], six[0], snapshot) else "warn",
        subject=subject,
        message=(
            f"{subject} is two services: 127.0.0.1:{port} is answered by {name_owners(four[0])}, "
            f"[::1]:{port} by {name_owners(six[0])}"
        ),
        evidence=_tell((*four, *six), snapshot),
        hint="Which one a client gets depends on the address that it tries first. Move one of them to another port.",
        fix=None,
        see=("RFC 6724",),
    )
    yield Judgement(finding, (*four, *six))


def _differ(one: ConnRecord, other: ConnRecord, snapshot: Snapshot) -> bool:
    """Whether two listeners certainly run different programs."""
    programs = [
        {state.program for o in row.owners or () if (state := snapshot.processes.get(o.pid)) and state.program}
        for row in (one, other)
    ]
    return all(programs) and not programs[0] & programs[1]


def _judge_family(rows: Sequence[ConnRecord], snapshot: Snapshot) -> Iterator[Judgement]:
    """Find services that only IPv6 reaches, told once for each: whoever asks for 127.0.0.1 is refused."""
    services: dict[str, list[ConnRecord]] = {}
    for row in rows:
        services.setdefault(name_owners(row), []).append(row)
    by_name = "" if "::1" in snapshot.localhost else ", and so is localhost, which is not ::1 here"
    for name, own in services.items():
        ports = sorted({row.local.port for row in own})
        ends = ", ".join(f"[::1]:{port}" for port in ports)
        refused = f"127.0.0.1:{ports[0]}" if len(ports) == 1 else "127.0.0.1"
        finding = Finding(
            code="family-mismatch",
            severity="warn",
            subject=f"localhost:{ports[0]}",
            message=f"{name} answers {ends} only: {refused} is refused{by_name}",
            evidence=(
                *_tell(own, snapshot),
                Evidence(name="localhost", value=", ".join(snapshot.localhost) or None, source="resolver"),
            ),
            hint=f"Let it listen at 127.0.0.1 as well, or use http://[::1]:{ports[0]}/ and the like.",
            fix=None,
            see=("RFC 6724",),
        )
        yield Judgement(finding, tuple(own))


def _judge_second_choice(partly: Sequence[ConnRecord], snapshot: Snapshot) -> Iterator[Judgement]:
    """Say which services answer IPv4 only where localhost is ::1 first: those clients that try once are refused.

    Most try the next address, and on most machines most services are like that: a fact, told once for all.
    """
    if not partly or snapshot.localhost[:1] != ("::1",):
        return
    ports = sorted({row.local.port for row in partly})
    finding = Finding(
        code="family-mismatch",
        severity="info",
        subject=f"localhost:{ports[0]}" if len(ports) == 1 else "localhost",
        message=(
            f"localhost is ::1 first, and 127.0.0.1 alone is answered at {count(len(ports), 'port')}: "
            f"{', '.join(map(str, ports))}"
        ),
        evidence=(Evidence(name="localhost", value=", ".join(snapshot.localhost), source="resolver"),),
        hint="A client that does not try its second address is refused: let it use 127.0.0.1.",
        fix=None,
        see=("RFC 6724",),
    )
    yield Judgement(finding, tuple(partly))


def _judge_elsewhere(there: Sequence[ConnRecord], snapshot: Snapshot) -> Iterator[Judgement]:
    """Say that a service is at an address of the loopback that nobody tries by habit."""
    found = [row for row in there if is_loopback(row.local.address)]
    if not found:
        return
    ends = ", ".join(dict.fromkeys(name_end(row.local) for row in found))
    finding = Finding(
        code="only-at-another-address",
        severity="info",
        subject=name_end(found[0].local),
        message=f"{name_owners(found[0])} answers {ends} only: 127.0.0.1:{found[0].local.port} is refused",
        evidence=_tell(found, snapshot),
        hint="Name that address, or let it listen at 127.0.0.1 as well.",
        fix=None,
        see=(),
    )
    yield Judgement(finding, tuple(found))


def _tell(rows: Sequence[ConnRecord], snapshot: Snapshot) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(name=f"listener at {name_end(row.local)}", value=name_owners(row), source=snapshot.source)
        for row in rows
    )
