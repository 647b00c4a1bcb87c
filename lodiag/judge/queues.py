"""Queues that overflow, and connections that nobody takes out of them."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from lodiag.judge.services import is_full
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

SLOW_MS = 5_000
"""In a queue that is not full nobody is shut out; to wait there for seconds is what a small server under load does."""

UNACCEPTED_MS = 10_000
"""A server accepts within milliseconds. After 10 seconds most clients have given up, and no burst lasts as long."""

SEE_WHAT_IT_DOES = "See what the process waits for: it may be deadlocked, out of descriptors, or busy with one client."


def judge_accept_queues(snapshot: Snapshot, nearly_full: float = NEARLY_FULL) -> Iterator[Judgement]:
    """Find listeners whose accept queue is full: the kernel drops what else comes, and clients hang.

    A burst fills a queue for a moment, so it must be as full a moment later, and somebody must have waited in it for
    long, or been shut out meanwhile. It is a failure only if it is full, stands still and shuts somebody out.
    """
    listeners = Listeners(snapshot.records)
    waiting, knocking = _find_waiting(snapshot, listeners), _find_knocking(snapshot, listeners)
    for row in snapshot.records:
        if row.state != "listen" or row.accept_queue is None or row.backlog is None or snapshot.is_gone(row):
            continue
        again = snapshot.again(row) or row
        if not stays_full(row, again, nearly_full):
            continue
        found = _Queue(row, again, waiting[id(row)], knocking[id(row)])
        stalled = found.find_stalled(snapshot)
        long_ms = STALLED_MS if found.is_full else SLOW_MS
        if any(_read_age(child) >= long_ms for child in stalled) or found.dropped > 0 or found.shuts_out(stalled):
            yield _judge_full(found, stalled, snapshot)


class _Queue(NamedTuple):
    """A listener's queue at both readings: who waits in it at the first, and who asks in vain to be let in."""

    row: ConnRecord
    again: ConnRecord
    waiting: Sequence[ConnRecord]
    knocking: Sequence[ConnRecord]

    @property
    def length(self) -> int:
        return min(self.row.accept_queue or 0, self.again.accept_queue or 0)

    @property
    def is_full(self) -> bool:
        return self.length > (self.row.backlog or 0)

    @property
    def dropped(self) -> int:
        return (self.again.drops or 0) - (self.row.drops or 0)

    def find_stalled(self, snapshot: Snapshot) -> Sequence[ConnRecord]:
        """Find those that still wait at the second reading."""
        return [row for row in self.waiting if not snapshot.is_gone(row) and _still_waits(row, snapshot)]

    def shuts_out(self, stalled: Sequence[ConnRecord]) -> bool:
        """Whether it is full, nobody was taken out of it, and somebody knocks or was dropped."""
        is_asked = bool(self.knocking) or self.dropped > 0
        return self.is_full and is_asked and len(stalled) == len(self.waiting) > 0


def stays_full(row: ConnRecord, again: ConnRecord, nearly_full: float = NEARLY_FULL) -> bool:
    """Whether a listener's queue is full, or nearly, at both readings."""
    return min(row.accept_queue or 0, again.accept_queue or 0) >= max(1, nearly_full * (row.backlog or 0))


def _judge_full(found: _Queue, stalled: Sequence[ConnRecord], snapshot: Snapshot) -> Judgement:
    row, again = found.row, found.again
    stopped = tell_stopped(row, snapshot)
    slow = "It takes connections more slowly than they come: give it more workers, or a larger backlog in listen(2)."
    finding = Finding(
        code="accept-queue-full",
        severity="fail" if found.shuts_out(stalled) else "warn",
        subject=name_end(row.local),
        message=(
            f"the accept queue of {name_end(row.local)} is {'full' if found.is_full else 'nearly full'}: "
            f"{count(found.length, 'connection')} of at most {(row.backlog or 0) + 1} "
            f"{'waits' if found.length == 1 else 'wait'} for {name_owners(row)}"
        ),
        evidence=(
            Evidence(name="accept_queue", value=row.accept_queue, source=snapshot.source),
            Evidence(name="backlog", value=row.backlog, source=snapshot.source),
            Evidence(name="drops", value=again.drops, source=snapshot.source),
            Evidence(name="dropped between two readings", value=found.dropped, source=snapshot.source),
            Evidence(name="clients without an answer", value=len(found.knocking), source=snapshot.source),
            *(
                Evidence(name="longest wait", value=seconds(age), source=snapshot.source)
                for age in sorted(map(_read_age, stalled))[-1:]
            ),
            *tell_pid(row),
            *stopped,
        ),
        hint=CONTINUE if stopped else SEE_WHAT_IT_DOES if len(stalled) == len(found.waiting) > 0 else slow,
        fix=None,
        see=(),
    )
    return Judgement(finding, (row, *stalled, *found.knocking))


def _find_waiting(snapshot: Snapshot, listeners: Listeners) -> Mapping[int, list[ConnRecord]]:
    """Find the connections that wait in the queue of each listener, by its ``id``.

    Of several that share an address (SO_REUSEPORT) nothing tells which one a connection waits for, but that it is not
    one whose queue is empty.
    """
    found: dict[int, list[ConnRecord]] = defaultdict(list)
    for row in snapshot.records:
        if is_unaccepted(row):
            for listener in listeners.find(row.local.address, row.local.port):
                if listener.accept_queue != 0:
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


def _find_knocking(snapshot: Snapshot, listeners: Listeners) -> Mapping[int, list[ConnRecord]]:
    """Find the clients that a listener has not answered from one reading to the other, by the listener's ``id``."""
    found: dict[int, list[ConnRecord]] = defaultdict(list)
    for row in snapshot.records:
        again = snapshot.again(row)
        if row.state == "syn-sent" and row.remote and again is not None and again.state == "syn-sent":
            for listener in listeners.find(row.remote.address, row.remote.port):
                if is_full(listener) is not False:
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
