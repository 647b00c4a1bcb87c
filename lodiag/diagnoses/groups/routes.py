"""Routes: whether the kernel delivers loopback addresses to this machine."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from lodiag.diagnoses import BOTH, Diagnosis, Found, Seen, SkipError, find, tell, told
from lodiag.diagnoses.links import NO_NETLINK, need_lo
from lodiag.diagnoses.ways import ENDINGS, tell_answer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lodiag.diagnoses.survey import Survey
    from lodiag.model.doctor import Repair
    from lodiag.model.net import Route, RouteAnswer
    from lodiag.system.facts import Setting

GROUP = "routes"
PREFIX = "127.0.0.0/8"
ANOTHER = "127.0.0.2"
"""An address that only the route of the whole prefix makes local."""


def look_at_local(survey: Survey) -> Seen:
    """Find that the local table lacks loopback addresses."""
    lo = need_lo(survey)
    routes = survey.routes
    if routes is None:
        raise SkipError(NO_NETLINK)
    if not lo.is_up:
        reason = f"{lo.ifname} is down"
        raise SkipError(reason)
    local = [route for route in routes if route.table == "local" and route.type == "local"]
    known = {route.dst for route in local}
    found = [*_judge_local4(survey, lo.ifname, known), *_judge_local6(survey, lo.ifname, known)]
    return Seen(f"local: {' '.join(sorted(known & {PREFIX, '127.0.0.1', '::1'})) or 'nothing'}", tuple(found))


def _judge_local4(survey: Survey, dev: str, known: set[str]) -> Iterator[Found]:
    answers = {address: survey.route(address) for address in ("127.0.0.1", ANOTHER)}
    lost = [address for address, answer in answers.items() if answer is not None and answer.type != "local"]
    has_prefix = PREFIX in known
    if (has_prefix and "127.0.0.1" in known) or not (lost or not has_prefix):
        yield from _judge_in_the_way(survey, "ipv4", lost)
        return
    if has_prefix and not lost:  # a route of the whole prefix is enough
        return
    is_one_here = "127.0.0.1" in known
    cause = "route-prefix" if is_one_here else "route-both" if not has_prefix else "route-address"
    missing = [text for text in ("127.0.0.1", PREFIX) if text not in known]
    yield find(
        "route-local",
        "fail",
        dev,
        f"the local table has no route for {' and '.join(missing)}, though {dev} is up",
        (
            told("local routes", " ".join(sorted(known)) or "none", "rtnetlink, table local"),
            *(item for answer in answers.values() for item in tell_answer(answer)),
        ),
        impact=f"{'All but 127.0.0.1' if is_one_here else 'All'} of 127.0.0.0/8 cannot be reached.",
        families={"ipv4"},
        fix=survey.system.join_repairs((*_clear(survey, missing), survey.system.prescribe(cause, dev=dev))),
        see=("ip-route(8)",),
    )


def _clear(survey: Survey, missing: Sequence[str]) -> Iterator[Repair | None]:
    """Take away routes of other types that stand where local ones are missing."""
    for route in survey.routes or ():
        if route.table == "local" and route.type in {*ENDINGS, "throw"} and route.dst in missing:
            yield survey.system.prescribe("route-leak", route=write_route(route))


def _judge_local6(survey: Survey, dev: str, known: set[str]) -> Iterator[Found]:
    has_address = any(address.local == "::1" for address in survey.own_addresses)
    answer = survey.route("::1") if has_address else None
    if answer is None or answer.type == "local":
        return
    if "::1" in known:
        yield from _judge_in_the_way(survey, "ipv6", ["::1"])
        return
    yield find(
        "route-local",
        "fail",
        dev,
        f"the local table has no route for ::1, though {dev} has that address",
        (told("local routes", " ".join(sorted(known)) or "none", "rtnetlink, table local"), *tell_answer(answer)),
        impact="::1 cannot be reached.",
        families={"ipv6"},
        fix=survey.system.prescribe("route6", dev=dev),
        see=("ip-route(8)",),
    )


def _judge_in_the_way(survey: Survey, family: str, lost: Sequence[str]) -> Iterator[Found]:
    """Find a route of another type that goes before the local one."""
    address = next((address for address in lost), None)
    if address is None:
        return
    for route in survey.routes or ():
        if route.family != family or route.type in {"local", "broadcast"} or route.table not in {"local", "main"}:
            continue
        if route.dst == "default" or ip_address(address) not in ip_network(route.dst, strict=False):
            continue
        yield find(
            "route-local",
            "fail",
            route.dst,
            f"a route of type {route.type} for {route.dst} goes before the local one of {address}",
            (told("route", write_route(route), "rtnetlink"), *tell_answer(survey.route(address))),
            impact=f"{address} cannot be reached.",
            families={family},
            fix=survey.system.prescribe("route-leak", six=" -6" if family == "ipv6" else "", route=write_route(route)),
            see=("ip-route(8)",),
        )
        return


def write_route(route: Route) -> str:
    """Write a route as ip-route(8) takes it."""
    words = [route.type] if route.type != "unicast" else []
    words.append(route.dst)
    words += ["via", route.gateway] if route.gateway else []
    words += ["dev", route.dev] if route.dev else []
    return " ".join(words + (["table", route.table] if route.table != "main" else []))


def look_at_leaks(survey: Survey) -> Seen:
    """Find routes by which loopback addresses leave this machine."""
    if survey.routes is None:
        raise SkipError(NO_NETLINK)
    found = []
    for route in survey.routes:
        if route.type != "unicast" or route.dst == "default" or route.family != "ipv4":
            continue
        network = ip_network(route.dst, strict=False)
        if not network.subnet_of(ip_network(PREFIX)):  # type: ignore[arg-type]  # both are of IPv4
            continue
        address = str(network[1] if network.num_addresses > 1 else network[0])
        answer = survey.route(address)
        if answer is not None and answer.type != "local" and answer.dev != survey.lo_name:
            found.append(_judge_leak(survey, route, address, answer))
    return Seen("no loopback address leaves" if not found else f"{len(found)} routes leave", tuple(found))


def _judge_leak(survey: Survey, route: Route, address: str, answer: RouteAnswer) -> Found:
    known = {item.dst for item in survey.routes or () if item.table == "local" and item.type == "local"}
    fix: list[Repair | None] = [survey.system.prescribe("route-leak", route=write_route(route))]
    if PREFIX not in known:
        fix.append(survey.system.prescribe("route-prefix", dev=survey.lo_name))
    return find(
        "leaves-loopback",
        "fail",
        route.dst,
        f"what is sent to {route.dst} leaves this machine by {answer.dev}",
        (told("route", write_route(route), "rtnetlink"), *tell_answer(answer), told("asked for", address, "lodiag")),
        impact="Another machine gets, and may answer, what is meant for this one.",
        families={"ipv4"},
        fix=survey.system.join_repairs(tuple(fix)),
        see=("RFC 1122 3.2.1.3", "ip-route(8)"),
    )


def look_at_localnet(survey: Survey) -> Seen:
    """Find that other machines may send to loopback addresses."""
    setting = survey.settings.get("localnet-routed")
    if setting is None or setting.value is None:
        reason = "this system does not tell it"
        raise SkipError(reason)
    others = [link.ifname for link in survey.links or () if link.is_up and not link.is_loopback]
    by_setting: dict[Setting, list[str]] = {}
    for opening in (survey.system.find_openings() or ()) if others else ():
        by_setting.setdefault(opening.setting, []).append(opening.interface)
    if not by_setting:
        return Seen(f"{setting.name} {setting.value}")
    found = (_judge_opening(survey, opened, names, others) for opened, names in by_setting.items())
    return Seen(f"let in by {' '.join(name for names in by_setting.values() for name in names)}", tuple(found))


def _judge_opening(survey: Survey, setting: Setting, names: Sequence[str], others: Sequence[str]) -> Found:
    return find(
        "route-localnet",
        "warn",
        setting.name,
        f"{setting.name} is 1: packets for 127.0.0.0/8 from other machines are let in by {', '.join(names[:3])}",
        (tell(setting), told("interfaces that are up", " ".join(others), "rtnetlink")),
        impact="Services that are bound to 127.0.0.1 alone may be reached from the neighbourhood.",
        hint="Kubernetes' kube-proxy sets it, and filters such packets; without such a filter it is a hole.",
        families=BOTH,
        fix=survey.system.prescribe("localnet", parameter=setting.name, value=setting.value),
        see=("CVE-2020-8558",),
    )


DIAGNOSES = (
    Diagnosis(GROUP, "local", "are loopback addresses in the local table", ("route-local",), look_at_local),
    Diagnosis(GROUP, "leaks", "do loopback addresses stay on this machine", ("leaves-loopback",), look_at_leaks),
    Diagnosis(GROUP, "localnet", "are they closed to other machines", ("route-localnet",), look_at_localnet),
)
