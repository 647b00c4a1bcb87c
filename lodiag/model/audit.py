"""Records of ``audit``."""

from __future__ import annotations

from lodiag.dataclass import dataclass
from lodiag.model import FAMILIES, PROTOS, Refusal, detail, fact, label, metric
from lodiag.model.conns import Endpoint, Owner  # noqa: TC001 - the schema reads the type of each field

EXPOSURES = (
    "wildcard-dual",
    "wildcard-ipv4",
    "wildcard-ipv6",
    "wildcard",
    "specific",
    "link-local",
    "multicast",
    "loopback-interface",
    "loopback-other",
    "loopback-ipv4",
    "loopback-ipv6",
)
"""Widest first; those of the loopback, which no other host reaches, begin with that word."""
IDENTIFIED_BY = ("process", "unit", "user-and-port")
NEWS = ("new", "wider", "other-owner", "known")
"""What a baseline says of a socket, worst first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """One socket that takes what anybody sends to it: a TCP listener, or a UDP socket without a peer."""

    proto: str = label("Protocol.", PROTOS)
    family: str = label("Family of the socket.", FAMILIES)
    state: str = fact("listen, or for UDP unconnected.", ("listen", "unconnected"))
    local: Endpoint = fact("Where it is bound.")
    exposure: str = label(
        "wildcard-dual: every address of IPv6 and IPv4; wildcard-ipv4, wildcard-ipv6: every address of one; wildcard: "
        "every address of IPv6, and whether of IPv4 is not told; specific: one address that is not the loopback's; "
        "link-local; multicast; loopback-interface: any address, but by the loopback interface only; loopback-other: "
        "another address of 127.0.0.0/8 than 127.0.0.1; loopback-ipv4: 127.0.0.1; loopback-ipv6: ::1.",
        EXPOSURES,
    )
    exposed: bool = fact(
        "Whether other hosts may reach it, by its address and interface or by what opened_by names; whether a packet "
        "filter keeps them out is not looked at."
    )
    opened_by: tuple[str, ...] = fact("What lets neighbours reach a socket of the loopback: kernel parameters, rules.")
    interface: str | None = fact("Interface that the socket is bound to; null if to none.")
    address_interface: str | None = fact("Interface that has the address; null for every address, or if none has it.")
    v6only: bool | None = fact("Whether an IPv6 socket takes no IPv4; null where the source does not tell.")
    owners: tuple[Owner, ...] | None = fact(
        "Processes that hold the socket; empty if none does, null if they may not be seen."
    )
    uid: int | None = fact("User id that the socket was made under; null where the source does not tell.")
    user: str | None = fact("Name of that user, or the number of one without a name.")
    cgroup: str | None = fact("Control group that the socket was made in.")
    unit: str | None = fact("systemd unit of that group.")
    container: str | None = fact("Short id of the container of that group.")
    software: str | None = fact("Software of which lodiag knows the settings; null for any other.")
    identified_by: str | None = fact("What the software was told by.", IDENTIFIED_BY)
    peers: int | None = fact("Connections that it has now, or that have just ended; null for UDP.")
    local_peers: int | None = fact("Those of them that come from this host.")
    loopback_peers: int | None = fact("Those of them that came by an address of the loopback.")
    could_be_loopback: bool | None = fact(
        "Whether an exposed listener has peers, and all are of this host; null if it has none or is not exposed."
    )
    since_baseline: str | None = fact(
        "new: the baseline has nothing like it; wider: it has the port less exposed; other-owner: it has another "
        "process there; known. Null without a baseline.",
        NEWS,
    )
    inode: int | None = fact("Inode of the socket; 0 if no process has it.")
    cookie: str | None = fact("Number that the kernel gives each socket, in hexadecimal.")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditCount:
    """How many sockets are bound in one way."""

    proto: str = label("Protocol.", PROTOS)
    exposure: str = label("How they are bound, in the words of the records.", EXPOSURES)
    sockets: int = metric("Sockets bound in that way.")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditForward:
    """A rule of the packet filter that sends on what other hosts send here: such a port needs no socket."""

    rule: str = fact("Family, table and chain of the rule, and its handle.")
    proto: str | None = fact("Protocol; null if the rule names none.")
    ports: str | None = fact("Ports that it takes; null if it names none.")
    address: str | None = fact("Address that they must have been sent to; null if it names none.")
    to: str | None = fact("Address, and port, that it sends to; null if a map decides, or that is not told.")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSummary:
    """Totals, and what they were judged by."""

    verdict: str = fact("The result in a sentence.")
    sockets: int = fact("Sockets that take what anybody sends to them.")
    exposed: int = metric("Those of them that other hosts may reach.")
    counts: tuple[AuditCount, ...] = detail("Sockets by protocol and exposure.")
    interfaces_up: tuple[str, ...] | None = detail(
        "Interfaces that are up, but for the loopback's; null if that is not told."
    )
    forwards: tuple[AuditForward, ...] | None = detail(
        "Rules that send on what other hosts send to ports of this one; null if they may not be read."
    )
    file: str | None = fact("File that the expectations were read from; null if from none.")
    expectations: int = metric("Expectations that were judged.")
    unmet: int = metric("Those of them that do not hold.")
    baseline_at: str | None = fact("When the report was made that this one is compared with; null if with none.")
    refused: tuple[Refusal, ...] = detail("Better sources that could not be had, best first.")


RECORD, SUMMARY = AuditRecord, AuditSummary
