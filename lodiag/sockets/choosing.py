"""Which sockets are listed: by what they are, and by who holds or made them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.errors import ConfigError
from lodiag.sockets.describing import answers_everywhere, touches_loopback
from lodiag.targets import is_loopback

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from lodiag.model.conns import ConnRecord, Owner
    from lodiag.sockets.describing import ConnTable
    from lodiag.sockets.options import ConnsOptions
    from lodiag.system import System
    from lodiag.system.facts import Socket

LONGEST_UID = 10
"""Digits of the largest user id, which has 32 bits."""


def choose(rows: Sequence[Socket], wanted: ConnsOptions) -> list[Socket]:
    """Leave what was not asked for out, filter by filter: each costs only when it was given."""
    if wanted.proto is not None:
        rows = [row for row in rows if row.proto == wanted.proto]
    if wanted.family is not None:
        rows = [row for row in rows if row.family == wanted.family]
    if wanted.states is not None:
        rows = [row for row in rows if row.state in wanted.states]
    if wanted.port is not None:
        rows = [row for row in rows if wanted.port in {row.local[1], row.remote and row.remote[1]}]
    if wanted.local_port is not None:
        rows = [row for row in rows if row.local[1] == wanted.local_port]
    if wanted.remote_port is not None:
        rows = [row for row in rows if row.remote and row.remote[1] == wanted.remote_port]
    if wanted.local_address is not None:
        rows = [row for row in rows if row.local[0] == wanted.local_address]
    here = {address: is_loopback(address) for address in {row.local[0] for row in rows}}
    return [
        row
        for row in rows
        if here[row.local[0]] or touches_loopback(row) or (wanted.wildcard and answers_everywhere(row))
    ]


def choose_owned(records: ConnTable, wanted: ConnsOptions, users: Collection[str]) -> ConnTable:
    """Leave out what does not belong to whom it should; ``users`` is of ``name_users``."""
    columns = (records.column(name) for name in ("owners", "user", "unit", "container"))
    facts = enumerate(zip(*columns, strict=True))
    return records.pick([at for at, (o, u, n, c) in facts if _is_owned_as_wanted(o, u, (n, c), wanted, users)])


def is_owned_as_wanted(record: ConnRecord, wanted: ConnsOptions, users: Collection[str]) -> bool:
    """Whether a socket has the process, the user and the unit that are wanted; ``users`` is of ``name_users``."""
    return _is_owned_as_wanted(record.owners, record.user, (record.unit, record.container), wanted, users)


def _is_owned_as_wanted(
    owners: tuple[Owner, ...] | None,
    user: str | None,
    groups: tuple[str | None, ...],
    wanted: ConnsOptions,
    users: Collection[str],
) -> bool:
    held = owners or ()
    return (
        (wanted.pid is None or any(owner.pid == wanted.pid for owner in held))
        and (wanted.process is None or any(contains(owner.process, wanted.process) for owner in held))
        and (not users or user in users or any(owner.user in users for owner in held))
        and (wanted.unit is None or any(contains(group, wanted.unit) for group in groups))
    )


def contains(text: str | None, wanted: str) -> bool:
    """Whether a text is in another, in any case."""
    return wanted.casefold() in (text or "").casefold()


def name_users(user: str | None, system: System) -> set[str]:
    """Names by which a user may be told: what was given and, if that is a number, the name of that user.

    Raises:
        ConfigError: There is no user of this name.

    """
    if user is None:
        return set()
    if user.isascii() and user.isdecimal() and len(user) <= LONGEST_UID:
        return {user, system.name_user(int(user))}
    if system.has_user(user) is False:
        message = f"there is no user {user[:40]!r}"
        raise ConfigError(message, "Give the number of one that only a container knows.")
    return {user}
