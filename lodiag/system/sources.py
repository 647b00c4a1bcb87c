"""Which mechanism tells the socket table: the best that this machine lets this user have, found by trying."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from lodiag.errors import UnsupportedError
from lodiag.limits import SOURCES

if TYPE_CHECKING:
    from lodiag.system.facts import Links, Question, SocketTable

LINK_SOURCES = {"rtnetlink": "interfaces", "psutil": "portlinks"}
"""As ``SOURCES``, of interfaces, read by ``read_links``."""


class SourceRefusedError(Exception):
    """This machine does not have the source, or does not let this user have it."""


def list_sockets(source: str | None, question: Question) -> SocketTable:
    """Read the socket table by ``source``, or by the first that is to be had; ``UnsupportedError`` if none is."""
    refused: list[tuple[str, str]] = []
    for name in [source] if source else SOURCES:
        module = import_module(f"lodiag.system.{SOURCES[name]}")
        try:
            table: SocketTable = module.list_sockets(question)
        except SourceRefusedError as refusal:
            refused.append((name, str(refusal)))
        else:
            return table._replace(refused=(*refused, *table.refused))
    reasons = "; ".join(f"{name}: {reason}" for name, reason in refused)
    message = f"the socket table cannot be read: {reasons}"
    raise UnsupportedError(message, "On Linux it is told by sock_diag and in /proc/net; is /proc mounted?")


def read_links(source: str | None) -> Links:
    """Read all interfaces and their addresses, likewise."""
    refused: list[tuple[str, str]] = []
    for name in [source] if source else LINK_SOURCES:
        module = import_module(f"lodiag.system.{LINK_SOURCES[name]}")
        try:
            links: Links = module.read_links()
        except (SourceRefusedError, OSError) as refusal:
            refused.append((name, str(refusal)))
        else:
            return links._replace(refused=tuple(refused))
    reasons = "; ".join(f"{name}: {reason}" for name, reason in refused)
    message = f"the interfaces cannot be read: {reasons}"
    raise UnsupportedError(message, "On Linux rtnetlink tells them; does a sandbox refuse netlink?")
