"""The plain facts that the sources of ``system`` hand up."""

from __future__ import annotations

from typing import NamedTuple


class Socket(NamedTuple):
    """A TCP or UDP socket as its source has it: addresses not yet unmapped, owners as pids."""

    proto: str
    family: str
    state: str
    local: tuple[str, int]
    remote: tuple[str, int] | None
    pids: tuple[int, ...]


class SocketTable(NamedTuple):
    """All sockets of one reading; ``partial`` says why some are missing, or is ``None``."""

    source: str
    sockets: tuple[Socket, ...]
    partial: str | None


class Process(NamedTuple):
    """A process; ``None`` for what it hides."""

    pid: int
    name: str | None
    user: str | None
    cmdline: str | None


class Setting(NamedTuple):
    """A kernel parameter; ``None`` if there is none by that name, or it may not be read."""

    name: str
    value: str | None


class Interface(NamedTuple):
    """A loopback interface."""

    name: str
    is_up: bool
    mtu_bytes: int
    addresses: tuple[str, ...]
