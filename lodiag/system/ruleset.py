"""The packet filter's rules, as nft(8) lists them: which of them can stop what is sent to oneself.

Rules are read to name the one at fault once a probe has met it; whether there is a fault is never read from them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import NamedTuple

from lodiag.system.probe import MethodRefusedError

LIST_S = 2.0
_TABLE = re.compile(r"^table (\w+) (\S+) \{")
_CHAIN = re.compile(r"^\tchain (\S+) \{")
_BASE = re.compile(r"type (\w+) hook (\w+) (?:devices? (?:= )?(.+?) )?priority ([^;]+);(?: policy (\w+);)?")
_RULE = re.compile(r"^\t\t(.+?)(?: # handle (\d+))?$")
FAMILIES = {"ip": ("ipv4",), "ip6": ("ipv6",), "inet": ("ipv4", "ipv6"), "netdev": ("ipv4", "ipv6")}


class FilterRule(NamedTuple):
    """A rule: its number in the chain's table, and its words."""

    handle: int | None
    text: str


class Chain(NamedTuple):
    """A chain; ``hook`` and ``policy`` are ``None`` for one that only others jump to."""

    family: str
    table: str
    name: str
    kind: str | None
    hook: str | None
    policy: str | None
    rules: tuple[FilterRule, ...]


def read_ruleset() -> tuple[Chain, ...]:
    """Read all chains; ``MethodRefusedError`` where the rules may not be read, or nothing reads them."""
    program = shutil.which("nft") or shutil.which("nft", path="/usr/sbin:/sbin")
    if program is None:
        message = "nft is not installed"
        raise MethodRefusedError(message)
    try:
        done = subprocess.run(  # noqa: S603 - the path of nft
            [program, "-a", "list", "ruleset"], capture_output=True, text=True, timeout=LIST_S, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        message = f"nft cannot be run: {error}"
        raise MethodRefusedError(message) from error
    if done.returncode:
        message = f"nft: {done.stderr.strip().splitlines()[-1:] or ['it failed']}"
        if "permitted" in done.stderr:
            message = "rules of nftables cannot be listed without CAP_NET_ADMIN"
        raise MethodRefusedError(message)
    return parse(done.stdout)


def parse(listing: str) -> tuple[Chain, ...]:
    """Take apart what ``nft -a list ruleset`` prints."""
    chains: list[Chain] = []
    family = table = ""
    current: Chain | None = None
    for line in listing.splitlines():
        if found := _TABLE.match(line):
            family, table = found.groups()
        elif found := _CHAIN.match(line):
            current = Chain(family, table, found[1], None, None, None, ())
        elif line == "\t}" and current is not None:
            chains.append(current)
            current = None
        elif current is not None and (base := _BASE.search(line)):
            current = current._replace(kind=base[1], hook=base[2], policy=base[5])
        elif current is not None and (found := _RULE.match(line)):
            rule = FilterRule(int(found[2]) if found[2] else None, found[1])
            current = current._replace(rules=(*current.rules, rule))
    return tuple(chains)
