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

from lodiag.system.facts import Forward, Forwards

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

WAIT_S = 5.0
PROGRAM = "nft"
FOLDERS = ("/usr/sbin", "/sbin")
"""Where it is, though another user's PATH may not have it."""
LEGACY_TABLES = "/proc/net/ip_tables_names"
"""Tables of the older iptables, which nft does not show; for root only."""
TRANSPORT = ("tcp", "udp", "th")
MOST_PORTS = 8
"""Ports that a rule is told with."""


def read_forwards() -> Forwards:
    """Read the rules, if nft is there and lets this user."""
    if sys.platform != "linux":
        return Forwards(None, "the packet filter of this system is not read")
    program = shutil.which(PROGRAM) or shutil.which(PROGRAM, path=os.pathsep.join(FOLDERS))
    if program is None:
        return Forwards(None, "nft, which tells its rules, is not installed")
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command
            [program, "-j", "list", "ruleset"], capture_output=True, timeout=WAIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Forwards(None, f"nft could not be run: {getattr(error, 'strerror', None) or 'it did not end'}")
    if done.returncode != 0:
        words = done.stderr.decode("utf-8", "backslashreplace").split("\n")[0].strip()
        return Forwards(None, f"nft is not allowed to tell its rules: {words[:80] or 'no reason given'}")
    return decode(done.stdout, has_legacy=_has_legacy())


def _has_legacy() -> bool:
    try:
        with open(LEGACY_TABLES, encoding="ascii") as file:  # noqa: PTH123 - a Path costs a millisecond
            return "nat" in file.read().split()
    except (OSError, UnicodeError):  # it has none
        return False


def decode(text: bytes, *, has_legacy: bool = False) -> Forwards:
    """Decode what ``nft -j list ruleset`` writes."""
    import json

    try:
        items = json.loads(text)["nftables"] if text.strip() else []
        found = [found for rule in _list_rules(items) for found in _decode_rule(rule)]
        hidden = has_legacy or any(_has(rule["expr"], "xt") for rule in _list_rules(items))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return Forwards(None, f"what nft tells is not understood: {error!r:.60}")
    why = "they are of iptables, which hides them from nft: see iptables-save -t nat" if hidden else None
    return Forwards(tuple(found), why)


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


def _has(value: Any, key: str) -> bool:  # noqa: ANN401 - as above
    return next(_find(value, key), _NOTHING) is not _NOTHING


_NOTHING = object()


def _decode_rule(rule: Mapping[str, Any]) -> Iterator[Forward]:
    where = f"{rule['family']} {rule['table']} {rule['chain']} handle {rule['handle']}"
    proto: str | None = None
    ports: str | None = None
    for match in (found for found in rule["expr"] if "match" in found):
        left, right = match["match"]["left"], match["match"]["right"]
        payload = left.get("payload", {}) if isinstance(left, dict) else {}
        if payload.get("field") == "dport" and payload.get("protocol") in TRANSPORT:
            proto = None if payload["protocol"] == "th" else payload["protocol"]
            ports = _write_ports(right) if match["match"]["op"] == "==" else None
        elif isinstance(left, dict) and (left.get("meta", {}).get("key") == "l4proto" or _is_protocol(payload)):
            proto = right if isinstance(right, str) else None
    for item in rule["expr"]:
        if "dnat" in item:
            yield Forward(where, proto, ports, *_decode_target(item["dnat"] or {}))
        elif "redirect" in item:
            port = (item["redirect"] or {}).get("port")
            yield Forward(where, proto, ports, "this host", port if isinstance(port, int) else None)


def _is_protocol(payload: Mapping[str, Any]) -> bool:
    return (payload.get("protocol"), payload.get("field")) in {("ip", "protocol"), ("ip6", "nexthdr")}


def _decode_target(dnat: Mapping[str, Any]) -> tuple[str | None, int | None]:
    """Address and port that a rule sends to; ``None`` for what a map or a range decides."""
    address, port = dnat.get("addr"), dnat.get("port")
    return address if isinstance(address, str) else None, port if isinstance(port, int) else None


def _write_ports(value: Any) -> str | None:  # noqa: ANN401 - as above
    if isinstance(value, (int, str)):
        return str(value)
    if isinstance(value, dict) and "range" in value:
        first, last = value["range"]
        return f"{first}-{last}"
    if isinstance(value, dict) and isinstance(value.get("set"), list):
        parts = [_write_ports(item) for item in value["set"]]
        more = len(parts) - MOST_PORTS
        return ",".join(map(str, parts[:MOST_PORTS])) + (f" and {more} more" if more > 0 else "")
    return None
