"""The loopback interface: whether it is up, its mtu, its addresses, and what stands before it."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from lodiag.diagnoses import BOTH, Diagnosis, Found, Seen, SkipError, find, tell, told
from lodiag.diagnoses.survey import has_loopback
from lodiag.model.net import QUEUES
from lodiag.targets import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lodiag.diagnoses.survey import Survey
    from lodiag.model import Evidence
    from lodiag.model.net import Link, LinkAddress, Qdisc

GROUP = "interface"
LEAST_IPV6_MTU = 1280
"""RFC 8200 section 5; Linux takes IPv6 off an interface whose mtu is smaller."""
LEAST_IPV4_MTU = 68
"""RFC 791 3.2, likewise."""
USUAL_PREFIX = 8
NO_NETLINK = "the kernel does not tell interfaces to this process (rtnetlink)"
UNSHAPED = {"noqueue", "clsact", "ingress"}
"""Queueing disciplines that delay and drop nothing by themselves."""


def need_lo(survey: Survey) -> Link:
    """Give the loopback interface; ``SkipError`` where it is not told."""
    if survey.links is None:
        raise SkipError(NO_NETLINK)
    if survey.lo is None:
        reason = "this network namespace has no loopback interface"
        raise SkipError(reason)
    return survey.lo


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
            "ipv4-address-missing",
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
    widest = min(_bits(address) for address in own)
    if widest > USUAL_PREFIX:
        narrow = next(address for address in own if _covers(address, "127.0.0.1"))
        found = find(
            "ipv4-address-narrow",
            "fail",
            lo.ifname,
            f"{lo.ifname} has {narrow.local}/{narrow.prefixlen} instead of 127.0.0.1/8",
            evidence,
            impact="Only 127.0.0.1 is here: 127.0.0.2, 127.0.0.53 and all others of 127.0.0.0/8 are not.",
            families={"ipv4"},
            fix=survey.system.prescribe(
                "ipv4-address-narrow", dev=lo.ifname, narrow=f"{narrow.local}/{narrow.prefixlen}"
            ),
            see=("RFC 1122 3.2.1.3",),
        )
        return Seen(measured, (found,))
    return Seen(measured)


def _bits(address: LinkAddress) -> int:
    """Bits of an address's prefix; all, if they are not told."""
    whole = 128 if address.family == "inet6" else 32
    return whole if address.prefixlen is None else address.prefixlen


def _covers(address: LinkAddress, wanted: str) -> bool:
    """Whether an address of a loopback interface makes another one local, as all of its prefix are."""
    network = ip_network(f"{address.local}/{_bits(address)}", strict=False)
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
        "ipv6-address-missing",
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


def look_at_qdisc(survey: Survey) -> Seen:
    """Find that the interface is shaped."""
    lo = need_lo(survey)
    own = [qdisc for qdisc in survey.qdiscs if qdisc.dev == lo.ifname and qdisc.kind not in UNSHAPED]
    roots = [qdisc for qdisc in own if qdisc.root]
    if not roots:
        return Seen(f"qdisc {lo.qdisc or 'unknown'}")
    (root, *_) = roots
    harms = list(_tell_harms(root))
    if not harms and root.kind in QUEUES:
        return Seen(f"qdisc {root.kind}", (_judge_queue(survey, lo, root),))
    found = find(
        "lo-qdisc",
        "fail",
        lo.ifname,
        f"a {root.kind} queueing discipline stands on {lo.ifname}" + (f": {', '.join(harms)}" if harms else ""),
        (
            told("qdisc", root.kind, f"rtnetlink, {lo.ifname}"),
            told("drops", root.drops, "rtnetlink"),
            told("overlimits", root.overlimits, "rtnetlink"),
        ),
        impact="Everything that is sent over the loopback passes it.",
        hint="It may be left over from a test; a loopback that nobody shapes has noqueue.",
        fix=survey.system.prescribe("qdisc", dev=lo.ifname),
        see=("tc(8)",),
    )
    return Seen(f"qdisc {root.kind}", (found,))


def _judge_queue(survey: Survey, lo: Link, root: Qdisc) -> Found:
    """Judge a queue that only queues: that is no harm by itself."""
    return find(
        "lo-queue",
        "info",
        lo.ifname,
        f"packets of {lo.ifname} are queued by {root.kind}; a loopback that nobody has changed has noqueue",
        (told("qdisc", root.kind, f"rtnetlink, {lo.ifname}"),),
        fix=survey.system.prescribe("qdisc", dev=lo.ifname),
        see=("tc(8)",),
    )


def _tell_harms(qdisc: Qdisc) -> Iterator[str]:
    for word, ratio in (
        ("loses", qdisc.loss_ratio),
        ("doubles", qdisc.duplicate_ratio),
        ("reorders", qdisc.reorder_ratio),
        ("damages", qdisc.corrupt_ratio),
    ):
        if ratio:
            yield f"it {word} {ratio * 100:.3g} %"
    if qdisc.delay_ms:
        jitter = f" (± {qdisc.jitter_ms:g} ms)" if qdisc.jitter_ms else ""
        yield f"it delays by {qdisc.delay_ms:g} ms{jitter}"
    if qdisc.rate_bps:
        yield f"it lets {qdisc.rate_bps / 1e6:g} Mbit/s pass"


def look_at_xdp(survey: Survey) -> Seen:
    """Find a program that sees each packet before the kernel does, where packets are lost."""
    lo = need_lo(survey)
    if not lo.xdp:
        return Seen("no XDP program")
    harmed = [family for family in sorted(BOTH) if None not in survey.meets(family, "tcp", "udp")]
    timed_out = [family for family in harmed if "timeout" in survey.meets(family)]
    found = find(
        "xdp-program",
        "fail" if timed_out else "info",
        lo.ifname,
        f"an XDP program is attached to {lo.ifname}, which sees every packet before the kernel does",
        (told("xdp", value=True, source=f"rtnetlink, {lo.ifname}"),),
        impact="What is sent to oneself is not answered." if timed_out else None,
        confidence="likely" if timed_out else "certain",
        families=timed_out or BOTH,
        fix=survey.system.prescribe("xdp", dev=lo.ifname),
        see=("ip-link(8)", "bpf(2)"),
    )
    return Seen("an XDP program", (found,))


def look_at_aliases(survey: Survey) -> Seen:
    """Find addresses on the loopback by which other machines become this one."""
    lo = need_lo(survey)
    others = [a for a in survey.own_addresses if not is_loopback(a.local) and a.scope != "link"]
    if not others:
        return Seen("no address of another network")
    found = [item for address in others for item in _judge_alias(survey, lo, address)]
    return Seen(f"{len(others)} further addresses", tuple(found))


def _judge_alias(survey: Survey, lo: Link, alias: LinkAddress) -> Iterator[Found]:
    whole = 128 if alias.family == "inet6" else 32
    network = ip_network(f"{alias.local}/{_bits(alias)}", strict=False)
    families = {"ipv6" if whole == 128 else "ipv4"}  # noqa: PLR2004 - bits of an address
    near = [
        other
        for other in survey.addresses
        if other.ifindex != lo.ifindex
        and other.family == alias.family
        and ip_network(f"{other.local}/{_bits(other)}", strict=False).overlaps(network)
    ]
    if _bits(alias) == whole or alias.family == "inet6":  # only IPv4 makes a whole prefix local
        if near:
            yield _judge_shadow(survey, lo, alias, near)
        return
    shown = ", ".join(f"{other.local}/{other.prefixlen}" for other in near)
    yield find(
        "alias-swallows-subnet",
        "fail" if near else "warn",
        f"{alias.local}/{alias.prefixlen}",
        f"{alias.local}/{alias.prefixlen} on {lo.ifname} makes each address of {network} this machine",
        (
            told("address", f"{alias.local}/{alias.prefixlen}", f"rtnetlink, {lo.ifname}"),
            told("addresses of other interfaces there", shown or "none", "rtnetlink"),
        ),
        impact="Neighbours with such an address cannot be reached: this machine answers in their stead.",
        hint="On a loopback interface, give each address alone.",
        families=families,
        fix=survey.system.prescribe(
            "alias-narrow",
            dev=lo.ifname,
            prefix=f"{alias.local}/{alias.prefixlen}",
            address=alias.local,
            whole=whole,
        ),
        see=("ip-address(8)",),
    )


def _judge_shadow(survey: Survey, lo: Link, alias: LinkAddress, near: Sequence[LinkAddress]) -> Found:
    """Tell that an address is one of a network next door: it may be meant, as by load balancers (LVS), or a mistake."""
    text = f"{alias.local}/{_bits(alias)}"
    others = " ".join(f"{other.local}/{_bits(other)}" for other in near)
    return find(
        "alias-shadows-neighbour",
        "info",
        text,
        f"{text} on {lo.ifname} is an address of a network that another interface is in",
        (told("address", text, f"rtnetlink, {lo.ifname}"), told("addresses of that interface", others, "rtnetlink")),
        impact="If a neighbour has that address, it cannot be reached: this machine answers in its stead.",
        hint="For the virtual address of a load balancer it is meant so.",
        confidence="possible",
        families={"ipv6" if alias.family == "inet6" else "ipv4"},
        fix=survey.system.prescribe("alias-del", dev=lo.ifname, prefix=text),
        see=("ip-address(8)",),
    )


DIAGNOSES = (
    Diagnosis(GROUP, "link", "is the loopback interface up", ("lo-down",), look_at_link),
    Diagnosis(GROUP, "mtu", "is its mtu large enough for IPv6", ("lo-mtu",), look_at_mtu),
    Diagnosis(GROUP, "ipv4", "has it 127.0.0.1/8", ("ipv4-address-missing", "ipv4-address-narrow"), look_at_ipv4),
    Diagnosis(GROUP, "ipv6", "has it ::1", ("ipv6-address-missing", "ipv6-disabled", "ipv6-absent"), look_at_ipv6),
    Diagnosis(GROUP, "qdisc", "is its traffic shaped", ("lo-qdisc", "lo-queue"), look_at_qdisc),
    Diagnosis(GROUP, "xdp", "does a program see its packets first", ("xdp-program",), look_at_xdp),
    Diagnosis(
        GROUP,
        "aliases",
        "do its addresses hide other machines",
        ("alias-swallows-subnet", "alias-shadows-neighbour"),
        look_at_aliases,
    ),
)
