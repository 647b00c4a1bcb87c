"""Queues that overflow, and connections that nobody takes out of them."""

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
    seconds,
    tell_pid,
    tell_stopped,
)
from lodiag.model import Evidence, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lodiag.judge.snapshot import Snapshot
    from lodiag.model.conns import ConnRecord

NEARLY_FULL = 0.8
"""Part of the limit from which a queue is nearly full: what is left is less than the next burst may bring."""

STALLED_MS = 1_000
"""A queue that is long is no harm while it moves. Whom it shuts out tries again after a second (RFC 6298 2.1)."""

UNACCEPTED_MS = 10_000
"""A server accepts within milliseconds. After 10 seconds most clients have given up, and no burst lasts as long."""

SEE_WHAT_IT_DOES = "See what the process waits for: it may be deadlocked, out of descriptors, or busy with one client."


def judge_accept_queues(snapshot: Snapshot, nearly_full: float = NEARLY_FULL) -> Iterator[Judgement]:
    """Find listeners whose accept queue is full: the kernel drops what else comes, and clients hang.

    A burst fills a queue for a moment, so it must be as full a moment later, and either somebody was dropped meanwhile
    or somebody has waited in it for long. It is a failure only if it is full, stands still and shuts somebody out.
    """
    listeners = Listeners(snapshot.records)
    waiting, knocking = _find_waiting(snapshot, listeners), find_knocking(snapshot.records, listeners)
    for row in snapshot.records:
        if row.state != "listen" or row.accept_queue is None or row.backlog is None or snapshot.is_gone(row):
            continue
        again = snapshot.again(row) or row
        if not stays_full(row, again, nearly_full):
            continue
        stalled = [
            child
            for child in waiting[id(row)]
            if _read_age(child) >= STALLED_MS and not snapshot.is_gone(child) and _still_waits(child, snapshot)
        ]
        dropped = (again.drops or 0) - (row.drops or 0)
        if stalled or dropped > 0:
            yield _judge_full(row, again, stalled, knocking[id(row)], snapshot)


def stays_full(row: ConnRecord, again: ConnRecord, nearly_full: float = NEARLY_FULL) -> bool:
    """Whether a listener's queue is full, or nearly, at both readings."""
    return min(row.accept_queue or 0, again.accept_queue or 0) >= max(1, nearly_full * (row.backlog or 0))


def _judge_full(
    row: ConnRecord,
    again: ConnRecord,
    stalled: Sequence[ConnRecord],
    knocking: Sequence[ConnRecord],
    snapshot: Snapshot,
) -> Judgement:
    queue, backlog = min(row.accept_queue or 0, again.accept_queue or 0), row.backlog or 0
    dropped = (again.drops or 0) - (row.drops or 0)
    is_full = queue > backlog
    stopped = tell_stopped(row, snapshot)
    slow = "It takes connections more slowly than they come: give it more workers, or a larger backlog in listen(2)."
    finding = Finding(
        code="accept-queue-full",
        severity="fail" if is_full and stalled and (knocking or dropped > 0) else "warn",
        subject=name_end(row.local),
        message=(
            f"the accept queue of {name_end(row.local)} is {'full' if is_full else 'nearly full'}: "
            f"{count(queue, 'connection')} of at most {backlog + 1} "
            f"{'waits' if queue == 1 else 'wait'} for {name_owners(row)}"
        ),
        evidence=(
            Evidence(name="accept_queue", value=row.accept_queue, source=snapshot.source),
            Evidence(name="backlog", value=row.backlog, source=snapshot.source),
            Evidence(name="drops", value=again.drops, source=snapshot.source),
            Evidence(name="dropped between two readings", value=dropped, source=snapshot.source),
            Evidence(name="clients that try again", value=len(knocking), source=snapshot.source),
            *(
                Evidence(name="longest wait", value=seconds(age), source=snapshot.source)
                for age in sorted(map(_read_age, stalled))[-1:]
            ),
            *tell_pid(row),
            *stopped,
        ),
        hint=CONTINUE if stopped else SEE_WHAT_IT_DOES if stalled else slow,
        fix=None,
        see=(),
    )
    return Judgement(finding, (row, *stalled, *knocking))


def _find_waiting(snapshot: Snapshot, listeners: Listeners) -> Mapping[int, list[ConnRecord]]:
    """Find the connections that wait in the queue of each listener, by its ``id``."""
    found: dict[int, list[ConnRecord]] = defaultdict(list)
    for row in snapshot.records:
        if is_unaccepted(row):
            for listener in listeners.find(row.local.address, row.local.port):
                found[id(listener)].append(row)
    return found


def is_unaccepted(row: ConnRecord) -> bool:
    """Whether a connection is whole and has no descriptor yet: the server has not called accept(2)."""
    return row.proto == "tcp" and row.inode == 0 and row.no_owner == "not-accepted"


def _still_waits(row: ConnRecord, snapshot: Snapshot) -> bool:
    again = snapshot.again(row)
    return again is None or is_unaccepted(again)


def _read_age(row: ConnRecord) -> float:
    """Time since the client last acknowledged anything, which is how long a connection has waited at least."""
    return (row.tcp.last_ack_ms or 0) if row.tcp else 0


def find_knocking(records: Sequence[ConnRecord], listeners: Listeners) -> Mapping[int, list[ConnRecord]]:
    """Find the clients that have asked a listener more than once and have no answer, by the listener's ``id``."""
    found: dict[int, list[ConnRecord]] = defaultdict(list)
    for row in records:
        if row.state == "syn-sent" and row.remote and row.timer_retransmits:
            for listener in listeners.find(row.remote.address, row.remote.port):
                found[id(listener)].append(row)
    return found


def judge_unaccepted(snapshot: Snapshot, lasting_ms: float = UNACCEPTED_MS) -> Iterator[Judgement]:
    """Find listeners that have let connections wait for ``lasting_ms`` and more."""
    waiting = _find_waiting(snapshot, Listeners(snapshot.records))
    for row in snapshot.records:
        old = [
            child
            for child in waiting.get(id(row), ())
            if _read_age(child) >= lasting_ms and not snapshot.is_gone(child) and _still_waits(child, snapshot)
        ]
        if old and not snapshot.is_gone(row):
            yield _judge_never_accepted(row, old, snapshot)


def _judge_never_accepted(row: ConnRecord, old: Sequence[ConnRecord], snapshot: Snapshot) -> Judgement:
    longest = max(map(_read_age, old))
    left = sum(child.state == "close-wait" for child in old)
    unread = sum(child.recv_q_bytes or 0 for child in old)
    stopped = tell_stopped(row, snapshot)
    finding = Finding(
        code="never-accepted",
        severity="warn",
        subject=name_end(row.local),
        message=(
            f"{name_owners(row)} has not accepted {count(len(old), 'connection')} to {name_end(row.local)}, "
            f"{'which has' if len(old) == 1 else 'the oldest of which has'} waited for {seconds(longest)} at least"
        ),
        evidence=(
            Evidence(name="connections not accepted", value=len(old), source=snapshot.source),
            Evidence(name="longest wait", value=seconds(longest), source=snapshot.source),
            Evidence(name="given up by the client", value=left, source=snapshot.source),
            Evidence(name="recv_q_bytes", value=unread, source=snapshot.source),
            Evidence(name="accept_queue", value=row.accept_queue, source=snapshot.source),
            *tell_pid(row),
            *stopped,
        ),
        hint=CONTINUE if stopped else f"It listens but does not call accept(2). {SEE_WHAT_IT_DOES}",
        fix=None,
        see=(),
    )
    return Judgement(finding, (row, *old))
