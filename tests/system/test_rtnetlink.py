"""What rtnetlink tells, beside what ``ip -json`` makes of it; its bytes cut short and at random."""

from __future__ import annotations

import json
import socket
import sys
from contextlib import suppress
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from running import LO_UP, run_in_world

from lodiag.system import System, interfaces
from lodiag.system.nlmsg import (
    NLMSG_DONE,
    NLMSG_ERROR,
    NLMSG_HEADER,
    NetlinkError,
    decode,
    decode_attributes,
    encode,
    encode_attributes,
)
from lodiag.system.rtnetlink import decode_address, decode_link, encode_links
from lodiag.system.rtqdisc import decode_qdisc
from lodiag.system.rtroutes import concerns_loopback, decode_answer, decode_route, decode_rule

needs_netlink = pytest.mark.skipif(sys.platform != "linux", reason="netlink is Linux's")

BESIDE = """
import json, subprocess, time
from lodiag.model import to_plain
from lodiag.system import System

def ip(*arguments):
    done = subprocess.run(["ip", "-json", *arguments], capture_output=True, text=True)
    return json.loads(done.stdout or "[]") if done.returncode == 0 else done.stderr

def with_source(to, source=None):
    return (to, *(("from", source) if source else ()))

machine = System()
asked = {asked!r}
tables = ("show", "table", "all")
for _ in range(500):  # the route to ::1 comes a moment after the address
    addresses, routes = machine.list_addresses(), machine.list_routes()
    if all(a.local != "::1" or any(r.dst == "::1" and r.table == "local" for r in routes) for a in addresses):
        break
    time.sleep(0.01)
print(json.dumps({{
    "links": [to_plain(machine.list_links()), ip("-s", "-s", "address")],
    "addresses": [to_plain(machine.list_addresses()), ip("address")],
    "routes": [to_plain(machine.list_routes()), ip("-4", "route", *tables) + ip("-6", "route", *tables)],
    "rules": [to_plain(machine.list_rules()), ip("rule") + ip("-6", "rule")],
    "qdiscs": to_plain(machine.list_qdiscs()),
    "ways": [[to_plain(machine.look_up_route(*words)), ip("route", "get", *with_source(*words))] for words in asked],
}}))
"""
ASKED = [
    ("127.0.0.1",),
    ("127.8.0.1",),
    ("127.7.0.1",),
    ("127.9.0.1",),
    ("::1",),
    ("10.0.0.1", "127.0.0.1"),
    ("192.0.2.1",),
]


@cache
def beside(setup: str) -> dict[str, Any]:
    """What lodiag and ``ip`` say in the same world."""
    script = BESIDE.format(asked=ASKED)
    done = run_in_world(setup, command=(sys.executable, "-c", script))
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


CHANGED = f"""{LO_UP}
ip address add 127.0.0.2/8 dev lo label lo:1
ip address add 127.1.0.1/32 dev lo valid_lft 4000 preferred_lft 3000
ip address add 10.9.9.9/32 dev lo
ip -6 address add fd00::1/128 dev lo
ip route add 127.9.0.0/16 dev lo mtu 1400 metric 5
ip route add unreachable 127.8.0.0/16
ip route add blackhole 127.7.0.0/16 table 100
ip link add v0 type veth peer name v1
ip link set v0 up
ip address add 10.77.0.1/24 dev v0
ip route add 127.50.0.0/16 via 10.77.0.2 dev v0
ip route add default dev lo metric 70
ip -6 route add unreachable ::1 table 77
ip rule add pref 50 to 127.8.0.0/16 unreachable
ip rule add pref 51 not from 10.0.0.0/8 to 127.0.0.0/8 iif lo ipproto tcp dport 80-90 uidrange 0-0 fwmark 1/3 table 100
ip rule add pref 52 from 127.0.0.9 sport 8 tos 0x10 goto 60
ip rule add pref 53 to 127.9.0.0/16 prohibit
ip rule add pref 54 to 127.7.0.0/16 blackhole
ip rule add pref 60 oif lo nop
ip rule add pref 61 lookup main suppress_prefixlength 0
ip -6 rule add pref 40 to ::1 table 77
ip rule add pref 100 lookup local
ip rule del pref 0
ip -6 rule add pref 100 lookup local
ip -6 rule del pref 0"""


@pytest.mark.parametrize("setup", ["", LO_UP, CHANGED], ids=["fresh", "up", "changed"])
def test_links_and_addresses_are_those_of_ip(setup: str) -> None:
    ours, theirs = beside(setup)["links"]
    named = {link["ifindex"]: link for link in ours}
    assert {index: link["ifname"] for index, link in named.items()} == {t["ifindex"]: t["ifname"] for t in theirs}
    for link in [told for told in theirs if "LOOPBACK" in told["flags"]]:  # those of others change by themselves
        own = named[link["ifindex"]]
        addresses = [a for a in beside(setup)["addresses"][0] if a["ifindex"] == link["ifindex"]]
        assert {name: own[name] for name in link if name in own} == {name: link[name] for name in link if name in own}
        assert set(link) - set(own) <= {"addr_info"}
        for told, address in zip(link["addr_info"], addresses, strict=True):
            assert {name: address[name] or None for name in told} == {name: told[name] or None for name in told}


@pytest.mark.parametrize("setup", ["", LO_UP, CHANGED], ids=["fresh", "up", "changed"])
def test_routes_are_those_of_ip(setup: str) -> None:
    ours, theirs = beside(setup)["routes"]
    told = [
        (
            route.get("type", "unicast"),
            route["dst"],
            route.get("dev"),
            route.get("table", "main"),
            route.get("prefsrc"),
            route.get("gateway"),
        )
        for route in theirs
        if route["dst"].startswith(("127.", "::1", "default"))
    ]
    found = [(r["type"], r["dst"], r["dev"], r["table"], r["prefsrc"], r["gateway"]) for r in ours]
    assert sorted(map(str, found)) == sorted(map(str, told))
    for route in theirs:
        own = [r for r in ours if (r["dst"], r["table"]) == (route["dst"], route.get("table", "main"))]
        mtu = next((m["mtu"] for m in route.get("metrics", ())), None)
        assert not own or any((r["mtu"], r["metric"] or 0) == (mtu, route.get("metric", 0)) for r in own)


@pytest.mark.parametrize("setup", [LO_UP, CHANGED], ids=["up", "changed"])
def test_rules_are_those_of_ip(setup: str) -> None:
    ours, theirs = beside(setup)["rules"]
    assert len(ours) == len(theirs)
    for own, rule in zip(ours, theirs, strict=True):
        expected = {
            "priority": rule["priority"],
            "inverted": "not" in rule,
            "action": rule.get("action") or ("nop" if "nop" in rule else "goto" if "goto" in rule else "lookup"),
            "sport": [rule.get("sport_start", rule.get("sport")), rule.get("sport_end", rule.get("sport"))],
            "dport": [rule.get("dport_start", rule.get("dport")), rule.get("dport_end", rule.get("dport"))],
            "uids": [rule.get("uid_start"), rule.get("uid_end")],
        }
        expected |= {name: rule.get(name) for name in ("src", "srclen", "dst", "dstlen", "iif", "oif", "fwmark")}
        expected |= {name: rule.get(name) for name in ("fwmask", "tos", "ipproto", "table", "goto")}
        expected["suppress_prefixlen"] = rule.get("suppress_prefixlen")
        ranges = {name: own[name] or [None, None] for name in ("sport", "dport", "uids")}
        assert {name: (own | ranges)[name] for name in expected} == expected


@pytest.mark.parametrize("setup", ["", LO_UP, CHANGED], ids=["fresh", "up", "changed"])
def test_ways_are_those_of_ip(setup: str) -> None:
    for own, told in beside(setup)["ways"]:
        if isinstance(told, str):  # RTNETLINK answers: Network is unreachable
            assert own["errno"] in {"ENETUNREACH", "EHOSTUNREACH", "EACCES", "EINVAL"}
            assert own["type"] is None
        else:
            (way,) = told
            names = ("dst", "type", "dev", "prefsrc")
            assert [own[name] for name in names] == [way.get(name) or {"type": "unicast"}.get(name) for name in names]
            assert own["errno"] is None


def test_ways_name_their_errors() -> None:
    errors = {own["dst"]: own["errno"] for own, _ in beside(CHANGED)["ways"]}
    assert [errors[address] for address in ("127.8.0.1", "127.9.0.1", "127.7.0.1", "::1")] == [
        *("ENETUNREACH", "EACCES", "EINVAL", "EHOSTUNREACH")
    ]


def test_what_shapes_packets_is_told() -> None:
    (plain,) = [q for q in beside(LO_UP)["qdiscs"] if q["dev"] == "lo"]
    assert (plain["kind"], plain["root"], plain["rate_bps"], plain["drops"]) == ("noqueue", True, None, 0)
    shape = "command -v tc >/dev/null && tc qdisc add dev lo root tbf rate 1mbit burst 10k limit 20k"
    (shaped,) = [q for q in beside(f"{LO_UP}\n{shape}")["qdiscs"] if q["dev"] == "lo"]
    assert (shaped["kind"], shaped["rate_bps"], shaped["limit"]) == ("tbf", 1_000_000, 20_480)


@needs_netlink
def test_loopbacks_are_those_of_psutil() -> None:
    assert System().list_loopback_interfaces() == System().read_links("psutil").loopbacks()


@needs_netlink
def test_a_way_to_a_port_can_be_asked_for() -> None:
    found = System().look_up_route("127.0.0.1", "127.0.0.2", proto="tcp", port=80)
    assert found
    assert (found.type, found.dev, found.mtu is None) == ("local", socket.if_indextoname(found.ifindex or 0), False)


def test_what_cannot_be_had_is_none() -> None:
    def refuse() -> None:
        raise NetlinkError(1, "no")

    assert interfaces.try_to(refuse) is None


# netem is not in every kernel: what its tc sent, as pkt_sched.h has it.
NETEM = bytes.fromhex("000000000100000000000080ffffffff00000000") + bytes.fromhex(
    "0a000100"
    "6e6574656d000000"
    "4c000200"
    "00000000"
    "e8030000"
    "00000080"
    "00000000"
    "33333333"
    "00000000"
    "0c000a00"
    "0065cd1d00000000"
    "0c000b00"
    "40420f0000000000"
    "0c000400"
    "ffffffff00000000"
    "0c000800"
    "40420f0000000000"
)


def test_netem_is_told_in_milliseconds_and_shares() -> None:
    found = decode_qdisc(NETEM, lambda index: f"lo{index}")
    assert found
    assert (found.dev, found.kind, found.root, found.limit) == ("lo1", "netem", True, 1000)
    assert (found.delay_ms, found.jitter_ms, found.rate_bps) == (500, 1, 8_000_000)
    shares = found.loss_ratio, found.duplicate_ratio, found.corrupt_ratio, found.reorder_ratio
    assert [share if share is None else round(share, 6) for share in shares] == [0.5, 0.2, 1, None]


@pytest.mark.parametrize("kind", [NLMSG_ERROR, NLMSG_DONE])
def test_a_refusal_is_an_error(kind: int) -> None:
    with pytest.raises(NetlinkError) as caught:
        decode(encode(kind, 0, (-1).to_bytes(4, sys.byteorder, signed=True)))
    assert caught.value.errno == 1


def test_a_reply_that_is_cut_short_is_an_error() -> None:
    whole = encode_links(1)
    for size in range(1, len(whole)):
        with pytest.raises(NetlinkError, match="cut short"):
            decode(whole[:size])


@given(st.binary(max_size=200))
def test_no_bytes_make_a_decoder_fail(data: bytes) -> None:
    with suppress(NetlinkError):
        decode(data)
    decode_attributes(data)
    family = bytes([2 if len(data) % 2 else 10])
    for payload in (data, family + data):
        concerns_loopback(payload)
        for reads in (decode_link, decode_address, decode_rule):
            reads(payload)
        decode_route(payload, lambda _: None)
        decode_qdisc(payload, lambda _: None)
        decode_answer("::1", payload, lambda _: None)


ATTRIBUTES = st.lists(st.tuples(st.integers(0, 60), st.binary(max_size=24)), max_size=8)


@given(st.sampled_from([2, 10]), ATTRIBUTES, st.binary(min_size=15, max_size=15))
def test_no_attribute_of_a_wrong_size_makes_a_decoder_fail(
    family: int, attributes: list[tuple[int, bytes]], head: bytes
) -> None:
    tail = encode_attributes(attributes)
    assert decode_attributes(tail) == dict(attributes)
    for size, reads in ((16, decode_link), (8, decode_address), (12, decode_rule)):
        reads((bytes([family]) + head)[:size] + tail)
    decode_route((bytes([family]) + head)[:12] + tail, lambda _: None)
    concerns_loopback((bytes([family]) + head)[:12] + tail)
    decode_answer("::1", (bytes([family]) + head)[:12] + tail, lambda _: None)
    for kind in ("tbf", "netem", "pfifo"):
        named = encode_attributes([*attributes, (1, kind.encode() + b"\0")])
        decode_qdisc(bytes(20) + named, lambda _: None)


def test_the_header_is_as_netlink_7_has_it() -> None:
    assert NLMSG_HEADER.unpack_from(encode_links()) == (32, 18, 0x301, 0, 0)
