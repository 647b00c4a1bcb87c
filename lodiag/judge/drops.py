"""What is lost or left without an answer: connections and datagrams for which there was no room, and SYNs."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from lodiag.judge.queues import stays_full
from lodiag.judge.services import is_full
from lodiag.judge.snapshot import Judgement, Listeners, count, name_end, name_owners, tell_pid, tell_stopped
from lodiag.model import Evidence, Finding
from lodiag.targets import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lodiag.judge.snapshot import Snapshot
    from lodiag.model.conns import ConnRecord, Endpoint

KNOCKS = 2
"""SYNs sent again: the second goes out after 2 or 3 seconds, and what a burst shut out is let in by it."""

KNOCKS_AT_OVERFLOWED = 4
"""The fourth goes out after 15 seconds or more: a queue that has room was hardly full at each of them."""

UNANSWERED = 4
"""Segments sent again: the fourth goes out after 3 seconds (TCP_RTO_MIN is 0.2 s), to an end microseconds away."""


def judge_overflows(snapshot: Snapshot) -> Iterator[Judgement]:
    """Find listeners that dropped connections between the readings, although their queue does not stay full.

    What a listener drops may have another cause than its queue, so the kernel's count of overflows must have risen too.
    """
    if snapshot.overflows.get("accept", 0) <= 0:
        return
    for row in snapshot.records:
        again = snapshot.again(row) if row.state == "listen" else None
        if again is None or row.drops is None or again.drops is None or again.drops <= row.drops:
            continue
        if stays_full(row, again):
            continue
        finding = Finding(
            code="accept-queue-overflow",
            severity="warn",
            subject=name_end(row.local),
            message=(
                f"{name_end(row.local)} of {name_owners(row)} drops connections: more come at once than its queue holds"
            ),
            evidence=(
                Evidence(name="dropped between two readings", value=again.drops - row.drops, source=snapshot.source),
                Evidence(
                    name="overflows of all listeners", value=snapshot.overflows["accept"], source="kernel counter"
                ),
                Evidence(name="accept_queue", value=row.accept_queue, source=snapshot.source),
                Evidence(name="backlog", value=row.backlog, source=snapshot.source),
                *tell_pid(row),
            ),
            hint="Its clients try again after a second. Give it a larger backlog in listen(2), or more workers.",
            fix=None,
            see=(),
        )
        yield Judgement(finding, (row,))


def judge_udp_drops(snapshot: Snapshot) -> Iterator[Judgement]:
    """Find UDP sockets that lose datagrams because nobody reads them in time.

    A socket's count of drops includes what its filter refused. So the loss is only called an overflow while it goes on,
    and if the kernel's count of full buffers has risen with it; that a socket has ever dropped is told as a fact.
    """
    for row in snapshot.records:
        if row.proto != "udp" or not row.drops or snapshot.is_gone(row):
            continue
        again = snapshot.again(row) or row
        dropped = (again.drops or 0) - row.drops
        is_going_on = dropped > 0 and snapshot.overflows.get("udp", 0) > 0
        where = f"{name_end(row.local)} of {name_owners(row)}"
        finding = Finding(
            code="udp-drops",
            severity="warn" if is_going_on else "info",
            subject=name_end(row.local),
            message=(
                f"{where} loses datagrams: it reads more slowly than they come"
                if is_going_on
                else f"{where} has dropped {count(again.drops or 0, 'datagram')} since it was opened"
            ),
            evidence=(
                Evidence(name="drops", value=again.drops, source=snapshot.source),
                Evidence(name="dropped between two readings", value=dropped, source=snapshot.source),
                Evidence(name="recv_q_bytes", value=row.recv_q_bytes, source=snapshot.source),
                *tell_pid(row),
                *tell_stopped(row, snapshot),
            ),
            hint="Read them faster, or ask for a larger buffer (SO_RCVBUF), which helps against bursts only.",
            fix=None,
            see=(),
        )
        yield Judgement(finding, (row,))


def judge_syn_sent(snapshot: Snapshot, knocks: int = KNOCKS) -> Iterator[Judgement]:
    """Find connections whose SYN is not answered: on the loopback an answer takes microseconds, and a refusal too.

    A full queue is the listener's finding. One that has overflowed before may have been full when they came, so more
    is asked for there.
    """
    listeners = Listeners(snapshot.records)
    unanswered: dict[tuple[str, int], list[ConnRecord]] = defaultdict(list)
    for row in snapshot.records:
        again = snapshot.again(row) or row
        is_lasting = (row.timer_retransmits or 0) >= knocks and again.state == "syn-sent"
        if row.state == "syn-sent" and row.remote and is_lasting and not snapshot.is_gone(row):
            unanswered[row.remote.address, row.remote.port].append(row)
    for (address, port), rows in unanswered.items():
        there = listeners.find(address, port)
        if not is_loopback(address) or any(_is_full(row, snapshot) for row in there):
            continue
        least = KNOCKS_AT_OVERFLOWED if any(row.drops for row in there) else knocks
        lasting = [row for row in rows if (row.timer_retransmits or 0) >= least]
        if lasting:
            yield _judge_unanswered(lasting, there, snapshot)


def _is_full(listener: ConnRecord, snapshot: Snapshot) -> bool:
    """Whether a listener's queue is full at either reading, or it has dropped something between them."""
    again = snapshot.again(listener) or listener
    return any(map(is_full, (listener, again))) or (again.drops or 0) > (listener.drops or 0)


def judge_lost_segments(snapshot: Snapshot, tries: int = UNANSWERED) -> Iterator[Judgement]:
    """Find connections whose data, or end, is not acknowledged: the kernel does that itself, whatever the process does.

    What a full receive buffer holds up is probed and not sent again. A connection that its server's queue has no room
    for is half open, and answered as little; where a listener has ever overflowed, such are left to its own findings.
    """
    listeners = Listeners(snapshot.records)
    lost: dict[Endpoint, list[ConnRecord]] = defaultdict(list)
    for row in snapshot.records:
        again = snapshot.again(row)
        if again is None or row.timer != "retransmit" or row.state == "syn-sent" or row.remote is None:
            continue
        is_inside = is_loopback(row.local.address) and is_loopback(row.remote.address)
        is_lasting = (row.timer_retransmits or 0) >= tries and (again.timer_retransmits or 0) >= tries
        servers = {end: listeners.find(end.address, end.port) for end in (row.remote, row.local)}
        has_overflowed = any(there.drops for found in servers.values() for there in found)
        if is_inside and is_lasting and not has_overflowed:
            lost[next((end for end, found in servers.items() if found), row.remote)].append(row)
    for end, rows in lost.items():
        yield _judge_lost(end, rows, snapshot)


def _judge_lost(end: Endpoint, rows: Sequence[ConnRecord], snapshot: Snapshot) -> Judgement:
    first = max(rows, key=lambda row: row.timer_retransmits or 0)
    pair = f"{name_end(first.local)} -> {name_end(first.remote)}" if first.remote else name_end(first.local)
    finding = Finding(
        code="segments-lost",
        severity="fail",
        subject=name_end(end),
        message=f"what {name_owners(first)} sends over {pair} is not acknowledged",
        evidence=(
            Evidence(name="such ends of connections", value=len(rows), source=snapshot.source),
            Evidence(name="state", value=first.state, source=snapshot.source),
            Evidence(name="timer_retransmits", value=first.timer_retransmits, source=snapshot.source),
            Evidence(name="send_q_bytes", value=first.send_q_bytes, source=snapshot.source),
            *tell_pid(first),
        ),
        hint="A packet filter, or what shapes the traffic of the interface, drops them: both ends are in this kernel.",
        fix=None,
        see=("RFC 6298 5",),
    )
    return Judgement(finding, tuple(rows))


def _judge_unanswered(rows: Sequence[ConnRecord], there: Sequence[ConnRecord], snapshot: Snapshot) -> Judgement:
    first = rows[0]
    target = name_end(first.remote) if first.remote else ""
    what = f"though {name_owners(there[0])} listens there and has room" if there else "though nothing listens there"
    finding = Finding(
        code="syn-sent-lasting",
        severity="fail" if there and there[0].drops == 0 else "warn",
        subject=target,
        message=f"{count(len(rows), 'connection')} to {target} from {name_owners(first)} got no answer, {what}",
        evidence=(
            Evidence(name="state", value=first.state, source=snapshot.source),
            Evidence(
                name="timer_retransmits", value=max(r.timer_retransmits or 0 for r in rows), source=snapshot.source
            ),
            *(Evidence(name="accept_queue", value=row.accept_queue, source=snapshot.source) for row in there[:1]),
            *(Evidence(name="backlog", value=row.backlog, source=snapshot.source) for row in there[:1]),
            *tell_pid(first),
        ),
        hint="A packet filter, or what shapes the traffic of the interface, drops them: an answer takes microseconds.",
        fix=None,
        see=("RFC 9293 3.5",),
    )
    return Judgement(finding, (*rows, *there))
