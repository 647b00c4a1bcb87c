"""What may be changed of interfaces, addresses, routes and rules, and that a system refuses to."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from lodiag.model.net import LinkAddress, Route, Rule


class Change(NamedTuple):
    """Something to change: ``verb`` says what, and which of the others are given.

    ``up``, ``down``, ``mtu`` (``mtu``) and ``no-qdisc`` are of an interface; ``add`` and ``del`` of an ``address``,
    ``restore`` adds one that may still be there; ``add-route`` and ``del-route`` of a ``route``; ``add-rule`` and
    ``del-rule`` of a ``rule``.
    """

    verb: str
    ifname: str
    ifindex: int
    mtu: int | None = None
    address: LinkAddress | None = None
    route: Route | None = None
    rule: Rule | None = None


class ChangeRefusedError(Exception):
    """The system did not make a change: ``error`` is its word, such as EPERM."""

    def __init__(self, change: Change, code: int, message: str) -> None:
        """Keep what was refused."""
        super().__init__(message)
        self.change = change
        self.error = errno.errorcode.get(code, str(code))
