"""What a socket of the table is to a person: its ends, its scope, its owners."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lodiag.model.conns import ConnRecord, Endpoint, Owner
from lodiag.targets import is_loopback, is_wildcard, unmap

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lodiag.options import ConnsOptions
    from lodiag.system import System
    from lodiag.system.facts import Group, Holder, Socket

LISTENING = frozenset({"listen", "unconnected"})
"""States in which a socket answers anybody: a TCP listener, a UDP socket without a peer."""

OWNERLESS = frozenset({"syn-recv", "time-wait", "fin-wait-1", "fin-wait-2", "last-ack", "closing", "close"})
"""States in which a socket may have no process any more, or not yet."""

REASONS = {
    "time-wait": "time-wait",
    "syn-recv": "handshake",
    "established": "not-accepted",
    "close-wait": "not-accepted",
    "fin-wait-1": "orphan",
    "fin-wait-2": "orphan",
    "last-ack": "orphan",
    "closing": "orphan",
}
"""Why the kernel has no inode for a socket of a state: no descriptor leads to it any more, or not yet."""


def answers_everywhere(row: Socket) -> bool:
    """Whether a socket takes what is sent to any address, or would if it listened."""
    return is_wildcard(unmap(row.local[0])[0]) and (row.state in LISTENING or row.state == "bound")


def touches_loopback(row: Socket) -> bool:
    """Whether an end is on the loopback."""
    return is_loopback(row.local[0]) or (row.remote is not None and is_loopback(row.remote[0]))


def leave_out_bound_elsewhere(rows: Sequence[Socket], system: System) -> Sequence[Socket]:
    """Leave out what takes only what comes by an interface that is not the loopback (SO_BINDTODEVICE)."""
    indices = {row.interface_index for row in rows if row.interface_index is not None and row.remote is None}
    loopbacks = system.list_loopback_interfaces() if indices else None
    if loopbacks is None:
        return rows
    names = {interface.name for interface in loopbacks}
    elsewhere = {index for index in indices if system.name_interface(index) not in names}
    return [row for row in rows if row.remote is not None or row.interface_index not in elsewhere]


HIDDEN = "they belong to another user, to another container or to the kernel, or were closed or handed on meanwhile"
"""Why the owners of a socket may not be seen."""


class _End(NamedTuple):
    """An end of a socket, and what its address is."""

    end: Endpoint
    is_mapped: bool
    is_loopback: bool
    is_wildcard: bool


class Describer:
    """Makes records of sockets; what they share, such as a process, is asked for once."""

    def __init__(self, system: System, rows: Sequence[Socket], options: ConnsOptions) -> None:
        """Find out who holds the sockets of ``rows``."""
        self._system, self._options = system, options
        self._sees_all = system.sees_all_processes()
        inodes = {row.inode for row in rows if row.inode} if options.with_process else set()
        self._holders: Mapping[int, Sequence[Holder]] = system.find_holders(inodes) if inodes else {}
        self._groups: Mapping[int, Group] = system.list_groups() if any(row.cgroup_id for row in rows) else {}
        self._processes: dict[int, Owner] = {}
        self._users: dict[int, str] = {}
        self._ends: dict[tuple[str, int], _End] = {}

    def describe(self, row: Socket) -> ConnRecord:
        """Make the record of a socket."""
        local, remote = self._describe_end(row.local), None if row.remote is None else self._describe_end(row.remote)
        group = self._groups.get(row.cgroup_id) if row.cgroup_id else None
        return ConnRecord(
            proto=row.proto,
            family=row.family,
            state=row.state,
            local=local.end,
            remote=remote.end if remote else None,
            mapped=local.is_mapped,
            scope=_name_scope(local, remote, is_bound=row.interface_index is not None),
            owners=self._find_owners(row) if self._options.with_process else None,
            no_owner=REASONS.get(row.state) if row.inode == 0 else None,
            uid=row.uid,
            user=None if row.uid is None else self._name_user(row.uid),
            recv_q_bytes=row.recv_q_bytes,
            send_q_bytes=row.send_q_bytes,
            accept_queue=row.accept_queue,
            backlog=row.backlog,
            drops=row.drops,
            timer=row.timer,
            timer_ms=row.timer_ms,
            timer_retransmits=row.timer_retransmits,
            v6only=row.v6only,
            interface=None if row.interface_index is None else self._system.name_interface(row.interface_index),
            inode=row.inode,
            cookie=row.cookie,
            cgroup=group.path if group else None,
            unit=group.unit if group else None,
            container=group.container if group else None,
            congestion=row.congestion,
            tcp=row.tcp,
        )

    def _describe_end(self, end: tuple[str, int]) -> _End:
        found = self._ends.get(end)
        if found is None:
            address, is_mapped = unmap(end[0])
            shown = Endpoint(address=address, port=end[1])
            found = self._ends[end] = _End(shown, is_mapped, is_loopback(address), is_wildcard(address))
        return found

    def _find_owners(self, row: Socket) -> tuple[Owner, ...] | None:
        if row.inode is not None:
            if row.inode == 0:
                return ()
            holders = self._holders.get(row.inode)
            return tuple(self._ask(holder.pid, holder.fd) for holder in holders) if holders else None
        if row.pids:
            return tuple(self._ask(pid, None) for pid in row.pids)
        is_held = row.state in LISTENING or not (self._sees_all or row.state in OWNERLESS)
        return None if is_held else ()

    def _ask(self, pid: int, fd: int | None) -> Owner:
        known = self._processes.get(pid)
        if known is None:
            found = self._system.describe_process(pid, with_cmdline=self._options.with_cmdline)
            known = Owner(pid=pid, process=found.name, user=found.user, fd=fd, cmdline=found.cmdline)
            self._processes[pid] = known
        if known.fd == fd:
            return known
        return Owner(pid=pid, process=known.process, user=known.user, fd=fd, cmdline=known.cmdline)

    def _name_user(self, uid: int) -> str:
        if uid not in self._users:
            self._users[uid] = self._system.name_user(uid)
        return self._users[uid]


def _name_scope(local: _End, remote: _End | None, *, is_bound: bool) -> str:
    """Name the scope; what is bound to the loopback interface has no other."""
    if remote is None and local.is_wildcard and not is_bound:
        return "wildcard"
    is_inside = local.is_loopback or (remote is None and local.is_wildcard)
    return "loopback" if is_inside and (remote is None or remote.is_loopback) else "mixed"
