"""Why an address does not answer: the causes that ``ping`` and ``trace`` share, and what to do about each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.dataclass import dataclass
from lodiag.model import Evidence, Finding, Missing
from lodiag.targets import is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lodiag.system.facts import Interface, Setting

LOOK_AT_RULES = "Look at the rules of the packet filter."
LOOK_AT_ROUTES = "Look at the routes, and at the rules that choose among them."


UNSEEN_INTERFACES = Missing(what="loopback interfaces", count=None, why="this system does not tell them to this user")


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What was read of the machine to tell causes apart."""

    interfaces: Sequence[Interface] | None
    """Loopback interfaces; ``None`` if they were not read, or could not be."""
    settings: Mapping[str, Setting]
    """Kernel parameters by what they decide, as ``System.read_setting`` has them."""


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
    "lo-down": Advice(
        "the loopback interface {subject} is down: nothing here can reach 127.0.0.0/8 or ::1",
        "Bring it up: lodiag iface up",
    ),
    "addr6-missing": Advice(
        "no loopback interface has the address ::1",
        "IPv6 is disabled there, its mtu is below the 1280 bytes that IPv6 needs, or the address was taken away.",
        ("RFC 4291 2.5.3",),
    ),
    "addr4-missing": Advice(
        "no loopback interface has an address in 127.0.0.0/8",
        "Give it 127.0.0.1/8; with an mtu below the 68 bytes that IPv4 needs it can have none.",
        ("RFC 1122 3.2.1.3",),
    ),
    "network-unreachable": Advice("no route leads to {subject}", LOOK_AT_ROUTES),
    "host-unreachable": Advice("the route to {subject} is of type unreachable", LOOK_AT_ROUTES),
    "route-prohibited": Advice("the route to {subject} is of type prohibit", LOOK_AT_ROUTES),
    "route-blackhole": Advice("the route to {subject} is of type blackhole", LOOK_AT_ROUTES),
    "address-not-available": Advice(
        "this machine has no address from which {subject} can be reached",
        "If it should answer here, give it to the loopback interface as an alias.",
    ),
    "address-family-not-supported": Advice(
        "this kernel does not speak the address family of {subject}", "It was built, or started, without it."
    ),
    "blocked-by-firewall": Advice("the packet filter refuses to let probes to {subject} out (EPERM)", LOOK_AT_RULES),
    "rejected-by-firewall": Advice(
        "the packet filter rejects probes to {subject} with an ICMP error", LOOK_AT_RULES, ("RFC 1812 5.2.7.1",)
    ),
    "destination-unreachable": Advice(
        "an ICMP error says that {subject} cannot be reached", LOOK_AT_RULES, ("RFC 792",)
    ),
    "ttl-exceeded": Advice(
        "the TTL ran out on the way to {subject}: its traffic is routed through other hosts",
        "See: lodiag trace {subject}",
        ("RFC 792",),
    ),
    "icmp-ignored": Advice(
        "the kernel is set to ignore echo requests, so {address} cannot answer them",
        "No other protocol is touched: lodiag ping --method udp {address}",
    ),
    "dropped-on-output": Advice(
        "probes to {subject} are dropped on their way out, and nothing is said: they never came to the queue",
        f"An output rule drops them. {LOOK_AT_RULES}",
    ),
    "dropped-in-queue": Advice(
        "the queue of the interface drops the probes to {subject}, and nothing is said",
        "Look at what shapes its traffic.",
    ),
    "reply-from-elsewhere": Advice(
        "probes to {subject} are answered from another address",
        "A rule rewrites sources, or redirects what is sent there.",
    ),
    "timeout": Advice(
        "no probe to {subject} was answered in time",
        "Try another --method: if that is answered, something drops this one alone, as a packet filter can.",
    ),
    "max-hops-reached": Advice(
        "{subject} is farther away than the last hop that was asked", "Give a larger --max-hops."
    ),
    "corrupted": Advice("every reply from {subject} was damaged", f"Something rewrites packets. {LOOK_AT_RULES}"),
    "message-too-long": Advice(
        "probes of this size do not fit the path to {subject}", "Give a smaller --size, or look at the mtu."
    ),
    "mtu-black-hole": Advice(
        "large packets to {subject} vanish without a word, small ones pass: connections hang once they carry much",
        f"Somebody drops large packets, or the ICMP errors that tell of a smaller mtu. {LOOK_AT_RULES}",
        ("RFC 2923 2.1", "RFC 4821"),
    ),
    "smaller-path-mtu": Advice(
        "not all links on the way to {subject} take packets as large as the first one does",
        "TCP finds that out by itself; a datagram that must not be fragmented does not pass.",
        ("RFC 1191", "RFC 8201"),
    ),
    "no-buffer-space": Advice(
        "the queue of the interface drops the probes to {subject}", "Look at what shapes its traffic."
    ),
    "too-many-open-files": Advice("the limit on open files is reached", "Raise it, or name fewer targets."),
    "send-failed": Advice("the system refused to send probes to {subject}", "The evidence has its reason."),
    "interrupted": Advice("the run ended before any probe to {subject} was sent", "Give it more time."),
}


def judge_silence(silence: Silence, around: Surroundings, severity: str) -> Finding:
    """Name the cause of silence: what the machine says of itself goes before what the probes met."""
    evidence = silence.evidence
    found = _judge_interfaces(silence, around)
    if found is not None:
        code, subject, state = found
        met = Evidence(name="error", value=silence.error, source="probe")
        return make_finding(code, severity, silence.address, (*evidence, met, *state), subject)
    if silence.error == "icmp-ignored":
        setting = around.settings[f"echo-ignored-{silence.family}"]
        return make_finding("icmp-ignored", severity, silence.address, (*evidence, tell(setting)), setting.name)
    return make_finding(silence.error, severity, silence.address, evidence, silence.address)


def tell_errno(errno: str | None) -> tuple[Evidence, ...]:
    """Give what the system said of a probe that could not be sent as evidence, if it said something."""
    return () if errno is None else (Evidence(name="errno", value=errno, source="socket"),)


def tell(setting: Setting) -> Evidence:
    """Give a kernel parameter as evidence."""
    return Evidence(name=setting.name, value=setting.value, source="kernel parameter")


def _judge_interfaces(silence: Silence, around: Surroundings) -> tuple[str, str, tuple[Evidence, ...]] | None:
    """Find the interface at fault: code, subject and evidence, or ``None``."""
    if not around.interfaces:
        return None
    first = around.interfaces[0]
    if not any(interface.is_up for interface in around.interfaces):
        state = Evidence(name=f"{first.name} is up", value=False, source="interface flags")
        return "lo-down", first.name, (state,)
    if silence.error not in {"address-not-available", "network-unreachable"}:
        return None
    addresses = [address for interface in around.interfaces for address in interface.addresses]
    if any(is_loopback(a) and (":" in a) == (silence.family == "ipv6") for a in addresses):
        return None
    facts = [
        Evidence(name="interface", value=first.name, source="interface flags"),
        Evidence(name="addresses", value=" ".join(addresses) or "none", source="interface addresses"),
        Evidence(name="mtu", value=first.mtu_bytes, source="interface"),
    ]
    if silence.family == "ipv6":
        disabled = around.settings.get("ipv6-disabled")
        facts += [tell(disabled)] if disabled else []
    return f"addr{silence.family[-1]}-missing", silence.address, tuple(facts)


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
