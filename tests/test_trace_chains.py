"""``lodiag trace`` of loopback addresses that lead to other hosts, over real routers or a tunnel.

The tests are named after the rows of the behaviour table that trace was specified by, as in ``test_trace.py``.
"""

from __future__ import annotations

import shutil
import sys

import pytest
from chains import LODIAG, hops_of, in_chain, through_tunnel, trace_chain
from running import parse
from test_trace_worlds import status_of

ROUTERS = [(1, "192.0.2.2"), (2, "198.51.100.2"), (3, "127.0.0.2")]
LEAVES = ("leaves-loopback", "fail")


@pytest.mark.parametrize("method", ["udp", "icmp", "tcp"])
def test_a_loopback_that_leaves_the_host_shows_its_routers(method: str) -> None:
    """By a route in the table main, as long as nobody has touched the rules: it goes before the wider local one."""
    done, report = trace_chain("--method", method)

    summary, route = report["summary"], report["summary"]["route"]
    assert status_of(done) == (1, [LEAVES])
    assert hops_of(report) == ROUTERS
    assert (summary["reached"], summary["hops"], summary["methods"][0]["reached"]) == (True, 3, True)
    assert (route["type"], route["gateway"], route["dev"], route["prefsrc"]) == (
        *("unicast", "192.0.2.2", "v0", "192.0.2.1"),
    )
    first, second, last = report["records"]
    for record, ttl in ((first, 64), (second, 63)):
        assert {probe["status"] for probe in record["probes"]} == {"ttl-exceeded"}
        assert {(probe["icmp_type"], probe["icmp_code"]) for probe in record["probes"]} == {(11, 0)}
        assert (record["interface"], record["reply_ttl"]) == ("v0", ttl)
    assert {probe["status"] for probe in last["probes"]} == {"reached"}
    # TCP does not tell how an answer of the target came.
    assert (last["interface"], last["reply_ttl"]) == ((None, None) if method == "tcp" else ("v0", 62))
    assert summary["methods"][0]["source_address"] == (None if method == "icmp" else "192.0.2.1")


def test_all_methods_agree_without_privilege_where_icmp_is_allowed() -> None:
    allow = "{ echo 0 2147483647 || echo 0 0; } 2>/dev/null >/proc/sys/net/ipv4/ping_group_range\n"
    command = (*LODIAG, "trace", "-w", ".2", "--json", "--method", "all", "127.0.0.2")
    done = in_chain(allow, "setpriv", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all", *command)

    report = parse(done)
    assert status_of(done) == (1, [LEAVES])
    assert {found["method"]: found["hops"] for found in report["summary"]["methods"]} == {
        "udp": 3,
        "icmp-datagram": 3,
        "tcp": 3,
    }


RULES = """
ip route del 127.0.0.2
ip rule add pref 5 to 127.0.0.2 lookup 100
ip rule add pref 10 lookup local
ip rule del pref 0
ip route add 127.0.0.2/32 via 192.0.2.2 table 100
"""
WHOLE = """
ip address del 127.0.0.1/8 dev lo
ip route del 127.0.0.2
ip route add 127.0.0.0/8 via 192.0.2.2
in_ r1 ip route add 127.0.0.0/8 via 198.51.100.2
in_ r2 ip route add 127.0.0.0/8 via 203.0.113.2
"""


@pytest.mark.parametrize(("more", "target", "table"), [(RULES, "127.0.0.2", "100"), (WHOLE, "127.8.8.8", "main")])
def test_rules_and_wide_routes_lead_off_the_host(more: str, target: str, table: str) -> None:
    done, report = trace_chain(more=more, target=target)

    assert status_of(done) == (1, [LEAVES])
    assert hops_of(report) == [*ROUTERS[:2], (3, target)]
    assert (report["summary"]["route"]["type"], report["summary"]["route"]["table"]) == ("unicast", table)
    assert {record["interface"] for record in report["records"]} == {"v0"}


NEIGHBOUR = """
in_ r1 ip link set lo up
in_ r1 ip route del 127.0.0.2
"""


@pytest.mark.parametrize("method", ["udp", "icmp", "tcp"])
def test_a_neighbour_that_answers_as_the_loopback_in_one_hop(method: str) -> None:
    """It has 127.0.0.0/8 of its own, and answers within microseconds with the TTL of a loopback."""
    done, report = trace_chain("--method", method, more=NEIGHBOUR)

    assert status_of(done) == (1, [LEAVES])
    (record,) = report["records"]
    assert (record["hop"], record["address"], record["received"]) == (1, "127.0.0.2", 3)
    assert (record["interface"], record["reply_ttl"]) == ((None, None) if method == "tcp" else ("v0", 64))
    evidence = {item["name"]: item["value"] for item in report["findings"][0]["evidence"]}
    assert evidence["route"] == "unicast via 192.0.2.2 dev v0"


REDIRECT = """
ip route del 127.0.0.2
ip route add 203.0.113.0/24 via 192.0.2.2
in_ r1 ip route add 203.0.113.0/24 via 198.51.100.2
nft 'add table ip n; add chain ip n out { type nat hook output priority -100; }'
nft 'add rule ip n out ip daddr 127.0.0.2 dnat to 203.0.113.2'
nft 'add chain ip n post { type nat hook postrouting priority 100; }'
nft 'add rule ip n post ip saddr 127.0.0.0/8 oif v0 masquerade'
"""


def test_address_translation_that_rewrites_who_answers_is_told_by_interface_and_ttl() -> None:
    """The route is local, and every hop seems to be the target."""
    done, report = trace_chain(more=REDIRECT)

    assert status_of(done) == (1, [LEAVES, ("route-contradicted", "warn")])
    assert hops_of(report) == [(1, "127.0.0.2"), (2, "127.0.0.2"), (3, "127.0.0.2")]
    assert [(r["interface"], r["reply_ttl"]) for r in report["records"]] == [("v0", 64), ("v0", 63), ("v0", 62)]
    assert (report["summary"]["route"]["type"], report["summary"]["route"]["dev"]) == ("local", "lo")


@pytest.mark.parametrize("hops", ["10.77.0.1,10.77.0.2,-,127.0.0.2", "127.0.0.2"])
def test_a_tunnel(hops: str) -> None:
    done = through_tunnel(hops, *LODIAG, "trace", "-w", ".2", "--json", "127.0.0.2")

    report = parse(done)
    expected = [(hop, None if address == "-" else address) for hop, address in enumerate(hops.split(","), 1)]
    assert status_of(done) == (1, [LEAVES])
    assert hops_of(report) == expected
    assert {record["interface"] for record in report["records"]} - {None} == {"tun0"}
    assert {record["sent"] for record in report["records"] if record["address"] is None} <= {4}  # asked once more


HURRY = """
import time
from lodiag.system import System
probe = System().open_probe("udp", "ipv4", "127.0.0.2", source=None, size_bytes=32)
kinds = set()
for seq in range(1, 2001):
    probe.send(seq, 1)
    until = time.monotonic() + (1 if seq % 4 == 0 else 0)
    while (answer := probe.receive()) or time.monotonic() < until:
        if answer:
            kinds.add((answer.icmp_type, answer.icmp_code, answer.is_reply))
            break
probe.close()
print(kinds)
"""


def test_errors_that_come_while_probes_are_sent_are_whole_and_hinder_none() -> None:
    """The kernel tells of an error at the next call of any kind, beside what it queues."""
    done = through_tunnel("127.0.0.2", sys.executable, "-c", HURRY)

    assert (done.returncode, done.stdout.strip()) == (0, "{(3, 3, True)}"), done.stderr


def test_a_route_whose_answers_cannot_come_back_is_told_by_itself() -> None:
    done, report = trace_chain("-q", "1", more="ip route replace 127.0.0.2 via 192.0.2.2 dev v0 src 127.0.0.1\n")

    assert status_of(done) == (1, [LEAVES, ("timeout", "fail")])
    assert {record["address"] for record in report["records"]} == {None}
    assert "route to it leads to 192.0.2.2" in report["findings"][0]["message"]


# What routers say

MUTE = """
in_ r2 nft 'add table ip t; add chain ip t c { type filter hook output priority 0; }'
in_ r2 nft 'add rule ip t c icmp type time-exceeded drop'
"""
REJECTING = """
in_ r2 nft 'add table ip t; add chain ip t c { type filter hook forward priority 0; }'
in_ r2 nft 'add rule ip t c ip daddr 127.0.0.2 reject with icmp type admin-prohibited'
"""
ANSWERS = {
    "T08-rejected": (REJECTING, 3, (3, 13), "rejected-by-firewall"),
    "prohibited": ("in_ r2 ip route replace prohibit 127.0.0.2\n", 2, (3, 13), "rejected-by-firewall"),
    "unreachable": ("in_ r2 ip route replace unreachable 127.0.0.2\n", 2, (3, 1), "destination-unreachable"),
    "no-route": ("in_ r2 ip route del 127.0.0.2\n", 2, (3, 0), "destination-unreachable"),
}


@pytest.mark.parametrize(("more", "hop", "icmp", "error"), ANSWERS.values(), ids=ANSWERS)
def test_a_refusal_of_a_router_ends_the_trace(more: str, hop: int, icmp: tuple[int, int], error: str) -> None:
    done, report = trace_chain("-q", "1", more=more)

    assert status_of(done) == (1, [LEAVES, (error, "fail")])
    assert hops_of(report) == [*ROUTERS[: hop - 1], (hop, "198.51.100.2")]
    (probe,) = report["records"][-1]["probes"]
    assert (probe["status"], probe["error"], probe["icmp_type"], probe["icmp_code"]) == ("unreachable", error, *icmp)
    evidence = {item["name"]: item["value"] for item in report["findings"][1]["evidence"]}
    assert evidence["last answer"].startswith(f"198.51.100.2 at hop {hop}: {error}, ICMP type {icmp[0]}")


def test_t02_a_silent_router_is_kept_and_asked_once_more() -> None:
    done, report = trace_chain(more=MUTE)

    assert status_of(done) == (1, [LEAVES])
    assert hops_of(report) == [(1, "192.0.2.2"), (2, None), (3, "127.0.0.2")]
    assert [record["sent"] for record in report["records"]] == [3, 4, 3]


def test_silence_behind_a_router_is_kept_to_the_last_hop() -> None:
    done, report = trace_chain("-q", "1", "-m", "6", more="in_ r2 ip route replace blackhole 127.0.0.2\n")

    assert status_of(done) == (1, [LEAVES, ("timeout", "fail")])
    assert hops_of(report) == [(1, "192.0.2.2"), *((hop, None) for hop in range(2, 7))]


def test_routers_that_pass_it_back_are_a_loop() -> None:
    done, report = trace_chain("-q", "1", more="in_ r2 ip route replace 127.0.0.2 via 198.51.100.1\n")

    assert status_of(done) == (1, [LEAVES, ("routing-loop", "fail")])
    assert hops_of(report)[:4] == [*ROUTERS[:2], (3, "192.0.2.2"), (4, "198.51.100.2")]
    evidence = {item["name"]: item["value"] for item in report["findings"][1]["evidence"]}
    assert evidence["192.0.2.2"].startswith("at hops 1, 3, 5")


HIDING = """
in_ r1 nft 'add table ip t; add chain ip t c { type filter hook prerouting priority -150; }'
in_ r1 nft 'add rule ip t c ip daddr 127.0.0.2 ip ttl set 64'
"""


def test_a_router_that_rewrites_the_ttl_and_so_hides_the_hops_is_told_by_the_answers() -> None:
    done, report = trace_chain(more=HIDING)

    assert status_of(done) == (1, [LEAVES, ("unexpected-ttl", "warn")])
    assert hops_of(report) == [(1, "127.0.0.2")]
    assert report["records"][0]["reply_ttl"] == 62
    assert "3 hops away" in report["findings"][1]["message"]


def test_out_of_hops_is_not_called_silence() -> None:
    done, report = trace_chain("-q", "1", "-m", "2")

    assert hops_of(report) == ROUTERS[:2]
    assert status_of(done) == (1, [LEAVES, ("max-hops-reached", "fail")])


def test_the_own_loopback_address_stays_one_hop_away_there() -> None:
    done, report = trace_chain(target="127.0.0.1")

    assert (status_of(done), hops_of(report)) == ((0, []), [(1, "127.0.0.1")])


def test_ping_says_that_the_ttl_ran_out() -> None:
    done = in_chain("", *LODIAG, "ping", "-c", "1", "-t", "1", "--json", "127.0.0.2")

    assert status_of(done) == (1, [("ttl-exceeded", "fail")])
    (reply,) = parse(done)["records"][0]["replies"]
    assert (reply["status"], reply["icmp_type"], reply["reply_from"]) == ("unreachable", 11, "192.0.2.2")


def test_traceroute_agrees() -> None:
    if shutil.which("traceroute") is None:
        pytest.skip("traceroute is not installed")
    theirs = in_chain("", "traceroute", "-n", "-w", ".5", "127.0.0.2")

    hops = [line.split()[:2] for line in theirs.stdout.splitlines()[1:]]
    assert hops == [[str(hop), address] for hop, address in ROUTERS]
