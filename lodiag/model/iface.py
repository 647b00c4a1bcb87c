"""Records of ``iface``."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from lodiag.dataclass import dataclass
from lodiag.model import Refusal, detail, fact, label, metric
from lodiag.model.net import LinkStats, Qdisc, Route, Rule  # noqa: TC001 - the schema reads the type of each field

KINDS = ("standard", "alias", "extra")
ACTIONS = ("up", "down", "add", "del", "mtu")
STATUSES = ("changed", "unchanged", "planned")


class IfaceAddress(NamedTuple):
    """An address of an interface, with the keys of ``ip -json address``, and what it is."""

    family: Annotated[str, "Family: inet or inet6."]
    local: Annotated[str, "Address."]
    prefixlen: Annotated[int | None, "Bits of the prefix: on a loopback of Linux, all addresses of it are local."]
    scope: Annotated[str | None, "How far it is valid: host is this machine."]
    label: Annotated[str | None, "Name that ifconfig(8) shows it under; of IPv4 only."]
    secondary: Annotated[bool | None, "Whether it goes when the first address of its prefix goes; of IPv4 only."]
    dynamic: Annotated[bool | None, "Whether it ends by itself."]
    tentative: Annotated[bool | None, "Whether it may not be used yet: the kernel is asking for duplicates."]
    dadfailed: Annotated[bool | None, "Whether another machine has it."]
    deprecated: Annotated[bool | None, "Whether nothing new should use it."]
    noprefixroute: Annotated[bool | None, "Whether it came without a route for its prefix."]
    valid_life_time: Annotated[int | None, "Seconds until it ends; 4294967295 is never."]
    preferred_life_time: Annotated[int | None, "Seconds until it is deprecated; 4294967295 is never."]
    address: Annotated[str | None, "Address at the other end, which the prefix is of; null if it is of this one."]
    broadcast: Annotated[str | None, "Broadcast address of the prefix; of IPv4 only."]
    metric: Annotated[int | None, "Metric of the route for its prefix; null for the usual one."]
    kind: Annotated[str, "standard: 127.0.0.1 or ::1; alias: another of 127.0.0.0/8; extra: not of the loopback."]


class IfaceSetting(NamedTuple):
    """A kernel parameter that decides how the loopback behaves."""

    name: Annotated[str, "Name of the parameter."]
    value: Annotated[str | None, "Its value; null if it may not be read, or this kernel has none by that name."]
    note: Annotated[str | None, "Why an unusual value matters; null for a usual one."]


@dataclass(frozen=True, slots=True, kw_only=True)
class IfacePacket:
    """A packet that was sent to an address and should come back."""

    address: str = fact("Address that it was sent to, and from.")
    size_bytes: int = fact("Bytes of payload, of UDP.")
    rtt_ms: float | None = fact("Milliseconds until it came back; null if it did not.")
    error: str | None = fact("The system's word for why it could not be sent, or timeout; null if it came back.")


@dataclass(frozen=True, slots=True, kw_only=True)
class IfaceRecord:
    """A loopback interface, with the keys of ``ip -json -s -s address``."""

    ifindex: int | None = fact("Index of the interface.")
    ifname: str = label("Name of the interface.")
    flags: tuple[str, ...] = fact("Flags, such as LOOPBACK and UP.")
    mtu: int | None = metric("Bytes of the largest packet.")
    qdisc: str | None = fact("What queues its packets: noqueue on a loopback that nobody has shaped.")
    operstate: str | None = fact("State: UNKNOWN is that of a loopback that is up.")
    group: str | None = fact("Group of interfaces that it is in.")
    txqlen: int | None = fact("Packets that its queue may hold.")
    link_type: str | None = fact("Kind of link: loopback.")
    address: str | None = fact("Address of the link.")
    broadcast: str | None = fact("Broadcast address of the link.")
    xdp: bool | None = fact("Whether an XDP program sees its packets first.")
    addr_info: tuple[IfaceAddress, ...] = fact("Its addresses.")
    stats64: LinkStats | None = metric("Counted since the interface was made:")
    queue: Qdisc | None = fact("What queues its packets, with its settings and what it dropped.")


@dataclass(frozen=True, slots=True, kw_only=True)
class IfaceChange:
    """What was asked to be changed, and what became of it."""

    action: str = fact("What was asked for.", ACTIONS)
    interface: str = fact("Name of the interface.")
    status: str = fact("changed; unchanged: it was so before; planned: nothing was done.", STATUSES)
    commands: tuple[str, ...] = fact("Commands that do the same; empty if nothing had to be done.")
    undo: tuple[str, ...] = fact("Commands that restore the former state.")
    loses: tuple[str, ...] = fact("What goes with it though nobody asked: addresses and routes.")
    packets: tuple[IfacePacket, ...] = fact("Packets that were sent over it afterwards.")
    before: tuple[IfaceRecord, ...] = detail("The interface as it was before.")


@dataclass(frozen=True, slots=True, kw_only=True)
class IfaceSummary:
    """What concerns the loopback and is no interface's own."""

    interfaces: int = metric("Loopback interfaces.")
    routes: tuple[Route, ...] | None = detail(
        "Routes of all tables that packets to 127.0.0.0/8 or ::1 may take; default routes only where one is taken."
    )
    rules: tuple[Rule, ...] | None = detail("Rules that choose among the tables for such packets, in order.")
    settings: tuple[IfaceSetting, ...] = detail("Kernel parameters that decide how the loopback behaves.")
    change: IfaceChange | None = fact("What was changed; null if it was only looked at.")
    refused: tuple[Refusal, ...] = detail("Better sources that could not be had, best first.")


@dataclass(frozen=True, slots=True, kw_only=True)
class IfaceReading:
    """What passed over an interface since the last reading: a line of ``iface --watch``, of type ``reading``."""

    at: str = fact("When the reading began: RFC 3339, UTC.")
    ifname: str = label("Name of the interface.")
    up: bool = fact("Whether it is up.")
    bytes_per_s: float | None = metric("Bytes a second; null in the first reading, and where nothing is counted.")
    packets_per_s: float | None = metric("Packets a second.")
    errors_per_s: float | None = metric("Errors a second, in either direction.")
    dropped_per_s: float | None = metric("Packets dropped a second, in either direction.")
    before: dict[str, Any] | None = fact("Fields of the record that changed, as they were, counters aside; or null.")


RECORD, SUMMARY = IfaceRecord, IfaceSummary
