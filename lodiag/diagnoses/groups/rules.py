"""Rules: whether the kernel looks loopback addresses up where they are, whatever it is asked by."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, NamedTuple

from lodiag.diagnoses import WORDS, Diagnosis, Found, Seen, SkipError, find, told
from lodiag.diagnoses.links import NO_NETLINK
from lodiag.diagnoses.ways import ENDINGS, tell_answer
from lodiag.targets import ADDRESSES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lodiag.diagnoses.survey import Survey
    from lodiag.model.doctor import Repair
    from lodiag.model.net import RouteAnswer, Rule

GROUP = "routes"
PROTOS = {"ipv4": ("icmp", "tcp", "udp"), "ipv6": ("tcp", "udp")}
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
        (told("rules for the local table", 0, "rtnetlink"), *tell_answer(answer)),
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
        (told("rule", text, "rtnetlink"), *tell_answer(way.answer)),
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


DIAGNOSES = (Diagnosis(GROUP, "rules", "do rules let loopback addresses be looked up", ("rule-order",), look_at_rules),)
