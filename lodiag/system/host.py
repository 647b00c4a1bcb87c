"""Who is asking, from where, and what the kernel is set to."""

from __future__ import annotations

import os
import sys

from lodiag.model import Host


def describe_host() -> Host:
    """Tell platform, user and network namespace; the latter two are ``None`` where the system has none."""
    uid = os.geteuid() if hasattr(os, "geteuid") else None
    try:
        netns = os.stat("/proc/self/ns/net").st_ino  # noqa: PTH116 - a Path costs a millisecond
    except OSError:  # not Linux, or /proc is hidden
        netns = None
    return Host(platform=sys.platform, uid=uid, netns=netns)


def is_root_of_all() -> bool:
    """Whether user 0 is the machine's: that of a user namespace is somebody else outside (user_namespaces(7))."""
    try:
        mapped = _read("/proc/self/uid_map").split()
    except OSError:  # there are no such namespaces here
        return True
    return mapped == ["0", "0", "4294967295"]


def name_settings(interface: str | None) -> dict[str, str]:
    """Name the kernel parameters that decide what answers, by Linux's Documentation/networking/ip-sysctl.rst."""
    names = {
        "echo-ignored-ipv4": "net.ipv4.icmp_echo_ignore_all",
        "echo-ignored-ipv6": "net.ipv6.icmp.echo_ignore_all",
        "icmp-groups": "net.ipv4.ping_group_range",
        "default-ttl-ipv4": "net.ipv4.ip_default_ttl",
    }
    if interface is None:
        return names
    of_interface = {"ipv6-disabled": "disable_ipv6", "default-ttl-ipv6": "hop_limit"}
    return names | {role: f"net.ipv6.conf.{interface}.{name}" for role, name in of_interface.items()}


SOCKET_SETTINGS = {
    "port-range": "net.ipv4.ip_local_port_range",
    "reserved-ports": "net.ipv4.ip_local_reserved_ports",
    "reuse-of-waiting": "net.ipv4.tcp_tw_reuse",
    "reuse-delay": "net.ipv4.tcp_tw_reuse_delay",
    "timestamps": "net.ipv4.tcp_timestamps",
}
"""Kernel parameters that decide which ports clients get, likewise; they are IPv6's as well."""


LOOPBACK_SETTINGS = {
    "ipv6-disabled": "net.ipv6.conf.{interface}.disable_ipv6",
    "ipv6-disabled-all": "net.ipv6.conf.all.disable_ipv6",
    "localnet-routed": "net.ipv4.conf.all.route_localnet",
    "nonlocal-bind": "net.ipv4.ip_nonlocal_bind",
    "echo-ignored-ipv4": "net.ipv4.icmp_echo_ignore_all",
    "echo-ignored-ipv6": "net.ipv6.icmp.echo_ignore_all",
    "icmp-groups": "net.ipv4.ping_group_range",
    "port-range": "net.ipv4.ip_local_port_range",
    "reserved-ports": "net.ipv4.ip_local_reserved_ports",
    "unprivileged-ports": "net.ipv4.ip_unprivileged_port_start",
    "backlog-limit": "net.core.somaxconn",
    "overflow-reset": "net.ipv4.tcp_abort_on_overflow",
    "reuse-of-waiting": "net.ipv4.tcp_tw_reuse",
    "timestamps": "net.ipv4.tcp_timestamps",
}
"""Kernel parameters that decide how a loopback behaves, by what they decide, likewise."""


def name_loopback_settings(loopback: str) -> dict[str, str]:
    """Name them for a loopback interface; sysctl(8) writes the dots of its name as slashes."""
    interface = loopback.replace(".", "/")
    return {role: template.format(interface=interface) for role, template in LOOPBACK_SETTINGS.items()}


def name_doctor_settings(interface: str | None) -> dict[str, str]:
    """Name the kernel parameters that ``doctor`` looks at, likewise."""
    return name_loopback_settings(interface or "lo") | _DOCTOR_SETTINGS


_DOCTOR_SETTINGS = {
    "conntrack-count": "net.netfilter.nf_conntrack_count",
    "conntrack-max": "net.netfilter.nf_conntrack_max",
    "files": "fs.file-nr",
}


def read_sysctl(name: str) -> str | None:
    """Read a kernel parameter from /proc/sys; ``None`` if this kernel has none by that name."""
    try:
        text = _read(_path_of(name))
    except (OSError, UnicodeError):  # not Linux, hidden, or not there
        return None
    return " ".join(text.split())


def write_sysctl(name: str, value: str) -> None:
    """Write a kernel parameter; ``OSError`` if that may not be."""
    with open(_path_of(name), "w", encoding="ascii") as file:  # noqa: PTH123 - as above
        file.write(value)


def _path_of(name: str) -> str:
    """Path of a parameter; a slash in its name is a dot of an interface's (sysctl(8))."""
    return f"/proc/sys/{name.translate(_SWAPPED)}"


_SWAPPED = str.maketrans("./", "/.")


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:  # noqa: PTH123 - as above
        return file.read()
