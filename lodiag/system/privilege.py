"""Who may change interfaces: a capability, and the namespaces that it counts in."""

from __future__ import annotations

import os
from contextlib import suppress

from lodiag.system.facts import Privilege

CAP_NET_ADMIN = 12
"""include/uapi/linux/capability.h"""
NS_GET_USERNS = 0xB701
"""ioctl_ns(2): a descriptor of the user namespace that owns a namespace."""


def describe() -> Privilege:
    """Tell whether this process has CAP_NET_ADMIN, where, and where it would need it."""
    return Privilege(_has_capability(), _number("user"), _number("net"), _find_owner())


def _has_capability() -> bool | None:
    try:
        with open("/proc/self/status", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - as in host
            held = next(line.split()[1] for line in file if line.startswith("CapEff:"))
    except (OSError, StopIteration):
        return None
    return bool(int(held, 16) >> CAP_NET_ADMIN & 1)


def _number(kind: str) -> int | None:
    try:
        return os.stat(f"/proc/self/ns/{kind}").st_ino  # noqa: PTH116 - as in host
    except OSError:
        return None


def _find_owner() -> int | None:
    """Find the user namespace that owns the network namespace; ``None`` if it is one outside of this process's own."""
    try:
        import fcntl

        network = os.open("/proc/self/ns/net", os.O_RDONLY)
    except (ImportError, OSError):
        return None
    try:
        owner = fcntl.ioctl(network, NS_GET_USERNS)
        number = os.fstat(owner).st_ino
        os.close(owner)
    except OSError:
        return None
    finally:
        with suppress(OSError):
            os.close(network)
    return number
