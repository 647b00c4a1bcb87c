"""All that can be judged of the sockets of a machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.judge.drops import judge_lost_segments, judge_overflows, judge_syn_sent, judge_udp_drops
from lodiag.judge.ephemeral import judge_ephemeral_ports
from lodiag.judge.flows import judge_close_wait, judge_stuck_receivers
from lodiag.judge.peers import judge_orphaned_clients, judge_self_connections
from lodiag.judge.ports import find_undecided, judge_held_ports, judge_ports
from lodiag.judge.queues import judge_accept_queues, judge_unaccepted
from lodiag.model import Missing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lodiag.judge.snapshot import Judgement, Snapshot
    from lodiag.model.conns import ConnRecord

JUDGES = (
    judge_accept_queues,
    judge_overflows,
    judge_unaccepted,
    judge_syn_sent,
    judge_lost_segments,
    judge_udp_drops,
    judge_close_wait,
    judge_stuck_receivers,
    judge_self_connections,
    judge_orphaned_clients,
    judge_ephemeral_ports,
    judge_ports,
    judge_held_ports,
)


def judge_sockets(snapshot: Snapshot) -> Iterator[Judgement]:
    """Judge the sockets of a machine in every way there is."""
    for judge in JUDGES:
        yield from judge(snapshot)


def find_unjudged(snapshot: Snapshot, records: Iterable[ConnRecord]) -> Iterator[Missing]:
    """Say what could not be judged of these sockets, so that silence is not read as health."""
    if snapshot.later is None:
        why = f"the source {snapshot.source} does not tell them, so most findings cannot be made"
        yield Missing(what="ages of connections, limits of queues and what changes", count=None, why=why)
    range_read = snapshot.settings.get("port-range")
    if range_read is None or range_read.value is None:
        why = "this system does not tell it, so it cannot be judged whether they run out"
        yield Missing(what="the range of ports for clients", count=None, why=why)
    ports = {record.local.port for record in records if record.state == "listen"}
    undecided = [str(port) for port in find_undecided(snapshot) if port in ports]
    if undecided:
        why = "their processes may not be seen, so it cannot be judged whether strangers share a port"
        yield Missing(what=f"who listens at port {', '.join(undecided)}", count=None, why=why)
