"""What lets packets of other hosts reach the loopback, and what else there is that is not seen from here."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from lodiag.system.facts import Namespaces, Opening, Setting

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SETTINGS = "/proc/sys/net/ipv4/conf"
PARAMETER = "route_localnet"
"""Documentation/networking/ip-sysctl.rst: addresses of the loopback are no martians then; that of all is for each."""
EVERY, NEW = "all", "default"
FIRST_PID_NAMESPACE = 0xEFFFFFFC
"""Inode of the outermost one (PROC_PID_INIT_INO in Linux's include/linux/proc_ns.h): in others processes are unseen."""
NAMED_NAMESPACES = "/run/netns"
"""Where ip-netns(8) keeps namespaces, which may have no process."""


def find_openings(up: Iterable[str]) -> tuple[Opening, ...]:
    """Find those of the interfaces ``up`` by which packets for 127.0.0.0/8 are let in."""
    of_all = _read(EVERY)
    return tuple(Opening(name, found) for name in sorted(up) for found in (of_all or _read(name),) if found)


def are_readable() -> bool:
    """Whether there is nothing to read, or it may be."""
    return sys.platform != "linux" or os.path.isdir(SETTINGS)  # noqa: PTH112 - a Path costs a millisecond


def list_interfaces() -> list[str]:
    """Name all interfaces that have settings, be they up or not."""
    with suppress(OSError):
        return [name for name in os.listdir(SETTINGS) if name not in {EVERY, NEW}]  # noqa: PTH208 - a Path costs
    return []


def is_any_open() -> bool:
    """Whether an interface, or all, have the parameter set, be they up or not."""
    return any(_read(name) for name in (EVERY, *list_interfaces()))


def _read(interface: str) -> Setting | None:
    """Give the parameter of an interface if it is set; sysctl(8) writes the dots of a name as slashes."""
    try:
        with open(f"{SETTINGS}/{interface}/{PARAMETER}", encoding="ascii") as file:  # noqa: PTH123 - as above
            value = file.read().strip()
    except (OSError, UnicodeError):  # gone, or a kernel before 3.6
        return None
    name = f"net.ipv4.conf.{interface.replace('.', '/')}.{PARAMETER}"
    return None if value == "0" else Setting(name, value)


def count_namespaces(*, sees_all: bool) -> Namespaces:
    """Count the network namespaces that processes of this machine are in, or that have a name, but for this one.

    ``sees_all`` is whether no process of this pid namespace is hidden.
    """
    if sys.platform != "linux":
        return Namespaces(0, is_whole=True)
    try:
        own = os.stat("/proc/self/ns/net").st_ino  # noqa: PTH116 - as above
        is_outermost = os.stat("/proc/self/ns/pid").st_ino == FIRST_PID_NAMESPACE  # noqa: PTH116 - as above
    except OSError:  # /proc is hidden
        return Namespaces(0, is_whole=False)
    found = set()
    for path in _list_namespaces():
        with suppress(OSError):  # hidden, or gone
            found.add(os.stat(path).st_ino)  # noqa: PTH116 - as above
    return Namespaces(len(found - {own}), is_whole=sees_all and is_outermost)


def _list_namespaces() -> Iterator[str]:
    yield from (f"/proc/{name}/ns/net" for name in os.listdir("/proc") if name.isdecimal())  # noqa: PTH208 - as above
    with suppress(OSError):  # there are none
        yield from (f"{NAMED_NAMESPACES}/{name}" for name in os.listdir(NAMED_NAMESPACES))  # noqa: PTH208 - as above
