"""What a socket of the table is to a person: its ends, its scope, its owners."""

from __future__ import annotations

from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any, overload

from lodiag.model import Records, names_of
from lodiag.model.conns import ConnRecord, Owner
from lodiag.system.facts import Group, Holder, Socket
from lodiag.targets import is_loopback, is_wildcard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from lodiag.sockets.options import ConnsOptions
    from lodiag.system import System

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

NO_GROUP = Group(None, None, None)


def answers_everywhere(row: Socket) -> bool:
    """Whether a socket takes what is sent to any address, or would if it listened."""
    return is_wildcard(row.local[0]) and (row.state in LISTENING or row.state == "bound")


def touches_loopback(row: Socket) -> bool:
    """Whether an end is on the loopback."""
    return is_loopback(row.local[0]) or (row.remote is not None and is_loopback(row.remote[0]))


def leave_out_bound_elsewhere(rows: list[Socket], system: System) -> list[Socket]:
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


class ConnTable(Records[ConnRecord]):
    """Sockets as records, each made when it is asked for: 100 000 of them at once would take a second to make."""

    def __init__(self, rows: Sequence[Socket], held: Sequence[tuple[Holder, ...] | None], describer: Describer) -> None:
        """Keep sockets and, in the same order, what ``describer.find_owners`` found of them."""
        self.rows = rows
        """The sockets as their source has them, in the order of the records."""
        self._held, self._describer = held, describer

    def __len__(self) -> int:
        """Count the sockets."""
        return len(self.rows)

    @overload
    def __getitem__(self, at: int) -> ConnRecord: ...

    @overload
    def __getitem__(self, at: slice) -> ConnTable: ...

    def __getitem__(self, at: int | slice) -> ConnRecord | ConnTable:
        """Make the record at a place, or cut out some of the table."""
        if isinstance(at, slice):
            return ConnTable(self.rows[at], self._held[at], self._describer)
        return self._describer.describe(self.rows[at], self._held[at])

    def __iter__(self) -> Iterator[ConnRecord]:
        """Make the records one by one."""
        return map(self._describer.describe, self.rows, self._held)

    def pick(self, places: Iterable[int]) -> ConnTable:
        """Make a table of the sockets at these places, in this order."""
        chosen = list(places)
        return ConnTable([self.rows[at] for at in chosen], [self._held[at] for at in chosen], self._describer)

    def column(self, name: str) -> Sequence[Any]:
        """Values of one field of every record, in order, without making the records.

        ``processes`` are the owners without their descriptors: the same for all sockets of a process.
        """
        if name == "owners":
            return self._describer.name_owners(self._held)
        if name == "processes":
            return self._describer.name_processes(self._held)
        if name == "cookie":  # each has another
            return [None if row.cookie is None else f"{row.cookie:x}" for row in self.rows]
        if name == "no_owner":
            return [REASONS.get(row.state) if row.inode == 0 else None for row in self.rows]
        if name in ROW_FIELDS:
            return [*map(ROW_FIELDS[name], self.rows)]
        field, tell = self._describer.derived[name]
        values = [*map(_GET[field], self.rows)]
        told = {value: tell(value) for value in set(values)}
        return [*map(told.__getitem__, values)]


class Describer:
    """Makes records of sockets; what they share, such as a process, is asked for once."""

    def __init__(self, system: System, options: ConnsOptions) -> None:
        """Make one for the sockets that were asked for by ``options``."""
        self._system, self._options = system, options
        self._processes: dict[int, Owner] = {}
        self._users: dict[int, str] = {}
        self._groups: Mapping[int, Group] | None = None
        self.derived: dict[str, tuple[str, Callable[[Any], Any]]] = {
            "cookie": ("cookie", lambda cookie: None if cookie is None else f"{cookie:x}"),
            "user": ("uid", lambda uid: None if uid is None else self._name_user(uid)),
            "interface": ("interface_index", lambda index: None if index is None else system.name_interface(index)),
            "cgroup": ("cgroup_id", lambda number: self._find_group(number).path),
            "unit": ("cgroup_id", lambda number: self._find_group(number).unit),
            "container": ("cgroup_id", lambda number: self._find_group(number).container),
        }
        """Fields of a record that say in words what is a number in a field of the socket: its name, and how."""

    def find_owners(self, rows: Sequence[Socket]) -> list[tuple[Holder, ...] | None]:
        """Find the processes that hold sockets, and what they are called before they end.

        ``None`` for sockets of which they cannot be seen, or are not to be looked up.
        """
        if not self._options.with_process:
            return [None] * len(rows)
        inodes = {row.inode for row in rows if row.inode}
        holders: Mapping[int, tuple[Holder, ...]] = self._system.find_holders(inodes) if inodes else {}
        sees_all = self._system.sees_all_processes()
        held = [holders.get(row.inode or 0) or _find_other_holders(row, sees_all=sees_all) for row in rows]
        for pid in {holder[0] for found in held for holder in found or ()}.difference(self._processes):
            told = self._system.describe_process(pid, with_cmdline=self._options.with_cmdline)
            self._processes[pid] = Owner(pid, told.name, told.user, None, told.cmdline)
        return held

    def name_owners(self, held: Iterable[tuple[Holder, ...] | None]) -> list[tuple[Owner, ...] | None]:
        """Tell what the processes are that hold sockets."""
        return [None if found is None else tuple([self._name_owner(*holder) for holder in found]) for found in held]

    def name_processes(self, held: Iterable[tuple[Holder, ...] | None]) -> list[tuple[Owner, ...] | None]:
        """Tell what the processes are, whatever the descriptors by which they hold sockets."""
        known = {pid: (owner,) for pid, owner in self._processes.items()}
        return [
            None
            if found is None
            else known[found[0][0]]
            if len(found) == 1
            else tuple([self._processes[pid] for pid, _ in found])
            for found in held
        ]

    def describe(self, row: Socket, held: tuple[Holder, ...] | None) -> ConnRecord:
        """Make the record of a socket."""
        own = {name: get(row) for name, get in ROW_FIELDS.items()}
        told = {name: tell(getattr(row, field)) for name, (field, tell) in self.derived.items()}
        return ConnRecord(**own, **told, owners=self.name_owners([held])[0])

    def _name_owner(self, pid: int, fd: int | None) -> Owner:
        _, name, user, _, cmdline = self._processes[pid]
        return tuple.__new__(Owner, (pid, name, user, fd, cmdline))  # in a third of the time that the class takes

    def _name_user(self, uid: int) -> str:
        if uid not in self._users:
            self._users[uid] = self._system.name_user(uid)
        return self._users[uid]

    def _find_group(self, number: int | None) -> Group:
        if number is None:
            return NO_GROUP
        if self._groups is None:
            self._groups = self._system.list_groups()
        return self._groups.get(number, NO_GROUP)


def _find_other_holders(row: Socket, *, sees_all: bool) -> tuple[Holder, ...] | None:
    if row.inode is not None:
        return None if row.inode else ()
    if row.pids:
        return tuple(Holder(pid, None) for pid in row.pids)
    is_held = row.state in LISTENING or not (sees_all or row.state in OWNERLESS)
    return None if is_held else ()


def _explain_no_owner(row: Socket) -> str | None:
    return REASONS.get(row.state) if row.inode == 0 else None


def _name_scope(row: Socket) -> str:
    return _name_scope_of(row.local[0], row.remote and row.remote[0], row.interface_index is not None)


@lru_cache(maxsize=1024)
def _name_scope_of(here: str, there: str | None, is_bound: bool) -> str:  # noqa: FBT001 - a key of the cache
    """Name the scope; what is bound to the loopback interface has no other."""
    if there is not None:
        return "loopback" if is_loopback(here) and is_loopback(there) else "mixed"
    if is_wildcard(here):
        return "loopback" if is_bound else "wildcard"
    return "loopback" if is_loopback(here) else "mixed"


_GET: dict[str, Callable[[Socket], Any]] = {name: itemgetter(at) for at, name in enumerate(Socket._fields)}
ROW_FIELDS: dict[str, Callable[[Socket], Any]] = {
    name: get for name, get in _GET.items() if name in names_of(ConnRecord) and name != "cookie"
} | {"scope": _name_scope, "no_owner": _explain_no_owner}
"""Fields of a record that are the socket's own, or follow from several of its."""
