"""Routes and rules: whether the kernel delivers loopback addresses to this machine, whatever it is asked by."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, NamedTuple

from lodiag.diagnoses import BOTH, WORDS, Diagnosis, Found, Seen, SkipError, find, tell, told
from lodiag.diagnoses.groups.interface import NO_NETLINK, need_lo
from lodiag.targets import ADDRESSES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lodiag.diagnoses.survey import Survey
    from lodiag.model import Evidence
    from lodiag.model.doctor import Repair
    from lodiag.model.net import Route, RouteAnswer, Rule
    from lodiag.system.facts import Setting

GROUP = "routes"
PREFIX = "127.0.0.0/8"
ANOTHER = "127.0.0.2"
"""An address that only the route of the whole prefix makes local."""
PROTOS = {"ipv4": ("icmp", "tcp", "udp"), "ipv6": ("tcp", "udp")}
ENDINGS = {"blackhole", "unreachable", "prohibit"}
MOST_PORTS = 64


class _Way(NamedTuple):
    """A way that is not delivered here: what was asked, and what the kernel said."""

    address: str
    proto: str | None
    port: int | None
    answer: RouteAnswer

    @property
    def words(self) -> str:
        """Write what was asked."""
        proto = f" by {self.proto.upper()}" if self.proto else ""
        return f"{self.address}{proto}{f' port {self.port}' if self.port else ''}"


def look_at_rules(survey: Survey) -> Seen:
    """Find rules that keep packets to oneself from the local table."""
    rules = survey.rules
    if rules is None:
        raise SkipError(NO_NETLINK)
    found = [item for family in ADDRESSES for item in _judge_rules(survey, family, rules)]
    return Seen(f"{len(rules)} rules", tuple(found))


def _judge_rules(survey: Survey, family: str, rules: Sequence[Rule]) -> Iterator[Found]:
    own = [rule for rule in rules if rule.family == family]
    if not own:
        return
    if not any(_asks_local(rule) for rule in own):
        yield _judge_missing_rule(survey, family)
        return
    by_rule: dict[Rule, _Way] = {}
    for way in _find_lost_ways(survey, family, own):
        rule = _find_culprit(way, own)
        if rule is not None:
            by_rule.setdefault(rule, way)
    for rule, way in by_rule.items():
        yield _judge_rule(survey, family, rule, way)


def _asks_local(rule: Rule) -> bool:
    """Whether a rule has each packet looked up in the local table."""
    return rule.action == "lookup" and rule.table == "local" and not _has_selector(rule)


def _has_selector(rule: Rule) -> bool:
    chosen = (rule.dst, rule.iif, rule.oif, rule.fwmark, rule.tos, rule.ipproto, rule.sport, rule.dport, rule.uids)
    return rule.src != "all" or rule.inverted or any(item is not None for item in chosen)


def _find_lost_ways(survey: Survey, family: str, rules: Sequence[Rule]) -> Iterator[_Way]:
    """Find what is not delivered here, of all that rules tell apart."""
    address = ADDRESSES[family]
    asked: list[tuple[str | None, int | None]] = [(None, None), *((proto, None) for proto in PROTOS[family])]
    asked += [("tcp", port) for port in _choose_ports(survey, rules)]
    sources = [None, address] if any(rule.src != "all" for rule in rules) else [None]
    for proto, port in asked:
        for source in sources:
            answer = survey.route(address, proto, port, source)
            if answer is not None and answer.type != "local":
                yield _Way(address, proto, port, answer)


def _choose_ports(survey: Survey, rules: Sequence[Rule]) -> list[int]:
    """Choose ports that rules speak of: those that are listened at, and the one that is asked about."""
    spans = [rule.dport for rule in rules if rule.dport]
    if not spans and survey.service is None:
        return []
    ports = set() if not spans else survey.listening_ports()
    if survey.service:
        ports.add(survey.service.port)
        spans.append((survey.service.port, survey.service.port))
    ports |= {first for first, _ in spans}
    return sorted(port for port in ports if any(first <= port <= last for first, last in spans))[:MOST_PORTS]


def _find_culprit(way: _Way, rules: Sequence[Rule]) -> Rule | None:
    """Find the first rule before that of the local table that takes such a packet."""
    for rule in rules:
        if _asks_local(rule):
            return None
        if _takes(rule, way) and rule.action in {*ENDINGS, "lookup", "goto"}:
            return rule
    return None


def _takes(rule: Rule, way: _Way) -> bool:
    """Whether a rule takes a packet of this machine to itself, as far as can be known."""
    if rule.oif or rule.l3mdev or rule.iif not in {None, "lo"}:
        return False
    has_all = (
        not rule.fwmark
        and (rule.src == "all" or _is_within(way.address, rule.src, rule.srclen))
        and (rule.dst is None or _is_within(way.address, rule.dst, rule.dstlen))
        and (rule.ipproto is None or rule.ipproto == way.proto)
        and (rule.dport is None or (way.port is not None and rule.dport[0] <= way.port <= rule.dport[1]))
    )
    return has_all != rule.inverted


def _is_within(address: str, base: str, length: int | None) -> bool:
    bits = length if length is not None else (128 if ":" in base else 32)
    return ip_address(address) in ip_network(f"{base}/{bits}", strict=False)


def _judge_missing_rule(survey: Survey, family: str) -> Found:
    answer = survey.route(ADDRESSES[family])
    return find(
        "rule-order",
        "fail",
        f"{WORDS[family]} rules",
        f"no rule asks the local table, so {WORDS[family]} does not know this machine's own addresses",
        (told("rules for the local table", 0, "rtnetlink"), *_tell_answer(answer)),
        impact="Nothing reaches loopback addresses, though they can be bound.",
        families={family},
        fix=survey.system.prescribe("rule-missing", six=" -6" if family == "ipv6" else ""),
        see=("ip-rule(8)",),
    )


def _judge_rule(survey: Survey, family: str, rule: Rule, way: _Way) -> Found:
    text = write_rule(rule)
    is_wide = way.proto is None
    port = "" if way.port is None else f" port {way.port}"
    listened = way.port is None or way.port in survey.listening_ports() or survey.service is not None
    return find(
        "rule-order",
        "fail" if listened else "warn",
        f"rule {rule.priority}",
        f"rule {rule.priority} ({rule.action}) takes what is sent to {way.words} before the local table is asked",
        (told("rule", text, "rtnetlink"), *_tell_answer(way.answer)),
        impact=f"{WORDS[family]}{'' if way.proto is None else f' {way.proto.upper()}'}{port} does not work over the "
        "loopback.",
        families={family} if is_wide or way.port is None else {f"{family} {way.proto} {way.port}"},
        fix=_mend_rule(survey, family, rule),
        see=("ip-rule(8)",),
    )


def _mend_rule(survey: Survey, family: str, rule: Rule) -> Repair | None:
    """Take away a rule that ends the search; before one that leads elsewhere, have the local table asked first."""
    six = " -6" if family == "ipv6" else ""
    if rule.action in ENDINGS:
        return survey.system.prescribe("rule-del", six=six, rule=write_rule(rule))
    return survey.system.prescribe("rule-missing", six=six)


def write_rule(rule: Rule) -> str:
    """Write a rule as ip-rule(8) takes it."""
    words = ["not"] if rule.inverted else []
    words += ["pref", str(rule.priority)]
    if rule.src != "all":
        words += ["from", f"{rule.src}/{rule.srclen}" if rule.srclen is not None else rule.src]
    if rule.dst is not None:
        words += ["to", f"{rule.dst}/{rule.dstlen}" if rule.dstlen is not None else rule.dst]
    for name, value in (("iif", rule.iif), ("oif", rule.oif), ("tos", rule.tos), ("ipproto", rule.ipproto)):
        words += [name, value] if value is not None else []
    for name, span in (("sport", rule.sport), ("dport", rule.dport), ("uidrange", rule.uids)):
        if span is not None:
            is_one = span[0] == span[1] and name != "uidrange"
            words += [name, str(span[0]) if is_one else f"{span[0]}-{span[1]}"]
    goto = [rule.action, *([str(rule.goto)] if rule.goto else [])]
    return " ".join(words + (["lookup", rule.table] if rule.table is not None else goto))


def _tell_answer(answer: RouteAnswer | None) -> tuple[Evidence, ...]:
    if answer is None:
        return ()
    way = answer.errno or " ".join(
        filter(None, (answer.type, answer.gateway and f"via {answer.gateway}", answer.dev and f"dev {answer.dev}"))
    )
    return (told(f"way to {answer.dst}", way, "rtnetlink lookup"),)


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
            *(item for answer in answers.values() for item in _tell_answer(answer)),
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
        (told("local routes", " ".join(sorted(known)) or "none", "rtnetlink, table local"), *_tell_answer(answer)),
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
            (told("route", write_route(route), "rtnetlink"), *_tell_answer(survey.route(address))),
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
        (told("route", write_route(route), "rtnetlink"), *_tell_answer(answer), told("asked for", address, "lodiag")),
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
    Diagnosis(GROUP, "rules", "do rules let loopback addresses be looked up", ("rule-order",), look_at_rules),
    Diagnosis(GROUP, "local", "are loopback addresses in the local table", ("route-local",), look_at_local),
    Diagnosis(GROUP, "leaks", "do loopback addresses stay on this machine", ("leaves-loopback",), look_at_leaks),
    Diagnosis(GROUP, "localnet", "are they closed to other machines", ("route-localnet",), look_at_localnet),
)
