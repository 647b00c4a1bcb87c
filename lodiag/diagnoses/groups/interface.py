"""The loopback interface: whether it is up, its mtu, and its own addresses."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from lodiag.diagnoses import BOTH, Diagnosis, Found, Seen, SkipError, find, tell, told
from lodiag.diagnoses.links import NO_NETLINK, count_bits, need_lo
from lodiag.diagnoses.survey import has_loopback
from lodiag.targets import is_loopback

if TYPE_CHECKING:
    from lodiag.diagnoses.survey import Survey
    from lodiag.model import Evidence
    from lodiag.model.net import Link, LinkAddress

GROUP = "interface"
LEAST_IPV6_MTU = 1280
"""RFC 8200 section 5; Linux takes IPv6 off an interface whose mtu is smaller."""
LEAST_IPV4_MTU = 68
"""RFC 791 3.2, likewise."""
USUAL_PREFIX = 8


def look_at_link(survey: Survey) -> Seen:
    """Find that the interface is down."""
    if survey.links is None:
        return _look_without_netlink(survey)
    lo = need_lo(survey)
    flags = told("flags", ",".join(lo.flags), f"rtnetlink, {lo.ifname}")
    if lo.is_up:
        return Seen(f"{lo.ifname} is up")
    addresses = [f"{address.local}/{address.prefixlen}" for address in survey.own_addresses]
    how = "it was set down" if addresses else "it was never brought up, as in a fresh network namespace"
    found = find(
        "lo-down",
        "fail",
        lo.ifname,
        f"the loopback interface {lo.ifname} is down: {how}",
        (flags, told("addresses", " ".join(addresses) or "none", "rtnetlink")),
        impact="Nothing here can reach 127.0.0.0/8 or ::1.",
        hint="Once it is up, the kernel gives it 127.0.0.1/8 and ::1 by itself.",
        fix=survey.system.prescribe("lo-up", dev=lo.ifname),
        see=("ip-link(8)",),
    )
    return Seen(f"{lo.ifname} is down", (found,))


def _look_without_netlink(survey: Survey) -> Seen:
    interfaces = survey.system.list_loopback_interfaces()
    if not interfaces:
        raise SkipError(NO_NETLINK)
    first = interfaces[0]
    if any(interface.is_up for interface in interfaces):
        return Seen(f"{first.name} is up")
    found = find(
        "lo-down",
        "fail",
        first.name,
        f"the loopback interface {first.name} is down",
        (told(f"{first.name} is up", value=False, source="interface flags"),),
        impact="Nothing here can reach 127.0.0.0/8 or ::1.",
        fix=survey.system.prescribe("lo-up", dev=first.name),
        see=("ip-link(8)",),
    )
    return Seen(f"{first.name} is down", (found,))


def look_at_mtu(survey: Survey) -> Seen:
    """Find an mtu that is too small for IPv6, or even for IPv4."""
    lo = need_lo(survey)
    if lo.mtu is None:
        reason = "the kernel does not tell the mtu"
        raise SkipError(reason)
    if lo.mtu >= LEAST_IPV6_MTU or not survey.system.has_ipv6():
        return Seen(f"mtu {lo.mtu}")
    gone = [family for family in ("ipv4", "ipv6") if not has_loopback(survey.own_addresses, family)]
    lost_four = lo.mtu < LEAST_IPV4_MTU and "ipv4" in gone
    off = survey.setting("ipv6-disabled") == "1"
    cause = "mtu-both" if lost_four else "mtu-without-ipv6" if off else "mtu"
    found = find(
        "lo-mtu",
        "info" if off and not lost_four else "fail",
        lo.ifname,
        f"the mtu of {lo.ifname} is {lo.mtu}: below {LEAST_IPV6_MTU} the kernel takes IPv6 off an interface",
        (told("mtu", lo.mtu, f"rtnetlink, {lo.ifname}"), *_tell_addresses(survey)),
        impact=f"{'127.0.0.0/8 and ::1 do' if lost_four else '::1 does'} not exist here.",
        hint="To raise the mtu does not bring the addresses back: they must be added again.",
        families=BOTH if lost_four else {"ipv6"},
        fix=survey.system.prescribe(cause, dev=lo.ifname, mtu=lo.mtu),
        see=("RFC 8200 5", "ip-link(8)"),
    )
    return Seen(f"mtu {lo.mtu}", (found,))


def _tell_addresses(survey: Survey) -> tuple[Evidence, ...]:
    shown = " ".join(f"{address.local}/{address.prefixlen}" for address in survey.own_addresses)
    return (told("addresses", shown or "none", "rtnetlink"),)


def look_at_ipv4(survey: Survey) -> Seen:
    """Find that 127.0.0.1 is missing, or stands alone."""
    lo = need_lo(survey)
    own = [a for a in survey.own_addresses if a.family == "inet" and is_loopback(a.local)]
    measured = " ".join(f"{address.local}/{address.prefixlen}" for address in own) or "no IPv4 address"
    evidence = _tell_addresses(survey)
    if not any(_covers(address, "127.0.0.1") for address in own):
        found = find(
            "addr4-missing",
            "fail",
            lo.ifname,
            f"{lo.ifname} does not have the address 127.0.0.1",
            evidence,
            impact="Nothing can be reached, or bound, at 127.0.0.1.",
            families={"ipv4"},
            fix=survey.system.prescribe("addr4", dev=lo.ifname),
            see=("RFC 1122 3.2.1.3", "ip-address(8)"),
        )
        return Seen(measured, (found,))
    widest = min(count_bits(address) for address in own)
    if widest > USUAL_PREFIX:
        narrow = next(address for address in own if _covers(address, "127.0.0.1"))
        found = find(
            "addr4-narrow",
            "fail",
            lo.ifname,
            f"{lo.ifname} has {narrow.local}/{narrow.prefixlen} instead of 127.0.0.1/8",
            evidence,
            impact="Only 127.0.0.1 is here: 127.0.0.2, 127.0.0.53 and all others of 127.0.0.0/8 are not.",
            families={"ipv4"},
            fix=survey.system.prescribe("addr4-narrow", dev=lo.ifname, narrow=f"{narrow.local}/{narrow.prefixlen}"),
            see=("RFC 1122 3.2.1.3",),
        )
        return Seen(measured, (found,))
    return Seen(measured)


def _covers(address: LinkAddress, wanted: str) -> bool:
    """Whether an address of a loopback interface makes another one local, as all of its prefix are."""
    network = ip_network(f"{address.local}/{count_bits(address)}", strict=False)
    return ip_address(wanted) in network


def look_at_ipv6(survey: Survey) -> Seen:
    """Find that ::1 is missing, and why."""
    lo = need_lo(survey)
    if has_loopback(survey.own_addresses, "ipv6"):
        return Seen("::1/128")
    if not survey.system.has_ipv6():
        found = find(
            "ipv6-absent",
            "info",
            "IPv6",
            "this kernel does not speak IPv6: it was built, or started, without it",
            (told("/proc/net/if_inet6", "not there", "/proc"),),
            families={"ipv6"},
        )
        return Seen("no IPv6", (found,))
    if survey.setting("ipv6-disabled") == "1":
        return Seen("IPv6 is off", (_judge_disabled(survey, lo),))
    found = find(
        "addr6-missing",
        "fail",
        lo.ifname,
        f"{lo.ifname} does not have the address ::1, though IPv6 is on",
        (*_tell_addresses(survey), tell(survey.settings["ipv6-disabled"])),
        impact="Nothing can be reached, or bound, at ::1.",
        families={"ipv6"},
        fix=survey.system.prescribe("addr6", dev=lo.ifname),
        see=("RFC 4291 2.5.3", "ip-address(8)"),
    )
    return Seen("no ::1", (found,))


def _judge_disabled(survey: Survey, lo: Link) -> Found:
    """Judge that IPv6 is switched off: on purpose where it is off everywhere and no name leads to it."""
    here = survey.settings["ipv6-disabled"]
    everywhere = survey.settings["ipv6-disabled-all"]
    is_led_there = "::1" in survey.localhost.addresses
    severity = "fail" if everywhere.value != "1" else "warn" if is_led_there else "info"
    cause = "ipv6-everywhere" if everywhere.value == "1" else "ipv6-here"
    names = told("localhost", " ".join(dict.fromkeys(survey.localhost.addresses)) or "no address", "resolver")
    where = "on this whole host" if everywhere.value == "1" else f"on {lo.ifname}"
    return find(
        "ipv6-disabled",
        severity,
        here.name,
        f"IPv6 is switched off {where}, so there is no ::1",
        (tell(here), tell(everywhere), names),
        impact="The name localhost leads to ::1 all the same: clients that try it fail." if is_led_there else None,
        hint="If that is meant, take ::1 from the line of localhost in /etc/hosts instead." if is_led_there else None,
        families={"ipv6"},
        fix=survey.system.prescribe(cause, dev=lo.ifname, parameter=here.name, value=here.value),
        see=("ipv6(7)",),
    )


DIAGNOSES = (
    Diagnosis(GROUP, "link", "is the loopback interface up", ("lo-down",), look_at_link),
    Diagnosis(GROUP, "mtu", "is its mtu large enough for IPv6", ("lo-mtu",), look_at_mtu),
    Diagnosis(GROUP, "ipv4", "has it 127.0.0.1/8", ("addr4-missing", "addr4-narrow"), look_at_ipv4),
    Diagnosis(GROUP, "ipv6", "has it ::1", ("addr6-missing", "ipv6-disabled", "ipv6-absent"), look_at_ipv6),
)
