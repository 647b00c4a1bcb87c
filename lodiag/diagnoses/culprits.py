"""Naming the rule of the packet filter that is at fault, once a probe has met it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from lodiag.diagnoses import told

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lodiag.diagnoses.survey import Survey
    from lodiag.model import Evidence
    from lodiag.model.doctor import Repair
    from lodiag.system.ruleset import Chain, FilterRule

TABLE_FAMILIES = {"ip": {"ipv4"}, "ip6": {"ipv6"}, "inet": {"ipv4", "ipv6"}, "netdev": {"ipv4", "ipv6"}}
HARM = re.compile(r"\b(drop|reject|dup to|queue|redirect|dnat)\b")
_INTERFACE = re.compile(r"\b(iif|iifname|oif|oifname) (!= )?(?!vmap\b|[{@.])\"?([^\" ]+)\"?")
_PROTO = re.compile(r"\b(tcp|udp|icmp|icmpv6)\b")
_PORT = re.compile(r"\bdport (?:!= )?(\{[^}]*\}|\S+)")
ANY_PORT = -1
ASK_ROOT = "Who may read the rules sees which one it is: run this as root, or nft list ruleset, or iptables-save."


class Blame(NamedTuple):
    """Who is at fault: evidence, what to do, and how sure that is."""

    evidence: tuple[Evidence, ...]
    fix: Repair | None
    hint: str | None
    confidence: str


def blame(survey: Survey, hooks: Sequence[str], family: str, proto: str, port: int | None = None) -> Blame:
    """Find the rule that stops a packet of this family, protocol and port to oneself at one of these hooks."""
    from lodiag.system.probe import MethodRefusedError

    try:
        chains = survey.ruleset
    except MethodRefusedError as refusal:
        return Blame((told("rules", None, str(refusal)),), None, ASK_ROOT, "likely")
    packet = _Packet(family, proto, port, survey.lo_name)
    suspects = [*_find_suspects(chains, hooks, packet)]
    if not suspects and port is None:  # a canary has whatever port was free
        suspects = [*_find_suspects(chains, hooks, packet._replace(port=ANY_PORT))]
    if not suspects:
        hint = "No rule of nftables does it: look at iptables-save, tc filter show, and at BPF programs of the cgroup."
        return Blame((told("rules of nftables at fault", 0, "nft"),), None, hint, "likely")
    evidence = [
        told("rule", f"{c.family} {c.table} {c.name}: {r.text if r else f'policy {c.policy}'}", "nft list ruleset")
        for c, r in suspects[:3]
    ]
    repairs = {
        (chain.family, chain.table, base.name): survey.system.prescribe(
            "filter-accept",
            family=chain.family,
            table=chain.table,
            chain=base.name,
            side="oif" if base.hook in {"output", "postrouting"} else "iif",
            dev=survey.lo_name,
        )
        for chain, _ in suspects
        for base in _find_bases(chains, chain, hooks)
    }
    return Blame(tuple(evidence), survey.system.join_repairs(tuple(repairs.values())), None, "certain")


class _Packet(NamedTuple):
    """What a packet to oneself is told by; without a port, it is to none that rules name."""

    family: str
    proto: str
    port: int | None
    interface: str


def _find_suspects(
    chains: Sequence[Chain], hooks: Sequence[str], packet: _Packet
) -> Iterator[tuple[Chain, FilterRule | None]]:
    """Find rules and policies that may stop such a packet, unless what comes by the loopback was accepted before."""
    for chain in chains:
        if packet.family not in TABLE_FAMILIES.get(chain.family, set()):
            continue
        if not any(base.hook in hooks for base in _find_bases(chains, chain, hooks)):
            continue
        for rule in chain.rules:
            if _accepts(rule, packet.interface):
                break
            if HARM.search(rule.text) and _may_match(rule, packet):
                yield chain, rule
        else:
            if chain.hook in hooks and chain.policy == "drop":
                yield chain, None


def _find_bases(chains: Sequence[Chain], chain: Chain, hooks: Sequence[str]) -> Iterator[Chain]:
    """Find the chains at a hook from which a chain is reached; it may be one itself."""
    names, seen = [chain.name], set()
    while names:
        name = names.pop()
        seen.add(name)
        for other in chains:
            if (other.family, other.table) != (chain.family, chain.table):
                continue
            if other.name == name and other.hook in hooks:
                yield other
            jumps = any(re.search(rf"\b(jump|goto) {re.escape(name)}\b", rule.text) for rule in other.rules)
            if jumps and other.name not in seen:
                names.append(other.name)


def _accepts(rule: FilterRule, interface: str) -> bool:
    """Whether a rule lets everything of the loopback interface pass."""
    return bool(re.fullmatch(rf'(iif|iifname|oif|oifname) "?{re.escape(interface)}"?( counter.*)? accept.*', rule.text))


def _may_match(rule: FilterRule, packet: _Packet) -> bool:
    """Whether a rule may be about such a packet; what is not understood may be."""
    for _, negation, name in _INTERFACE.findall(rule.text):
        if (name == packet.interface) == bool(negation):
            return False
    if re.search(r"\bip6 ", rule.text) and packet.family == "ipv4":
        return False
    if re.search(r"\bip (saddr|daddr|protocol)", rule.text) and packet.family == "ipv6":
        return False
    protos = {word.removesuffix("v6") for word in _PROTO.findall(rule.text)}
    if protos and packet.proto not in protos and not rule.text.startswith("reject"):
        return False
    ports = _PORT.findall(rule.text)
    if not ports:
        return True
    port = packet.port
    return port == ANY_PORT or (port is not None and any(_names_port(text, port) for text in ports))


def _names_port(text: str, port: int) -> bool:
    for part in text.strip("{} ").split(","):
        first, dash, last = part.strip().partition("-")
        if first.isdecimal() and int(first) <= port <= int(last if dash and last.isdecimal() else first):
            return True
    return False
