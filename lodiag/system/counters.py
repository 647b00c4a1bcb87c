"""Counters of Linux's /proc/net: what all sockets of this network namespace dropped because a queue was full."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PAIRED = ("/proc/net/netstat", "/proc/net/snmp")
"""A line of names and a line of numbers, each behind the group's name."""
LISTED = "/proc/net/snmp6"
"""A name and a number a line."""

KINDS = {"TcpExt.ListenOverflows": "accept", "Udp.RcvbufErrors": "udp", "Udp6RcvbufErrors": "udp"}
"""Kind of queue that a counter is about (Documentation/networking/snmp_counter.rst)."""


def count_overflows() -> dict[str, int]:
    """How many connections found an accept queue full, and datagrams a buffer; empty where it cannot be read."""
    found: Counter[str] = Counter()
    for name, number in _read_counters():
        if name in KINDS and number.strip().isdecimal():
            found[KINDS[name]] += int(number)
    return dict(found)


def _read_counters() -> Iterator[tuple[str, str]]:
    for path in PAIRED:
        lines = _read_lines(path)
        for names, numbers in zip(lines[::2], lines[1::2], strict=False):
            group = names.partition(":")[0]
            pairs = zip(names.split()[1:], numbers.split()[1:], strict=False)
            yield from ((f"{group}.{name}", number) for name, number in pairs)
    for line in _read_lines(LISTED):
        name, _, number = line.partition(" ")
        yield name, number


def _read_lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="ascii").splitlines()
    except OSError:  # not Linux, hidden, or without IPv6
        return []


def count_time_wait() -> int | None:
    """How many TCP sockets, of both families, are in TIME_WAIT (proc_net(5): sockstat); ``None`` if hidden."""
    words = next((line.split() for line in _read_lines("/proc/net/sockstat") if line.startswith("TCP:")), [])
    return int(words[words.index("tw") + 1]) if "tw" in words else None


_WAY = {
    "Ip.OutRequests": "ipv4 out",
    "Ip.InReceives": "ipv4 in",
    "Ip.InDelivers": "ipv4 delivered",
    "Ip6OutRequests": "ipv6 out",
    "Ip6InReceives": "ipv6 in",
    "Ip6InDelivers": "ipv6 delivered",
    "Icmp.InDestUnreachs": "ipv4 unreachable",
    "Icmp6InDestUnreachs": "ipv6 unreachable",
    "Icmp.OutRateLimitGlobal": "ipv4 errors left out",
    "Icmp.OutRateLimitHost": "ipv4 errors left out",
    "Icmp6OutRateLimitHost": "ipv6 errors left out",
    "Udp.InCsumErrors": "udp checksum errors",
    "Tcp.InCsumErrors": "tcp checksum errors",
    "Udp6InCsumErrors": "udp checksum errors",
    "TcpExt.TCPSynRetrans": "syn retransmitted",
}
_DEV = "/proc/net/dev"
_DEV_COLUMNS = {1: "received", 9: "sent", 11: "dropped while sent"}
"""Of the numbers behind an interface's name (proc_pid_net(5)): packets, and those that were dropped."""


def count_packets(interface: str) -> dict[str, int]:
    """Count packets on their way through this network namespace, by where they are counted."""
    found: Counter[str] = Counter()
    for name, number in _read_counters():
        if name in _WAY and number.strip().isdecimal():
            found[_WAY[name]] += int(number)
    for line in _read_lines(_DEV):
        name, colon, rest = line.partition(":")
        numbers = rest.split()
        if colon and name.strip() == interface and len(numbers) > max(_DEV_COLUMNS):
            found.update({kind: int(numbers[at]) for at, kind in _DEV_COLUMNS.items()})
    return dict(found)
