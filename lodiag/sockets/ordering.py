"""In which order sockets are listed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lodiag.sockets.options import STATES

if TYPE_CHECKING:
    from collections.abc import Callable

    from lodiag.model.conns import ConnRecord
    from lodiag.sockets.describing import ConnTable
    from lodiag.system.facts import Socket

NOBODY = "", 0
_RANKS = {state: rank for rank, state in enumerate(STATES)}

_BY_SOCKET: dict[str, Callable[[Any], Any]] = {
    "state": lambda row: _RANKS.get(row.state, len(STATES)),
    "port": lambda row: row.local[1],
    "proto": lambda row: row.proto,
    "local": lambda row: row.local[0],
    "remote": lambda row: row.remote or NOBODY,
}
_BY_OWNERS: dict[str, Callable[[Any], Any]] = {
    "pid": lambda owners: owners[0].pid if owners else 0,
    "process": lambda owners: (owners[0].process or "" if owners else "").casefold(),
}
SORT_KEYS = (*_BY_SOCKET, *_BY_OWNERS)


def by_ends(row: Socket | ConnRecord) -> tuple[object, ...]:
    """Order of sockets that are equal by the chosen key."""
    address, port = row.local
    return (port, row.proto, row.family, address, row.remote or NOBODY, row.inode or 0)


def by_key(sort: str) -> Callable[[ConnRecord], Any]:
    """Order of records by a key of ``SORT_KEYS``."""
    key = _BY_SOCKET.get(sort)
    return key or (lambda record: _BY_OWNERS[sort](record.owners))


def sort_sockets(rows: list[Socket], sort: str) -> list[Socket]:
    """Sort by a key of ``SORT_KEYS`` as far as that is known of sockets without their owners."""
    rows.sort(key=by_ends)
    if sort in _BY_SOCKET:
        rows.sort(key=_BY_SOCKET[sort])
    return rows


def sort_by_owners(records: ConnTable, sort: str) -> ConnTable:
    """Sort further by a key of owners, if that is one."""
    if sort not in _BY_OWNERS:
        return records
    keys = [*map(_BY_OWNERS[sort], records.column("owners"))]
    return records.pick(sorted(range(len(records)), key=keys.__getitem__))
