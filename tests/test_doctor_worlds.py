"""Doctor in broken worlds and in healthy ones: the very cause and no other, and well again after what it prints."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from running import ROOT, environment, skip_world, why_no_namespaces
from worlds import UP, V6_OFF, WORLDS, chain

from lodiag.schema import build_schema

VARIANTS = {
    *("127.0.0.1/32", "no ::1, named", "mtu 67", "mtu raised again", "tbf, wide", "no route of ::1"),
    *("no local rule of IPv6", "rule prohibit", "rule unreachable", "unreachable instead of local"),
    *("prohibit instead of local", "local rule behind main", "prerouting drop", "drop by jump", "input drop of IPv6"),
    *("input drop of TCP", "input drop of UDP", "output drop of IPv4", "netdev drop", "drop by ports", "limit on UDP"),
    *("random loss of what is sent", "echo of IPv6 ignored", "localhost is ::1", "healthy, service of both"),
    *("healthy, localhost is both", "healthy, service speaks first", "healthy, blackhole behind local"),
    *("service: admin-prohibited", "service: connlimit", "another address", "no address of ours", "waits out"),
}
"""Worlds in which a user without privilege would see what that user sees in another one: they are looked at once."""

CASES = [
    (name, user)
    for name, world in WORLDS.items()
    for user in world.users
    if user == "root" or name not in VARIANTS or world.users == ("nobody",)
]
BAD = {"fail", "warn"}


def examine(cases: list[tuple[str, str]]) -> dict[tuple[str, str], dict[str, Any]]:
    """Examine worlds, many at once."""
    reason = why_no_namespaces()
    if reason:
        skip_world(reason)
    unshare = () if os.geteuid() == 0 else ("unshare", "-Urn")
    command = [*unshare, sys.executable, str(ROOT / "tests" / "worlds.py"), json.dumps(cases)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    return {(item["world"], item["user"]): item for item in told}


@cache
def examine_all() -> dict[tuple[str, str], dict[str, Any]]:
    """Examine every world once, whichever test asks first."""
    return examine(CASES)


def see(name: str, user: str) -> dict[str, Any]:
    """What was seen in a world; skip the test where it cannot be made."""
    tools = {"nft ": "nft", "tc ": "tc", "ip ": "ip"}
    for words, tool in tools.items():
        if words in WORLDS[name].setup and shutil.which(tool) is None:
            skip_world(f"{tool} is not installed")
    if WORLDS[name].users == ("nobody",) and os.geteuid() != 0:
        pytest.skip("a user namespace of one user has no other one, who may not read what is this one's")
    told = examine_all()[name, user]
    if "unmade" in told:
        skip_world(f"this world {told['unmade']}")
    assert "findings" in told["first"], f"it crashed: {told}"
    return told


def bad(report: dict[str, Any]) -> list[str]:
    """Codes of findings that are no mere remarks."""
    return sorted(finding["code"] for finding in report["findings"] if finding["severity"] in BAD)


@pytest.mark.parametrize(("name", "user"), CASES, ids=[f"{name} as {user}" for name, user in CASES])
def test_a_world_has_its_cause_and_no_other(name: str, user: str) -> None:
    world, told = WORLDS[name], see(name, user)
    first, again = told["first"], told["again"]
    finds = world.finds if user == "root" or world.nobody_finds is None else world.nobody_finds
    assert bad(first) == sorted(finds), first["text"]
    assert set(world.info) <= {finding["code"] for finding in first["findings"]}
    assert [record for record in first["records"] if record["status"] == "error"] == []
    assert "secret" not in first["text"] + first["json"]
    assert told["failures"] == [], "a command that was printed fails"
    if again is not None:
        assert bad(again) == [], again["text"]


@pytest.mark.parametrize(
    ("name", "why"),
    [("never up", "no ping can be sent: 127.0.0.1 ENETUNREACH"), ("input drop", "nothing is answered, by TCP and UDP")],
)
def test_what_nothing_could_be_asked_of_is_skipped_and_says_why(name: str, why: str) -> None:
    told = see(name, "root")["first"]
    report = json.loads(told["json"])
    (echo,) = [record for record in report["records"] if record["diagnosis"] == "echo"]
    (group,) = [group for group in report["summary"]["groups"] if group["group"] == "icmp"]
    assert (echo["status"], group["status"], echo["measured"]) == ("skipped", "skipped", None)
    assert echo["why"].startswith(why)
    assert group["told"].startswith(f"echo: {why}")


FAULTS = (
    "ip link set lo down",
    "ip addr del 127.0.0.1/8 dev lo",
    "ip -6 addr del ::1/128 dev lo",
    "ip link set lo mtu 1000",
    "ip link set lo mtu 60",
    "ip rule del pref 0",
    "ip rule add pref 1 to 127.0.0.0/8 prohibit",
    "ip route flush table local",
    "ip route add blackhole 127.0.0.0/8",
    "tc qdisc add dev lo root tbf rate 8kbit burst 2kb latency 1ms",
    "echo 1 >/proc/sys/net/ipv4/icmp_echo_ignore_all",
    "echo 40000 40001 >/proc/sys/net/ipv4/ip_local_port_range",
    V6_OFF,
    chain("input", "numgen random mod 100 < 50 drop"),
    chain("output", "drop"),
    "mount --bind /dev/null /etc/hosts",
    "mount --bind /dev/null /etc/nsswitch.conf",
    "printf 'nameserver 127.0.0.53\\nnameserver 127.0.0.1\\n' >/tmp/r.$$; mount --bind /tmp/r.$$ /etc/resolv.conf",
    "mount -t tmpfs none /proc",
)
SOME = st.lists(st.sampled_from(FAULTS), min_size=2, max_size=5, unique=True)


@settings(max_examples=2, deadline=None, database=None)
@given(st.lists(SOME, min_size=6, max_size=6, unique_by=tuple))
def test_whatever_is_broken_together_a_report_is_made_in_time(combinations: list[list[str]]) -> None:
    """Never a traceback, never a hang: each ends with a valid report, in which no diagnosis has failed."""
    setups = ["\n".join([UP, *(f"{{\n{fault}\n}} 2>/dev/null || true" for fault in faults)]) for faults in combinations]
    told = examine([(setup, user) for setup, user in zip(setups, ("root", "nobody") * 3, strict=True)])
    validator = jsonschema.Draft202012Validator(build_schema())
    for (setup, _), item in told.items():
        if "unmade" in item:
            continue
        assert "findings" in item["first"], (setup, item)
        assert [record for record in item["first"]["records"] if record["status"] == "error"] == [], setup
        validator.validate(json.loads(item["first"]["json"]))
