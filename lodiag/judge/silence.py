"""Why an address does not answer: the causes that ``ping`` and ``trace`` share, and what to do about each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lodiag.model import Evidence, Finding
from lodiag.targets import is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lodiag.system.facts import Interface

ECHO_SYSCTLS = {"ipv4": "net.ipv4.icmp_echo_ignore_all", "ipv6": "net.ipv6.icmp.echo_ignore_all"}
GROUP_SYSCTL = "net.ipv4.ping_group_range"

SEE_RULES = "Look at the rules with: nft list ruleset (or iptables-save)."
_SEE_ROUTE = "See: ip route get {subject}; ip rule"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What was read of the machine to tell causes apart."""

    interfaces: Sequence[Interface] | None
    """Loopback interfaces; ``None`` if they were not read, or could not be."""
    sysctls: Mapping[str, str | None]
    """Values by name; ``None`` for one that this kernel does not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """An address that did not answer."""

    address: str
    family: str
    error: str
    """Code of what the probes met."""
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Advice:
    """How to speak of a code: the sentence, what to do next, where to read more."""

    message: str
    hint: str
    see: tuple[str, ...] = ()


ADVICE = {
    "interface-down": Advice(
        "the loopback interface {subject} is down: nothing here can reach 127.0.0.0/8 or ::1",
        "Bring it up.",
        ("ip-link(8)",),
    ),
    "no-ipv6-loopback": Advice(
        "no loopback interface has the address ::1",
        "Look at net.ipv6.conf.lo.disable_ipv6, and at the mtu: below 1280 Linux drops IPv6 from an interface.",
        ("RFC 4291 2.5.3",),
    ),
    "no-ipv4-loopback": Advice(
        "no loopback interface has an address in 127.0.0.0/8", "Give it 127.0.0.1/8.", ("RFC 1122 3.2.1.3",)
    ),
    "network-unreachable": Advice("no route leads to {subject}", _SEE_ROUTE, ("ip-route(8)",)),
    "host-unreachable": Advice("the route to {subject} is of type unreachable", _SEE_ROUTE, ("ip-route(8)",)),
    "route-prohibited": Advice("the route to {subject} is of type prohibit", _SEE_ROUTE, ("ip-route(8)",)),
    "route-blackhole": Advice("the route to {subject} is of type blackhole", _SEE_ROUTE, ("ip-route(8)",)),
    "address-not-available": Advice(
        "this machine has no address from which {subject} can be reached",
        "See: ip address show (on macOS each alias of 127.0.0.0/8 must be added to lo0).",
        ("ip-address(8)",),
    ),
    "address-family-not-supported": Advice(
        "this kernel does not speak the address family of {subject}",
        "See: cat /sys/module/ipv6/parameters/disable",
        ("ipv6(7)",),
    ),
    "blocked-by-firewall": Advice(
        "the packet filter refuses to let probes to {subject} out (EPERM)", SEE_RULES, ("nft(8)",)
    ),
    "rejected-by-firewall": Advice(
        "the packet filter rejects probes to {subject} with an ICMP error", SEE_RULES, ("nft(8)", "RFC 1812 5.2.7.1")
    ),
    "destination-unreachable": Advice("an ICMP error says that {subject} cannot be reached", SEE_RULES, ("RFC 792",)),
    "ttl-exceeded": Advice(
        "the TTL ran out on the way to {subject}: its traffic is routed through other hosts",
        "See: lodiag trace {subject}",
        ("RFC 792",),
    ),
    "icmp-ignored": Advice(
        "the kernel is set to ignore echo requests, so {address} cannot answer them",
        "No other protocol is touched: lodiag ping --method udp {address}",
        ("icmp(7)",),
    ),
    "timeout": Advice(
        "no probe to {subject} was answered in time",
        "Try another --method: if that is answered, a packet filter drops this one alone. " + SEE_RULES,
        ("nft(8)",),
    ),
    "max-hops-reached": Advice(
        "{subject} is farther away than the last hop that was asked", "Give a larger --max-hops."
    ),
    "corrupted": Advice("every reply from {subject} was damaged", "Something rewrites packets. " + SEE_RULES),
    "message-too-long": Advice(
        "probes of this size do not fit the path to {subject}",
        "Give a smaller --size, or look at the mtu: ip link show lo",
        ("ip(7)",),
    ),
    "no-buffer-space": Advice(
        "the queue of the interface drops the probes to {subject}",
        "See: tc -s qdisc show dev lo; tc filter show dev lo egress",
        ("tc(8)",),
    ),
    "too-many-open-files": Advice("the limit on open files is reached", "See: ulimit -n", ("getrlimit(2)",)),
    "send-failed": Advice("the system refused to send probes to {subject}", "The evidence has its reason."),
    "interrupted": Advice("the run ended before any probe to {subject} was sent", "Give it more time."),
}


def judge_silence(silence: Silence, around: Surroundings, severity: str) -> Finding:
    """Name the cause of silence: what the machine says of itself goes before what the probes met."""
    evidence = silence.evidence
    found = _judge_interfaces(silence, around.interfaces or ())
    if found is not None:
        code, subject, state = found
        met = Evidence(name="error", value=silence.error, source="probe")
        return make_finding(code, severity, silence.address, (*evidence, met, *state), subject)
    if silence.error == "icmp-ignored":
        name = ECHO_SYSCTLS[silence.family]
        read = Evidence(name=name, value=around.sysctls.get(name), source="sysctl")
        return make_finding("icmp-ignored", severity, silence.address, (*evidence, read), name)
    return make_finding(silence.error, severity, silence.address, evidence, silence.address)


def _judge_interfaces(
    silence: Silence, interfaces: Sequence[Interface]
) -> tuple[str, str, tuple[Evidence, ...]] | None:
    """Find the interface at fault: code, subject and evidence, or ``None``."""
    if not interfaces:
        return None
    first = interfaces[0]
    if not any(interface.is_up for interface in interfaces):
        return (
            "interface-down",
            first.name,
            (Evidence(name=f"{first.name} is up", value=False, source="interface flags"),),
        )
    if silence.error not in {"address-not-available", "network-unreachable"}:
        return None
    addresses = [address for interface in interfaces for address in interface.addresses]
    if any(is_loopback(a) and (":" in a) == (silence.family == "ipv6") for a in addresses):
        return None
    return (
        f"no-{silence.family}-loopback",
        silence.address,
        (
            Evidence(name="interface", value=first.name, source="interface flags"),
            Evidence(name="addresses", value=" ".join(addresses) or "none", source="interface addresses"),
        ),
    )


def make_finding(
    code: str, severity: str, address: str, evidence: tuple[Evidence, ...], subject: str | None = None
) -> Finding:
    """Make the finding that ``ADVICE`` has the words for."""
    advice = ADVICE.get(code, ADVICE["send-failed"])
    names = {"subject": subject or address, "address": address}
    return Finding(
        code=code,
        severity=severity,
        subject=names["subject"],
        message=advice.message.format(**names),
        evidence=evidence,
        hint=advice.hint.format(**names),
        fix=None,
        see=advice.see,
    )
