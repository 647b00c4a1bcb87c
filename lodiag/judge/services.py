"""Whether sockets that answer on one port belong to one service, or to strangers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TypeAlias

    from lodiag.model.conns import ConnRecord
    from lodiag.model.who import WhoSocket
    from lodiag.system.facts import Condition

    Listener: TypeAlias = ConnRecord | WhoSocket

INIT_GROUP = "init.scope"
"""Where systemd itself is, which opens the sockets that it later hands to a service (systemd.socket(5))."""
INIT_PID = 1
"""Parent of whoever has lost its own, so having it in common means nothing."""
ROOT = 0


def are_strangers(some: Sequence[Listener], others: Sequence[Listener], processes: Mapping[int, Condition]) -> bool:
    """Whether none of the sockets belongs, or may belong, to the same service as one of the others."""
    return all(is_same_service(one, other, processes) is False for one in some for other in others)


def is_full(listener: Listener) -> bool | None:
    """Whether a listener takes nobody more; ``None`` where that is not told.

    Its queue takes one more than its limit (sk_acceptq_is_full in Linux's include/net/sock.h).
    """
    if listener.accept_queue is None or listener.backlog is None:
        return None
    return listener.accept_queue > listener.backlog


def is_same_service(one: Listener, other: Listener, processes: Mapping[int, Condition]) -> bool | None:
    """Whether two sockets belong to one service; ``None`` where that cannot be known.

    They do if a process holds both, or if both are held by processes that run the same program and are parent and child
    or have the same parent, as workers are, or are of one systemd service. Where processes are hidden, units and users
    tell services apart, but for root's, which opens sockets for others.
    """
    if None not in {one.container, other.container} and one.container != other.container:
        return False
    if one.owners and other.owners:
        return any(_are_kin(a.pid, b.pid, one.unit, other.unit, processes) for a in one.owners for b in other.owners)
    units, users = {one.unit, other.unit}, {one.uid, other.uid}
    are_apart = (len(units) > 1 and not units & {None, INIT_GROUP}) or (len(users) > 1 and not users & {None, ROOT})
    return False if are_apart else None


def _are_kin(a: int, b: int, unit: str | None, other_unit: str | None, processes: Mapping[int, Condition]) -> bool:
    if a == b:
        return True
    one, other = processes.get(a), processes.get(b)
    if one is None or other is None or one.program is None or other.program is None:
        return True  # of one that has ended meanwhile nothing is known, and nothing is held against it
    if one.program != other.program:
        return False
    are_related = a in other.parents or b in one.parents
    init = processes.get(INIT_PID)
    is_init_theirs = init is not None and init.program == one.program  # as that of a container is
    has_parent = bool(one.parents) and (one.parents[0] != INIT_PID or is_init_theirs)
    are_siblings = has_parent and one.parents[:1] == other.parents[:1]
    is_service = unit is not None and unit == other_unit and unit.endswith(".service") and not unit.startswith("user@")
    return are_related or are_siblings or is_service
