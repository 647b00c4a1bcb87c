"""Control groups: which service or container a socket belongs to, though its process may be hidden."""

from __future__ import annotations

import os
import re
from contextlib import suppress

from lodiag.system.facts import Group

MOUNTS = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
"""Where systemd mounts the unified hierarchy: alone, or beside the old ones (cgroups(7))."""

UNIT = re.compile(r"[^/]+\.(?:service|scope|socket)(?=/|$)")
CONTAINER = re.compile(r"(?:^|[/:-])([0-9a-f]{64})(?=(?:\.scope)?(?:/|$))")
"""Docker, containerd, CRI-O and podman name a container's group after its id of 64 hexadecimal digits."""

SHORT_ID = 12
"""Digits of an id that container tools show."""


def list_groups() -> dict[int, Group]:
    """All control groups by id, which is the inode of the group's directory; empty where there are none."""
    for mount in MOUNTS:
        if os.path.exists(f"{mount}/cgroup.controllers"):  # noqa: PTH110 - a Path each costs
            return _walk(mount)
    return {}


def _walk(mount: str) -> dict[int, Group]:
    groups = {}
    for path, _, _ in os.walk(mount):
        with suppress(OSError):  # removed meanwhile
            groups[os.stat(path).st_ino] = parse_path(path[len(mount) :] or "/")  # noqa: PTH116 - as above
    return groups


def parse_path(path: str) -> Group:
    """Tell the innermost systemd unit and the innermost container, by its short id, that a group's path names."""
    units, containers = UNIT.findall(path), CONTAINER.findall(path)
    return Group(path, units[-1] if units else None, containers[-1][:SHORT_ID] if containers else None)
