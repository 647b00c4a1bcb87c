"""Connections that are not what they seem: to oneself, or to a service that does not listen any more."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from lodiag.judge.snapshot import Judgement, Listeners, count, name_end, name_owners, pair_up, tell_pid
from lodiag.model import Evidence, Finding
from lodiag.targets import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lodiag.judge.snapshot import Snapshot
    from lodiag.model.conns import ConnRecord


def judge_self_connections(snapshot: Snapshot) -> Iterator[Judgement]:
    """Find connections from a port to itself: a client took as its own the port at which it looked for a service."""
    for row in snapshot.records:
        if row.proto != "tcp" or row.state != "established" or row.remote != row.local or snapshot.is_gone(row):
            continue
        where = name_end(row.local)
        setting = snapshot.settings.get("port-range")
        reserved = snapshot.settings.get("reserved-ports")
        facts = [Evidence(name=s.name, value=s.value, source="kernel parameter") for s in (setting, reserved) if s]
        finding = Finding(
            code="self-connection",
            severity="fail",
            subject=where,
            message=f"{name_owners(row)} is connected to itself at {where}: what it sends comes back to it",
            evidence=(
                Evidence(name="local", value=where, source=snapshot.source),
                Evidence(name="remote", value=where, source=snapshot.source),
                Evidence(name="port", value=row.local.port, source=snapshot.source),
                *tell_pid(row),
                *facts,
            ),
            hint=(
                "It connected while no service listened there, and was itself given that port. Restart it once one "
                "does, and keep the port out of those that are given to clients."
            ),
            fix=None,
            see=("RFC 9293 3.5",),
        )
        yield Judgement(finding, (row,))


def judge_orphaned_clients(snapshot: Snapshot) -> Iterator[Judgement]:
    """Find connections to a port of a service that does not listen any more.

    That is how a server that is being restarted lets its clients finish. Which end is the server's is told by its port,
    if that is one which the kernel does not give to clients.
    """
    for_clients = snapshot.read_range()
    # One that has begun to listen while the table was read may be in the second reading only.
    later = Listeners(() if snapshot.later is None else snapshot.later.values())
    served = {port for found in (Listeners(snapshot.records), later) for port in found.by_port}
    ends = pair_up(snapshot.records)
    groups: dict[tuple[str, int], list[ConnRecord]] = defaultdict(list)
    for row in snapshot.records:
        if row.remote is None or row.proto != "tcp" or row.state not in {"established", "close-wait"} or not row.inode:
            continue
        is_client = row.local.port in for_clients and row.remote.port not in for_clients
        there = ends.get((row.remote.address, row.remote.port, row.local.address, row.local.port))
        is_inside = is_loopback(row.remote.address)  # others' listeners are not all known
        if is_inside and is_client and there and row.remote.port not in served and not snapshot.is_gone(row):
            groups[row.remote.address, row.remote.port] += [row, there]
    for rows in groups.values():
        yield _judge_orphaned(rows, snapshot)


def _judge_orphaned(rows: Sequence[ConnRecord], snapshot: Snapshot) -> Judgement:
    target = name_end(rows[0].remote) if rows[0].remote else ""
    number = len(rows) // 2
    finding = Finding(
        code="dead-listener-clients",
        severity="info",
        subject=target,
        message=(
            f"{count(number, 'connection')} to {target} {'goes' if number == 1 else 'go'} on, "
            "but nothing listens there any more"
        ),
        evidence=(
            Evidence(name="connections", value=number, source=snapshot.source),
            Evidence(name="listeners", value=0, source=snapshot.source),
            Evidence(name="at the other end", value=name_owners(rows[1]), source=snapshot.source),
        ),
        hint="Its server is about to end or to restart, or has closed its listener: new clients are refused.",
        fix=None,
        see=(),
    )
    return Judgement(finding, tuple(rows))
