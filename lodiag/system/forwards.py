"""Rules of the packet filter that send on what other hosts send here, as containers publish their ports.

Source: libnftables-json(5), as nft(8) writes it. Rules of iptables in the same kernel are in nftables, but their target
is not: iptables-nft(8) hides it from nft.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from lodiag.system import iptables
from lodiag.system.facts import Forward, Forwards

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

WAIT_S = 5.0
PROGRAM = "nft"
FOLDERS = ("/usr/sbin", "/sbin")
"""Where it is, though another user's PATH may not have it."""
LEGACY_TABLES = "/proc/net/ip_tables_names"
"""Tables of the older iptables, which nft does not show; for root only."""
TRANSPORT = ("tcp", "udp", "th")
MOST_PORTS = 8
"""Ports that a rule is told with."""
HIDDEN = "they are of iptables, which hides from nft where they lead: see iptables-save -t nat"
"""Why the target of some rules is missing."""


def read_forwards() -> Forwards:
    """Read the rules, if nft is there and lets this user; and those of iptables, if there are any, by its own tool."""
    if sys.platform != "linux":
        return Forwards(None, "the packet filter of this system is not read")
    found = _run(PROGRAM, "-j", "list", "ruleset")
    if isinstance(found, str):
        return Forwards(None, found)
    told = decode(found)
    saved: list[Forward] = []
    for kind, is_used in (("nft", told.untold == HIDDEN), ("legacy", _has_legacy())):
        for program in ("iptables", "ip6tables") if is_used else ():
            text = _run(f"{program}-{kind}-save", "-t", "nat")
            if isinstance(text, str):
                return told._replace(untold=HIDDEN)
            saved += iptables.decode(text.decode("utf-8", "backslashreplace"), program)
    if not saved:
        return told
    return Forwards((*(rule for rule in told.rules or () if not rule.is_hidden), *saved), None)


def _run(program: str, *arguments: str) -> bytes | str:
    """Run a program that only tells; what it writes or, as text, why it does not."""
    path = shutil.which(program) or shutil.which(program, path=os.pathsep.join(FOLDERS))
    if path is None:
        return f"{program}, which tells its rules, is not installed"
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command
            [path, *arguments], capture_output=True, timeout=WAIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{program} could not be run: {getattr(error, 'strerror', None) or 'it did not end'}"
    if done.returncode != 0:
        words = done.stderr.decode("utf-8", "backslashreplace").split("\n")[0].strip()
        return f"{program} is not allowed to tell its rules: {words[:80] or 'no reason given'}"
    return done.stdout


def _has_legacy() -> bool:
    """Whether the older iptables has rules; its own tool would load what it needs where it has none."""
    try:
        with open(LEGACY_TABLES, encoding="ascii") as file:  # noqa: PTH123 - a Path costs a millisecond
            return "nat" in file.read().split()
    except (OSError, UnicodeError):  # it has none
        return False


def decode(text: bytes) -> Forwards:
    """Decode what ``nft -j list ruleset`` writes."""
    import json

    try:
        items = json.loads(text)["nftables"] if text.strip() else []
        found = tuple(found for rule in _list_rules(items) for found in _decode_rule(rule))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return Forwards(None, f"what nft tells is not understood: {error!r:.60}")
    return Forwards(found, HIDDEN if any(rule.is_hidden for rule in found) else None)


def _list_rules(items: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Give the rules that what comes from other hosts passes before it is routed, and those to which they lead."""
    chains = [item["chain"] for item in items if "chain" in item]
    rules = [item["rule"] for item in items if "rule" in item]
    maps = [item["map"] for item in items if "map" in item]
    reached = {_place(chain, "name") for chain in chains if chain.get("hook") == "prerouting"}
    waiting = list(reached)
    while waiting:
        family, table, name = waiting.pop()
        inside = [rule["expr"] for rule in rules if _place(rule, "chain") == (family, table, name)]
        inside += [item.get("elem") for item in maps if (item["family"], item["table"]) == (family, table)]
        for target in (item["target"] for key in ("jump", "goto") for item in _find(inside, key)):
            if (family, table, target) not in reached:
                reached.add((family, table, target))
                waiting.append((family, table, target))
    return (rule for rule in rules if _place(rule, "chain") in reached)


def _place(item: Mapping[str, Any], key: str) -> tuple[str, str, str]:
    return item["family"], item["table"], item[key]


def _find(value: Any, key: str) -> Iterator[Any]:  # noqa: ANN401 - any part of a rule
    """Find what a key has, however deep it is."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == key:
                yield inner
            yield from _find(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from _find(inner, key)


def _decode_rule(rule: Mapping[str, Any]) -> Iterator[Forward]:
    where = f"{rule['family']} {rule['table']} {rule['chain']} handle {rule['handle']}"
    facts = _read_matches(found["match"] for found in rule["expr"] if "match" in found)
    chosen = facts.get("proto"), facts.get("ports")
    for item in rule["expr"]:
        if "dnat" in item:
            yield Forward(where, *chosen, *_decode_target(item["dnat"] or {}), facts.get("at"))
        elif "redirect" in item:
            port = (item["redirect"] or {}).get("port")
            yield Forward(where, *chosen, "this host", port if isinstance(port, int) else None, facts.get("at"))
        elif "xt" in item and (item["xt"] is None or item["xt"].get("name") in {"DNAT", "REDIRECT"}):
            yield Forward(where, *chosen, None, None, facts.get("at"), is_hidden=True)


def _read_matches(matches: Iterable[Mapping[str, Any]]) -> dict[str, str | None]:
    """Read which packets a rule takes, as far as that is told by protocol, port and address."""
    facts: dict[str, str | None] = {}
    for match in matches:
        left, right = match["left"], match["right"]
        payload = left.get("payload", {}) if isinstance(left, dict) else {}
        is_wanted = match["op"] == "=="
        if payload.get("field") == "dport" and payload.get("protocol") in TRANSPORT:
            if payload["protocol"] != "th":
                facts["proto"] = payload["protocol"]
            facts["ports"] = _write_values(right) if is_wanted else None
        elif payload.get("field") == "daddr" and is_wanted:
            facts["at"] = _write_values(right)
        elif isinstance(left, dict) and (left.get("meta", {}).get("key") == "l4proto" or _is_protocol(payload)):
            facts["proto"] = right if isinstance(right, str) else None
    return facts


def _is_protocol(payload: Mapping[str, Any]) -> bool:
    return (payload.get("protocol"), payload.get("field")) in {("ip", "protocol"), ("ip6", "nexthdr")}


def _decode_target(dnat: Mapping[str, Any]) -> tuple[str | None, int | None]:
    """Address and port that a rule sends to; ``None`` for what a map or a range decides."""
    address, port = dnat.get("addr"), dnat.get("port")
    return address if isinstance(address, str) else None, port if isinstance(port, int) else None


def _write_values(value: Any) -> str | None:  # noqa: ANN401 - as above
    if isinstance(value, (int, str)):
        return str(value)
    if isinstance(value, dict) and "range" in value:
        first, last = value["range"]
        return f"{first}-{last}"
    if isinstance(value, dict) and "prefix" in value:
        return f"{value['prefix']['addr']}/{value['prefix']['len']}"
    if isinstance(value, dict) and isinstance(value.get("set"), list):
        parts = [_write_values(item) for item in value["set"]]
        more = len(parts) - MOST_PORTS
        return ",".join(map(str, parts[:MOST_PORTS])) + (f" and {more} more" if more > 0 else "")
    return None
