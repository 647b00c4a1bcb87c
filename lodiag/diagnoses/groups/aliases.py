"""Further addresses of the loopback interface: whether they hide other machines."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING

from lodiag.diagnoses import Diagnosis, Found, Seen, find, told
from lodiag.diagnoses.links import count_bits, need_lo
from lodiag.targets import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lodiag.diagnoses.survey import Survey
    from lodiag.model.net import Link, LinkAddress

GROUP = "interface"


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
    network = ip_network(f"{alias.local}/{count_bits(alias)}", strict=False)
    families = {"ipv6" if whole == 128 else "ipv4"}  # noqa: PLR2004 - bits of an address
    near = [
        other
        for other in survey.addresses
        if other.ifindex != lo.ifindex
        and other.family == alias.family
        and ip_network(f"{other.local}/{count_bits(other)}", strict=False).overlaps(network)
    ]
    if count_bits(alias) == whole or alias.family == "inet6":  # only IPv4 makes a whole prefix local
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
    text = f"{alias.local}/{count_bits(alias)}"
    others = " ".join(f"{other.local}/{count_bits(other)}" for other in near)
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
    Diagnosis(
        GROUP,
        "aliases",
        "do its addresses hide other machines",
        ("alias-swallows-subnet", "alias-shadows-neighbour"),
        look_at_aliases,
    ),
)
