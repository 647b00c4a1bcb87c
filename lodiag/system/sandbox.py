"""What confines this process: capabilities, filters of system calls, security modules, containers, proxies."""

from __future__ import annotations

import errno
import os
import socket
from typing import NamedTuple
from urllib.parse import urlsplit

PROXIES = ("http_proxy", "https_proxy", "all_proxy")
CAPABILITIES = {10: "CAP_NET_BIND_SERVICE", 12: "CAP_NET_ADMIN", 13: "CAP_NET_RAW", 21: "CAP_SYS_ADMIN"}
"""Those that decide what can be done with the loopback (Linux's include/uapi/linux/capability.h)."""
_MARKS = {"/.dockerenv": "docker", "/run/.containerenv": "podman"}


class Confinement(NamedTuple):
    """What confines this process; ``None`` for what is not told here."""

    capabilities: tuple[str, ...] | None
    has_seccomp: bool | None
    has_no_new_privs: bool | None
    label: str | None
    """What a security module calls it, as in ``docker-default (enforce)``."""
    container: str | None


def read_confinement() -> Confinement:
    """Read what the kernel says of this process (proc_pid_status(5))."""
    status = _read_status()
    mask = status.get("CapEff")
    held = None if mask is None else tuple(name for bit, name in CAPABILITIES.items() if int(mask, 16) >> bit & 1)
    seccomp, privs = status.get("Seccomp"), status.get("NoNewPrivs")
    return Confinement(
        capabilities=held,
        has_seccomp=None if seccomp is None else seccomp != "0",
        has_no_new_privs=None if privs is None else privs != "0",
        label=_read_label(),
        container=next((kind for path, kind in _MARKS.items() if os.path.exists(path)), None),  # noqa: PTH110 - as above
    )


def limit_descriptors() -> int | None:
    """Read how many descriptors this process may have open (getrlimit(2)); ``None`` for any number."""
    try:
        import resource
    except ImportError:  # not POSIX
        return None
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def _read_status() -> dict[str, str]:
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:  # noqa: PTH123 - cheap
            return {key: value.strip() for key, _, value in (line.partition(":") for line in file)}
    except OSError:  # not Linux, or hidden
        return {}


def _read_label() -> str | None:
    try:
        with open("/proc/self/attr/current", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - cheap
            label = file.read().strip("\0\n ")
    except OSError:  # EINVAL where no module labels
        return None
    return None if label in {"", "unconfined"} else label


def read_proxies() -> dict[str, str]:
    """Proxies of the environment by the name of their variable, without user and password; empty ones left out."""
    found = {}
    for name in PROXIES:
        for variable in (name, name.upper()):
            value = os.environ.get(variable, "").strip()
            if value:
                found[variable] = strip_secrets(value)
    return found


def strip_secrets(url: str) -> str:
    """Leave of a URL scheme, host and port: what else there is may be secret."""
    try:
        parts = urlsplit(url if "://" in url else f"//{url}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "(not a URL)"
    scheme = f"{parts.scheme}://" if parts.scheme else ""
    return f"{scheme}{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}"


def read_no_proxy() -> tuple[str, ...]:
    """Hosts that the environment keeps from the proxy."""
    return tuple(
        word.strip().lower()
        for variable in ("no_proxy", "NO_PROXY")
        for word in os.environ.get(variable, "").split(",")
        if word.strip()
    )


def find_refused_families() -> dict[str, str]:
    """Kinds of sockets that this process may not make, with the errno: ipv4, ipv6, netlink."""
    kinds = {
        "ipv4": (socket.AF_INET, socket.SOCK_DGRAM),
        "ipv6": (socket.AF_INET6, socket.SOCK_DGRAM),
        "netlink": (getattr(socket, "AF_NETLINK", None), socket.SOCK_RAW),
    }
    refused = {}
    for name, (family, kind) in kinds.items():
        if family is None:
            continue
        try:
            socket.socket(family, kind).close()
        except OSError as error:
            if error.errno not in {errno.EMFILE, errno.ENFILE}:  # a lack is no refusal
                refused[name] = errno.errorcode.get(error.errno or 0, str(error))
    return refused


def has_ipv6() -> bool:
    """Whether this kernel speaks IPv6 at all, whatever this process may do."""
    return os.path.exists("/proc/net/if_inet6")  # noqa: PTH110 - cheap
