"""Connections that do not go on: kept though the other end has closed, not read, or not what they seem."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

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

SLOWEST_MS = 60_000
"""A request that a server still works on, while its client has given up, is answered by then, or never."""

POOL = "A pool of connections that has not looked at them yet does this; the next use of each will fail."

FILES_USED_UP = 0.9
"""Part of a process's limit on open files from which a leak of sockets is about to stop it."""


def judge_close_wait(
    snapshot: Snapshot,
    lasting_ms: float = STANDSTILL_MS,
    most_kept: int = MOST_KEPT,
    slowest_ms: float = SLOWEST_MS,
) -> Iterator[Judgement]:
    """Find processes that keep connections which the other end closed long ago, and of which nothing can come.

    Somebody who has closed one direction only still waits for the answer: while a process holds the other end, it is no
    leak. A pool of clients often keeps a few that it has not looked at since, and a server may still work on what
    somebody asked that has given up; such are told as a fact until they are many, or old. The time since the peer's
    last acknowledgement is that since it closed, or less.
    """
    listeners, ends = Listeners(snapshot.records), pair_up(snapshot.records)
    groups: dict[object, list[ConnRecord]] = defaultdict(list)
    for row in snapshot.records:
        if _is_left_open(row, ends, snapshot, lasting_ms):
            groups[_name_holders(row)].append(row)
    for rows in groups.values():
        served = [row for row in rows if listeners.find(row.local.address, row.local.port)]
        is_read = [row for row in rows if row.recv_q_bytes == 0]
        is_old = any(_read_age(row) >= slowest_ms for row in served)
        is_pool = len(rows) < most_kept and not is_old and not is_read
        busy = "A server that still works on what was asked closes it then." if served else POOL
        yield _judge_left_open(rows, snapshot, busy if is_pool else None)


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


def _judge_left_open(rows: Sequence[ConnRecord], snapshot: Snapshot, excuse: str | None) -> Judgement:
    first = rows[0]
    age = max((row.tcp.last_ack_ms or 0) if row.tcp else 0 for row in rows)
    unread = sum(max((row.recv_q_bytes or 0) - 1, 0) for row in rows)
    limit = next(
        (state.most_files for owner in first.owners or () if (state := snapshot.processes.get(owner.pid))), None
    )
    at_limit = limit is not None and len(rows) >= FILES_USED_UP * limit
    stopped = tell_stopped(first, snapshot)
    what = _explain(rows, unread)
    finding = Finding(
        code="close-wait-leak",
        severity="fail" if at_limit else "info" if excuse else "warn",
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
        hint=CONTINUE if stopped else excuse or what,
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
    """Find processes that do not read, so that no byte has gone into their buffers for ``lasting_ms`` while more waits.

    The receiver's window is shut, and the sender only probes it. A reader that takes a little does not open it
    (RFC 9293 3.8.6.2.2), so it must have taken nothing between the readings either. That the sender has meanwhile
    closed, or ended, changes nothing. What nobody has accepted yet is the listener's finding.
    """
    ends = pair_up(snapshot.records)
    groups: dict[object, list[_Standstill]] = defaultdict(list)
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
            groups[_name_holders(receiver)].append(_Standstill(age, sender, receiver))
    for found in groups.values():
        yield _judge_stuck(found, snapshot)


class _Standstill(NamedTuple):
    """A connection on which nothing goes, and the milliseconds since something went."""

    age: float
    sender: ConnRecord
    receiver: ConnRecord


def _name_holders(row: ConnRecord) -> object:
    """What connections of one process have in common: its pid, or where that is hidden, user, group and service."""
    pids = tuple(owner.pid for owner in row.owners or ())
    ports = {end.port for end in (row.local, row.remote) if end}
    return pids or (row.uid, row.cgroup, min(ports))


def _read_age(row: ConnRecord) -> float:
    return (row.tcp.last_ack_ms or 0) if row.tcp else 0


def _age_of_standstill(sender: ConnRecord, receiver: ConnRecord) -> float | None:
    """Time since the last byte went, by both ends; ``None`` if that was not measured."""
    if sender.tcp is None or receiver.tcp is None:
        return None
    if sender.tcp.last_sent_ms is None or receiver.tcp.last_received_ms is None:
        return None
    return min(sender.tcp.last_sent_ms, receiver.tcp.last_received_ms)


def _judge_stuck(found: Sequence[_Standstill], snapshot: Snapshot) -> Judgement:
    age, sender, receiver = max(found, key=lambda one: one.age)
    stopped = tell_stopped(receiver, snapshot)
    waits = "whose process has closed it or ended" if sender.inode == 0 else f"of {name_owners(sender)}"
    limited = sender.tcp.rwnd_limited_ms if sender.tcp else None
    finding = Finding(
        code="stuck-receiver",
        severity="warn",
        subject=name_owners(receiver),
        message=(
            f"{name_owners(receiver)} does not read enough from {_name_pair(receiver)}: nothing has fitted in for "
            f"{seconds(age)}, and {count(sender.send_q_bytes or 0, 'byte')} {waits} wait"
        ),
        evidence=(
            Evidence(name="connections that stand still", value=len(found), source=snapshot.source),
            Evidence(name="unread at the receiver", value=receiver.recv_q_bytes, source=snapshot.source),
            Evidence(name="unsent at the sender", value=sender.send_q_bytes, source=snapshot.source),
            Evidence(name="sender's timer", value=sender.timer, source=snapshot.source),
            Evidence(name="time since the last byte", value=seconds(age), source=snapshot.source),
            Evidence(name="sender's rwnd_limited_ms", value=limited, source=snapshot.source),
            *tell_pid(receiver),
            *stopped,
        ),
        hint=CONTINUE
        if stopped
        else "See what the receiving process waits for; the sender can only wait with it. Larger buffers do not help.",
        fix=None,
        see=("RFC 9293 3.8.6.1",),
    )
    return Judgement(finding, tuple(row for one in found for row in (one.receiver, one.sender)))


def _name_pair(row: ConnRecord) -> str:
    return f"{name_end(row.local)} -> {name_end(row.remote)}" if row.remote else name_end(row.local)
