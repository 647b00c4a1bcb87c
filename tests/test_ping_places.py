"""Where probes die, told by the kernel's stamps: each place in a network namespace of its own."""

from __future__ import annotations

from typing import Any

import pytest
from running import ALLOW_ICMP_DATAGRAM, LO_UP, parse, rules, run_in_world

KINDS = ("icmp-raw", "icmp-datagram", "udp")
ECHO_OR_UDP = "meta l4proto { icmp, ipv6-icmp, udp }"
WORLDS = {
    "output": rules("output", f"{ECHO_OR_UDP} drop"),
    "queue": f"{LO_UP}\ntc qdisc add dev lo root pfifo limit 0",
    "slow-queue": f"{LO_UP}\ntc qdisc add dev lo root tbf rate 8bit burst 1 limit 10000",
    "prerouting": rules("prerouting", f"{ECHO_OR_UDP} drop"),
    "input": rules("input", f"{ECHO_OR_UDP} drop"),
    "reply-at-output": rules("output", "icmp type echo-reply drop", "icmpv6 type echo-reply drop"),
}
SENT, REFUSED, QUEUE_REFUSED = ("timeout", "interface"), ("not-sent", "not-sent"), ("not-sent", "queue")
QUEUED = ("timeout", "queue")
DEATHS: dict[tuple[str, str, str], tuple[tuple[str, str], str]] = {
    **{
        ("output", address, kind): (REFUSED, "blocked-by-firewall")
        for address in ("127.0.0.1", "::1")
        for kind in KINDS
    },
    ("output", "::1", "icmp-datagram"): (("timeout", "socket"), "dropped-on-output"),
    ("queue", "127.0.0.1", "icmp-raw"): (QUEUED, "dropped-in-queue"),
    ("queue", "127.0.0.1", "icmp-datagram"): (QUEUE_REFUSED, "no-buffer-space"),
    ("queue", "::1", "icmp-datagram"): (QUEUED, "dropped-in-queue"),
    ("queue", "::1", "udp"): (QUEUE_REFUSED, "no-buffer-space"),
    ("prerouting", "127.0.0.1", "udp"): (SENT, "timeout"),
    ("prerouting", "::1", "icmp-raw"): (SENT, "timeout"),
    ("input", "::1", "icmp-datagram"): (SENT, "timeout"),
    ("input", "127.0.0.1", "udp"): (SENT, "timeout"),
    ("reply-at-output", "127.0.0.1", "icmp-datagram"): (SENT, "timeout"),
    ("reply-at-output", "::1", "icmp-raw"): (SENT, "timeout"),
}
"""World, target and kind of socket: the status of the probe and how far it came, and the code of the finding."""


def ping(setup: str, kind: str, *arguments: str) -> dict[str, Any]:
    """Ping in a namespace by this kind of socket; all but raw ones without any privilege."""
    opened = ALLOW_ICMP_DATAGRAM if kind == "icmp-datagram" else ""
    method = kind.partition("-")[0]
    arguments = ("ping", "-W", ".1", "-i", ".01", "--method", method, "--json", *arguments)
    report = parse(run_in_world(opened + setup, *arguments, as_nobody=kind != "icmp-raw"))
    (record,) = report["records"]
    assert (record["method"], record["clock"]) == (kind, "kernel")
    return report


@pytest.mark.parametrize(("where", "expected"), DEATHS.items(), ids=["-".join(where) for where in DEATHS])
def test_it_is_told_how_far_the_probes_came(where: tuple[str, str, str], expected: tuple[tuple[str, str], str]) -> None:
    world, address, kind = where
    fate, code = expected

    report = ping(WORLDS[world], kind, "-c", "2", address)

    (record,) = report["records"]
    assert [(reply["status"], reply["reached"]) for reply in record["replies"]] == [fate] * 2
    silent = {stage: 2 if fate == ("timeout", stage) else 0 for stage in ("socket", "queue", "interface")}
    assert (record["lost_unqueued"], record["lost_queued"], record["lost_sent"]) == tuple(silent.values())
    assert record["outage_count"] == 1
    (finding,) = (finding for finding in report["findings"] if finding["severity"] != "info")
    assert (finding["code"], finding["severity"]) == (code, "fail")


def test_what_waits_in_the_queue_did_not_leave_it() -> None:
    report = ping(WORLDS["slow-queue"], "icmp-raw", "-c", "3", "127.0.0.1")

    assert {reply["reached"] for reply in report["records"][0]["replies"]} <= {"queue", "interface"}
    assert report["records"][0]["lost_queued"] > 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_part_that_is_lost_is_told_by_its_place(kind: str) -> None:
    setup = rules(
        "input", f"{'icmp type echo-request' if kind != 'udp' else 'udp length 64'} numgen inc mod 4 < 2 drop"
    )

    report = ping(setup, kind, "-c", "8", "127.0.0.1")

    (record,) = report["records"]
    assert (record["received"], record["lost_sent"], record["lost_queued"], record["outage_count"]) == (4, 4, 0, 2)
    assert [outage["first_seq"] for outage in record["outages"]] == [1, 5]
    (finding,) = (finding for finding in report["findings"] if finding["severity"] != "info")
    assert finding["code"] == "loss"
    assert "A rule at prerouting or input" in finding["hint"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_rejection_on_the_way_out_is_told_with_its_type(kind: str) -> None:
    match = "icmp type echo-request" if kind != "udp" else "udp length 64"
    setup = rules("output", f"{match} reject with icmp type host-prohibited")

    report = ping(setup, kind, "-c", "1", "127.0.0.1")

    (record,) = report["records"]
    (reply,) = record["replies"]
    assert (reply["status"], reply["error"]) == ("not-sent", "blocked-by-firewall")
    assert (reply["icmp_type"], reply["icmp_code"], reply["reply_from"]) == (3, 10, "127.0.0.1")
    evidence = {item["name"]: item["value"] for item in report["findings"][0]["evidence"]}
    assert evidence["ICMP error"] == "type 3 code 10 (host administratively prohibited) from 127.0.0.1"


@pytest.mark.parametrize("kind", KINDS[:2])
def test_replies_from_another_address_are_strays(kind: str) -> None:
    setup = rules("output", "icmp type echo-reply ip saddr set 127.0.0.7")

    report = ping(setup, kind, "-c", "2", "127.0.0.1")

    (record,) = report["records"]
    assert (record["received"], record["strays"], record["error"]) == (0, 2, "reply-from-elsewhere")
    assert {reply["reply_from"] for reply in record["replies"]} == {"127.0.0.7"}


@pytest.mark.parametrize("kind", KINDS)
def test_the_ttl_that_this_host_sends_with_is_expected(kind: str) -> None:
    match = "icmp type echo-reply" if kind != "udp" else "icmp type destination-unreachable"
    told = ping(rules("output", f"{match} ip ttl set 55"), kind, "-c", "2", "127.0.0.1")
    healthy = ping(f"{LO_UP}\necho 99 >/proc/sys/net/ipv4/ip_default_ttl", kind, "-c", "2", "127.0.0.1")

    assert [record["reply_ttl_min"] for report in (told, healthy) for record in report["records"]] == [55, 99]
    assert [f["code"] for f in told["findings"] if f["severity"] != "info"] == ["unexpected-ttl"]
    assert [f["code"] for f in healthy["findings"] if f["severity"] != "info"] == []


HALF_OF_THEM = f"""{LO_UP}
nft 'add table inet t; add chain inet t c {{ type filter hook output priority 0; }}'
nft 'add rule inet t c icmp type echo-request icmp sequence & 1 == 1 meta priority set 1:2'
nft 'add rule inet t c icmp type echo-reply icmp sequence & 1 == 1 meta priority set 1:2'
tc qdisc add dev lo root handle 1: htb default 1
tc class add dev lo parent 1: classid 1:1 htb rate 10gbit quantum 60000
tc class add dev lo parent 1: classid 1:2 htb rate 1mbit burst 10 cburst 10 quantum 60000"""
SHAPED = {
    "all": (f"{LO_UP}\ntc qdisc add dev lo root tbf rate 1mbit burst 1600 latency 1s", "5", "long-delay"),
    "half": (HALF_OF_THEM, "20", "bimodal-rtt"),
}


@pytest.mark.parametrize(("setup", "count", "code"), SHAPED.values(), ids=SHAPED)
def test_what_a_queue_delays_is_told(setup: str, count: str, code: str) -> None:
    """A request takes what the bucket holds; its reply, of the same size, waits some 11 ms for the next."""
    report = parse(run_in_world(setup, "ping", "-c", count, "-s", "1400", "-i", "0.04", "--json", "127.0.0.1"))

    assert [finding["code"] for finding in report["findings"]] == [code]
