"""Connections that do not go on: kept though the other end has closed, not read, or not what they seem."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from lodiag.judge.snapshot import (
    CONTINUE,
    Judgement,
    Listeners,
    count,
    name_end,
    name_owners,
    pair_up,
    seconds,
    tell_pid,
    tell_stopped,
)
from lodiag.model import Evidence, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lodiag.judge.snapshot import Snapshot
    from lodiag.model.conns import ConnRecord

STANDSTILL_MS = 10_000
"""Half a second is much on the loopback; after 10 seconds without a byte or an acknowledgement nothing is under way."""

MOST_KEPT = 10
"""Ends of connections that a pool of clients may keep without having noticed that they were closed."""

FILES_USED_UP = 0.9
"""Part of a process's limit on open files from which a leak of sockets is about to stop it."""


def judge_close_wait(
    snapshot: Snapshot, lasting_ms: float = STANDSTILL_MS, most_kept: int = MOST_KEPT
) -> Iterator[Judgement]:
    """Find processes that keep connections which the other end closed long ago, and of which nothing can come.

    Somebody who has closed one direction only still waits for the answer: while a process holds the other end, it is no
    leak. A pool of clients often keeps a few that it has not looked at since; such are told as a fact until they are
    many. The time since the peer's last acknowledgement is that since it closed, or less.
    """
    listeners, ends = Listeners(snapshot.records), pair_up(snapshot.records)
    groups: dict[object, list[ConnRecord]] = defaultdict(list)
    for row in snapshot.records:
        if _is_left_open(row, ends, snapshot, lasting_ms):
            pids = tuple(owner.pid for owner in row.owners or ())
            groups[pids or (row.uid, row.cgroup)].append(row)
    for rows in groups.values():
        served = [row for row in rows if listeners.find(row.local.address, row.local.port)]
        is_read = [row for row in rows if row.recv_q_bytes == 0]
        is_pool = len(rows) < most_kept and not served and not is_read
        yield _judge_left_open(rows, snapshot, "info" if is_pool else "warn")


def _is_left_open(
    row: ConnRecord, ends: Mapping[tuple[str, int, str, int], ConnRecord], snapshot: Snapshot, lasting_ms: float
) -> bool:
    if row.state != "close-wait" or not row.inode or row.remote is None or row.tcp is None or snapshot.is_gone(row):
        return False
    if row.tcp.last_ack_ms is None or row.tcp.last_ack_ms < lasting_ms:
        return False
    again = snapshot.again(row) or row
    is_drained = (again.recv_q_bytes or 0) < (row.recv_q_bytes or 0)
    other = ends.get((row.remote.address, row.remote.port, row.local.address, row.local.port))
    is_awaited = other is not None and other.inode != 0
    return not (is_awaited or is_drained)


def _judge_left_open(rows: Sequence[ConnRecord], snapshot: Snapshot, severity: str) -> Judgement:
    first = rows[0]
    age = max((row.tcp.last_ack_ms or 0) if row.tcp else 0 for row in rows)
    unread = sum(max((row.recv_q_bytes or 0) - 1, 0) for row in rows)
    limit = next(
        (state.most_files for owner in first.owners or () if (state := snapshot.processes.get(owner.pid))), None
    )
    at_limit = limit is not None and len(rows) >= FILES_USED_UP * limit
    stopped = tell_stopped(first, snapshot)
    what = _explain(rows, unread)
    pool = "A pool of connections that has not looked at them yet does this; the next use of each will fail."
    finding = Finding(
        code="close-wait-leak",
        severity="fail" if at_limit else severity,
        subject=name_owners(first),
        message=(
            f"{name_owners(first)} keeps {count(len(rows), 'connection')} that the other end has closed, "
            f"such as {_name_pair(first)}; {'that was' if len(rows) == 1 else 'the oldest'} at least {seconds(age)} ago"
        ),
        evidence=(
            Evidence(name="in close-wait", value=len(rows), source=snapshot.source),
            Evidence(name="age of the oldest", value=seconds(age), source=snapshot.source),
            Evidence(name="read to the end", value=sum(row.recv_q_bytes == 0 for row in rows), source=snapshot.source),
            Evidence(name="unread bytes", value=unread, source=snapshot.source),
            *(() if limit is None else (Evidence(name="limit on open files", value=limit, source="process limits"),)),
            *tell_pid(first),
            *stopped,
        ),
        hint=CONTINUE if stopped else pool if severity == "info" else what,
        fix=None,
        see=("RFC 9293 3.6",),
    )
    return Judgement(finding, tuple(rows))


def _explain(rows: Sequence[ConnRecord], unread: int) -> str:
    if unread:
        return "It does not read what came before the end: see what it waits for."
    if any(row.recv_q_bytes == 0 for row in rows):
        return "It has read to the end and does not call close(2): look for the path that forgets it."
    return "It does not read from them, and so does not see that they have ended: see what it waits for."


def judge_stuck_receivers(snapshot: Snapshot, lasting_ms: float = STANDSTILL_MS) -> Iterator[Judgement]:
    """Find processes that have not read for ``lasting_ms`` while another's data waits for room in their buffer.

    Each time is that since the last byte: the receiver's window is shut, and the sender only probes it. That the sender
    has meanwhile closed, or ended, changes nothing. What nobody has accepted yet is the listener's finding.
    """
    ends = pair_up(snapshot.records)
    for sender in snapshot.records:
        if sender.timer != "persist" or not sender.send_q_bytes or sender.remote is None:
            continue
        ways = (sender.remote.address, sender.remote.port, sender.local.address, sender.local.port)
        receiver = ends.get(ways)
        if receiver is None or receiver is sender or not receiver.recv_q_bytes or receiver.inode == 0:
            continue
        again = snapshot.again(receiver) or receiver
        age = _age_of_standstill(sender, receiver)
        is_moving = (again.recv_q_bytes or 0) < receiver.recv_q_bytes or snapshot.is_gone(receiver)
        if age is not None and age >= lasting_ms and not is_moving:
            yield _judge_stuck(sender, receiver, age, snapshot)


def _age_of_standstill(sender: ConnRecord, receiver: ConnRecord) -> float | None:
    """Time since the last byte went, by both ends; ``None`` if that was not measured.

    Of a process that has closed its end the kernel goes on to tell.
    """
    if sender.tcp is None or receiver.tcp is None:
        return None
    if sender.tcp.last_sent_ms is None or receiver.tcp.last_received_ms is None:
        return None
    return min(sender.tcp.last_sent_ms, receiver.tcp.last_received_ms)


def _judge_stuck(sender: ConnRecord, receiver: ConnRecord, age: float, snapshot: Snapshot) -> Judgement:
    stopped = tell_stopped(receiver, snapshot)
    is_orphan = sender.inode == 0
    waits = "whose process has closed it or ended" if is_orphan else f"of {name_owners(sender)}"
    limited = sender.tcp.rwnd_limited_ms if sender.tcp else None
    finding = Finding(
        code="stuck-receiver",
        severity="warn",
        subject=name_owners(receiver),
        message=(
            f"{name_owners(receiver)} has not read from {_name_pair(receiver)} for {seconds(age)}: "
            f"{count(sender.send_q_bytes or 0, 'byte')} {waits} wait"
        ),
        evidence=(
            Evidence(name="unread at the receiver", value=receiver.recv_q_bytes, source=snapshot.source),
            Evidence(name="unsent at the sender", value=sender.send_q_bytes, source=snapshot.source),
            Evidence(name="sender's timer", value=sender.timer, source=snapshot.source),
            Evidence(name="time since the last byte", value=seconds(age), source=snapshot.source),
            *(
                ()
                if limited is None
                else (Evidence(name="sender's rwnd_limited_ms", value=limited, source=snapshot.source),)
            ),
            *tell_pid(receiver),
            *stopped,
        ),
        hint=CONTINUE
        if stopped
        else "See what the receiving process waits for; the sender can only wait with it. Larger buffers do not help.",
        fix=None,
        see=("RFC 9293 3.8.6.1",),
    )
    return Judgement(finding, (receiver, sender))


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
    first, last = _read_range(snapshot)
    # One that has begun to listen while the table was read may be in the second reading only.
    later = Listeners(() if snapshot.later is None else snapshot.later.values())
    served = {port for found in (Listeners(snapshot.records), later) for port in found.by_port}
    ends = pair_up(snapshot.records)
    groups: dict[tuple[str, int], list[ConnRecord]] = defaultdict(list)
    for row in snapshot.records:
        if row.remote is None or row.proto != "tcp" or row.state not in {"established", "close-wait"} or not row.inode:
            continue
        is_client = first <= row.local.port <= last and not first <= row.remote.port <= last
        there = ends.get((row.remote.address, row.remote.port, row.local.address, row.local.port))
        if is_client and there and row.remote.port not in served and not snapshot.is_gone(row):
            groups[row.remote.address, row.remote.port] += [row, there]
    for rows in groups.values():
        yield _judge_orphaned(rows, snapshot)


def _read_range(snapshot: Snapshot) -> tuple[int, int]:
    setting = snapshot.settings.get("port-range")
    words = (setting.value if setting and setting.value else "").split()
    return (int(words[0]), int(words[1])) if len(words) == len(("first", "last")) else (1, 0)


def _judge_orphaned(rows: Sequence[ConnRecord], snapshot: Snapshot) -> Judgement:
    target = name_end(rows[0].remote) if rows[0].remote else ""
    finding = Finding(
        code="dead-listener-clients",
        severity="info",
        subject=target,
        message=f"{count(len(rows) // 2, 'connection')} to {target} goes on, but nothing listens there any more",
        evidence=(
            Evidence(name="connections", value=len(rows) // 2, source=snapshot.source),
            Evidence(name="listeners", value=0, source=snapshot.source),
            Evidence(name="at the other end", value=name_owners(rows[1]), source=snapshot.source),
        ),
        hint="Its server is about to end or to restart, or has closed its listener: new clients are refused.",
        fix=None,
        see=(),
    )
    return Judgement(finding, tuple(rows))


def _name_pair(row: ConnRecord) -> str:
    return f"{name_end(row.local)} -> {name_end(row.remote)}" if row.remote else name_end(row.local)
