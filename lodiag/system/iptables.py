"""Rules of iptables that send on what other hosts send here, which nft(8) shows without their target.

Source: iptables-save(8), iptables-extensions(8).
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from lodiag.system.facts import Forward

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FIRST_CHAIN = "PREROUTING"
"""Of what comes from other hosts."""
_VALUES = {
    "-p": "proto",
    "--dport": "ports",
    "--dports": "ports",
    "-d": "at",
    "-j": "target",
    "-g": "target",
    "--to-destination": "to",
    "--to-ports": "to",
}
_TARGET = re.compile(r"(?:\[(?P<six>[0-9a-f:]+)\]|(?P<four>[0-9.]+|[0-9a-f]*:[0-9a-f:]*:[0-9a-f]*))?:?(?P<port>\d+)?")


def decode(text: str, program: str) -> Iterator[Forward]:
    """Decode what ``iptables-save -t nat`` writes; ``program`` is the one that would add the rules again."""
    lines = [line for line in text.splitlines() if line.startswith("-A ")]
    rules = [(line, _read(words)) for line in lines if (words := _split(line))]
    reached, waiting = {FIRST_CHAIN}, [FIRST_CHAIN]
    while waiting:
        chain = waiting.pop()
        targets = {rule["target"] for _, rule in rules if rule["chain"] == chain and "target" in rule}
        waiting += targets - reached
        reached |= targets
    for line, rule in rules:
        if rule["chain"] in reached and rule.get("target") in {"DNAT", "REDIRECT"}:
            address, port = _read_target(rule.get("to", ""), is_here=rule["target"] == "REDIRECT")
            ports = rule["ports"].replace(":", "-") if "ports" in rule else None
            yield Forward(f"{program} -t nat {line}", rule.get("proto"), ports, address, port, rule.get("at"))


def _split(line: str) -> list[str]:
    """Split a rule into words, of which a comment is one; none if it does not end."""
    try:
        return shlex.split(line)
    except ValueError:
        return []


def _read(words: Sequence[str]) -> dict[str, str]:
    """Read what a rule says; what it says not to be is left out."""
    found = {"chain": words[1]}
    for before, option, value in zip(words, words[1:], words[2:], strict=False):
        if option in _VALUES and before != "!":
            found[_VALUES[option]] = value.removesuffix("/32").removesuffix("/128")
    return found


def _read_target(text: str, *, is_here: bool) -> tuple[str | None, int | None]:
    """Address and port; ``None`` for a range of them."""
    if is_here:
        return "this host", int(text) if text.isdecimal() else None
    match = _TARGET.fullmatch(text)
    if match is None:
        return None, None
    return match["six"] or match["four"], int(match["port"]) if match["port"] else None
