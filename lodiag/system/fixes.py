"""What this kind of system offers against a finding: commands that repair it, commands that show more, manual pages."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from lodiag.dataclass import replace
from lodiag.model import Fix

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    from lodiag.model import Finding

    _Commands: TypeAlias = dict[str, tuple[str, ...]]

_FIXES: dict[str, dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "linux": {
        "lo-down": (("ip link set {subject} up",), ("ip link set {subject} down",)),
        "addr4-missing": (
            ("ip address add 127.0.0.1/8 dev {interface}",),
            ("ip address del 127.0.0.1/8 dev {interface}",),
        ),
        "addr6-missing": (
            ("ip -6 address add ::1/128 dev {interface}",),
            ("ip -6 address del ::1/128 dev {interface}",),
        ),
        "ipv6-disabled": (
            ("sysctl -w {parameter}=0",),
            ("sysctl -w {parameter}={value}",),
        ),
        "mtu-far-too-small": (
            ("ip link set {interface} mtu 65536", "ip address add 127.0.0.1/8 dev {interface}"),
            ("ip link set {interface} mtu {mtu}",),
        ),
        "mtu-too-small": (
            ("ip link set {interface} mtu 65536", "ip -6 address add ::1/128 dev {interface}"),
            ("ip link set {interface} mtu {mtu}",),
        ),
        "lo-qdisc": (("tc qdisc del dev {interface} root",), ()),
        "lo-queue": (("tc qdisc del dev {interface} root",), ()),
        "lo-mtu": (("ip link set {interface} mtu 65536",), ("ip link set {interface} mtu {mtu}",)),
        "small-tcp-buffers": (("sysctl -w {parameter}='{usual}'",), ("sysctl -w {parameter}='{value}'",)),
        "icmp-ignored": (("sysctl -w {parameter}=0",), ("sysctl -w {parameter}={value}",)),
        "icmp-denied": (
            ("sysctl -w {parameter}='0 2147483647'",),
            ("sysctl -w {parameter}='{value}'",),
        ),
        "waiting-never-reused": (("sysctl -w {parameter}=2",), ("sysctl -w {parameter}={value}",)),
        "no-timestamps": (("sysctl -w {parameter}=1",), ("sysctl -w {parameter}={value}",)),
        "narrow-range": (
            ("sysctl -w {parameter}='32768 60999'",),
            ("sysctl -w {parameter}='{value}'",),
        ),
        "route-localnet": (("sysctl -w {parameter}=0",), ("sysctl -w {parameter}={value}",)),
        "port-given-to-clients": (
            ("sysctl -w {parameter}={value_and_port}",),
            ("sysctl -w {parameter}={value}",),
        ),
    },
    "darwin": {
        "lo-down": (("ifconfig {subject} up",), ("ifconfig {subject} down",)),
        "address-not-available": (("ifconfig lo0 alias {subject} up",), ("ifconfig lo0 -alias {subject}",)),
    },
}
"""Per system and finding: the commands, and those that take them back.

They speak of the finding's evidence by name, of its ``{subject}``, and of the kernel ``{parameter}`` in its evidence
and that one's ``{value}``. What would speak of something that was not read is left out.
"""

DEFAULT_RANGE = range(32768, 61000)
"""Ports that Linux gives to clients if it is not told otherwise (Documentation/networking/ip-sysctl.rst)."""

LEAST_IPV4_MTU, LEAST_IPV6_MTU = 68, 1280
"""RFC 8200 section 5; Linux takes IPv6 off an interface whose mtu is smaller."""

_RULES: _Commands = {
    "linux": ("nft list ruleset", "iptables-save"),
    "darwin": ("pfctl -s rules",),
    "win32": ("netsh advfirewall firewall show rule name=all",),
}
_ROUTE: _Commands = {
    "linux": ("ip route get {subject}", "ip{six} rule"),
    "darwin": ("route -n get {subject}",),
    "win32": ("route print",),
}
_ADDRESSES: _Commands = {"linux": ("ip address show",), "darwin": ("ifconfig lo0",), "win32": ("ipconfig /all",)}
_LINK: _Commands = {"linux": ("ip link show lo",), "darwin": ("ifconfig lo0",)}
_QUEUE: _Commands = {"linux": ("tc -s qdisc show dev lo", "tc filter show dev lo egress")}
_THREADS: _Commands = {"linux": ("ps -L -o tid,stat,wchan:30,comm -p {pid}",), "darwin": ("sample {pid} 1",)}
_DROPS: _Commands = _RULES | {"linux": ("nft list ruleset", "tc -s qdisc show dev lo")}

_LOOKS: dict[str, _Commands] = {
    "network-unreachable": _ROUTE,
    "host-unreachable": _ROUTE,
    "route-prohibited": _ROUTE,
    "route-blackhole": _ROUTE,
    "leaves-loopback": {"linux": (*_ROUTE["linux"], "ip{six} route show table all", "nft list ruleset")},
    "route-contradicted": {"linux": ("nft list ruleset", "iptables-save -t nat")},
    "routing-loop": _ROUTE,
    "nearer-hops-silent": {**_RULES, "linux": (*_ROUTE["linux"], "nft list ruleset")},
    "address-not-available": _ADDRESSES,
    "address-family-not-supported": {"linux": ("cat /sys/module/ipv6/parameters/disable",)},
    "blocked-by-firewall": _RULES,
    "rejected-by-firewall": _RULES,
    "destination-unreachable": _RULES,
    "dropped-on-output": _RULES,
    "dropped-in-queue": _QUEUE,
    "reply-from-elsewhere": _RULES,
    "unexpected-ttl": _ROUTE,
    "fragments-lost": _RULES,
    "large-probes-lost": _RULES,
    "long-delay": _QUEUE,
    "bimodal-rtt": _QUEUE,
    "reordered": _QUEUE,
    "timeout": _DROPS,
    "loss": _DROPS,
    "corrupted": _RULES,
    "missing-mirror": _RULES,
    "duplicates": _RULES,
    "late": _QUEUE,
    "no-buffer-space": _QUEUE,
    "message-too-long": _LINK,
    "too-many-open-files": {"linux": ("ulimit -n",), "darwin": ("ulimit -n",)},
    "accept-queue-full": _THREADS,
    "accept-queue-overflow": {"linux": ("nstat -az TcpExtListenOverflows", "sysctl net.core.somaxconn")},
    "never-accepted": _THREADS,
    "stuck-receiver": _THREADS,
    "close-wait-leak": {"linux": ("lodiag conns --state close-wait --pid {pid} --wide",)},
    "syn-sent-lasting": _DROPS,
    "segments-lost": _DROPS,
    "udp-drops": {"linux": ("nstat -az UdpRcvbufErrors", "sysctl net.core.rmem_max")},
}
"""Per finding and system: commands that show more of the cause."""

_PAGES = {
    "linux": {
        "lo-down": "ip-link(8)",
        "lo-qdisc": "tc(8)",
        "lo-queue": "tc(8)",
        "lo-mtu": "ip-link(8)",
        "small-tcp-buffers": "tcp(7)",
        "slow-start-after-idle": "tcp(7)",
        "congestion-paces": "tcp(7)",
        "conntrack-on-loopback": "nft(8)",
        "cpu-throttled": "cgroups(7)",
        "network-unreachable": "ip-route(8)",
        "host-unreachable": "ip-route(8)",
        "route-prohibited": "ip-route(8)",
        "route-blackhole": "ip-route(8)",
        "leaves-loopback": "ip-route(8)",
        "nearer-hops-silent": "ip-route(8)",
        "route-contradicted": "nft(8)",
        "routing-loop": "ip-route(8)",
        "mtu-black-hole": "nft(8)",
        "unexpected-ttl": "nft(8)",
        "methods-differ": "nft(8)",
        "address-not-available": "ip-address(8)",
        "address-family-not-supported": "ipv6(7)",
        "blocked-by-firewall": "nft(8)",
        "rejected-by-firewall": "nft(8)",
        "dropped-on-output": "nft(8)",
        "dropped-in-queue": "tc(8)",
        "timeout": "nft(8)",
        "icmp-ignored": "icmp(7)",
        "icmp-denied": "icmp(7)",
        "message-too-long": "ip(7)",
        "no-buffer-space": "tc(8)",
        "too-many-open-files": "getrlimit(2)",
        "accept-queue-full": "listen(2)",
        "accept-queue-overflow": "listen(2)",
        "never-accepted": "accept(2)",
        "close-wait-leak": "close(2)",
        "stuck-receiver": "tcp(7)",
        "ephemeral-exhausted": "ip(7)",
        "ephemeral-low": "ip(7)",
        "self-connection": "ip(7)",
        "udp-drops": "socket(7)",
        "syn-sent-lasting": "nft(8)",
        "segments-lost": "nft(8)",
        "family-mismatch": "ipv6(7)",
        "two-services-on-one-port": "ipv6(7)",
        "specific-shadows-wildcard": "socket(7)",
        "reuseport-strangers": "socket(7)",
        "only-at-another-address": "ip(7)",
        "port-held": "bind(2)",
        "dnat-to-loopback": "nft(8)",
        "port-forwarded": "nft(8)",
    },
}


def complete(finding: Finding) -> Finding:
    """Add to a finding what is known of it on this kind of system."""
    facts = _gather(finding)
    looks = "; ".join(_fill(_LOOKS.get(finding.code, {}).get(sys.platform, ()), facts))
    looks = f"See: {looks}" if looks and looks not in (finding.hint or "") else ""  # doctor adopts what conns completed
    page = _PAGES.get(sys.platform, {}).get(finding.code)
    return replace(
        finding,
        hint=" ".join(filter(None, (finding.hint, looks))) or None,
        fix=finding.fix or _find_fix(finding.code, facts),
        see=tuple(dict.fromkeys((*finding.see, *([page] if page else [])))),
    )


def _gather(finding: Finding) -> dict[str, Any]:
    """Facts that commands may speak of: the evidence by name, and the last kernel parameter in it."""
    facts: dict[str, Any] = dict.fromkeys(("parameter", "value", "interface", "mtu", "pid", "port"))
    facts |= {"subject": finding.subject, "six": " -6" if ":" in finding.subject else ""}
    for item in finding.evidence:
        facts[item.name] = item.value
        if item.source == "kernel parameter":
            facts |= {"parameter": item.name, "value": item.value}
    facts["value_and_port"] = ",".join(str(part) for part in (facts["value"], facts["port"]) if part)
    return facts


def _find_fix(code: str, facts: Mapping[str, Any]) -> Fix | None:
    known = _FIXES.get(sys.platform, {}).get(_name_cause(code, facts))
    commands, undo = (_fill(templates, facts) for templates in known or ((), ()))
    return Fix(commands=commands, needs_root=True, undo=undo) if commands else None


def _name_cause(code: str, facts: Mapping[str, Any]) -> str:
    """Tell apart the causes of one finding that need different commands."""
    if code in {"addr4-missing", "addr6-missing"}:
        return _name_missing(code, facts)
    if code in {"ephemeral-exhausted", "ephemeral-low"}:
        if facts["parameter"] == "net.ipv4.ip_local_port_range":
            return "narrow-range" if len(_read_range(facts["value"])) < len(DEFAULT_RANGE) else code
        causes = {"net.ipv4.tcp_tw_reuse": "waiting-never-reused", "net.ipv4.tcp_timestamps": "no-timestamps"}
        return causes.get(facts["parameter"], code) if facts["value"] == "0" else code
    if code == "self-connection":
        is_given = facts["port"] in _read_range(facts.get("net.ipv4.ip_local_port_range"))
        return "port-given-to-clients" if is_given else code
    return code


def _name_missing(code: str, facts: Mapping[str, Any]) -> str:
    mtu = facts["mtu"] or LEAST_IPV6_MTU
    if code == "addr4-missing":
        return "mtu-far-too-small" if mtu < LEAST_IPV4_MTU else code
    if facts["value"] == "1":
        return "ipv6-disabled"
    return "mtu-too-small" if mtu < LEAST_IPV6_MTU else code


def _read_range(text: str | None) -> range:
    first, last = map(int, (text or "1 0").split())
    return range(first, last + 1)


def _fill(templates: tuple[str, ...], facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Put the facts into the commands; none of them if one speaks of what was not read."""
    unread = [f"{{{name}}}" for name, value in facts.items() if value is None]
    if any(name in template for name in unread for template in templates):
        return ()
    return tuple(template.format_map(facts) for template in templates)
