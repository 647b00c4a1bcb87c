"""``lodiag ping`` on loopbacks that are really broken, each in a network namespace of its own.

The tests are named after the rows of the behaviour table that ping was specified by, as in ``test_ping.py``.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest
from running import (
    ALLOW_ICMP_DATAGRAM,
    CANNOT_SET_UP,
    LO_UP,
    Done,
    assert_refused,
    parse,
    rules,
    run_in_world,
    skip_world,
)
from test_ping import LITERALS, REFUSED

if TYPE_CHECKING:
    from pathlib import Path

QUICK = ("ping", "-c", "1", "-W", ".1", "--json")
LODIAG = (sys.executable, "-m", "lodiag")


def by(kind: str, setup: str, *arguments: str) -> dict[str, Any]:
    """Run lodiag in a namespace by this kind of socket, and parse its report, which decides the exit status."""
    opened = ALLOW_ICMP_DATAGRAM if kind == "icmp-datagram" else ""
    done = run_in_world(opened + setup, *arguments, as_nobody=kind != "icmp-raw")
    report = parse(done)
    assert done.returncode == any(finding["severity"] == "fail" for finding in report["findings"])
    assert done.stderr == ""
    return report


KINDS = ("icmp-raw", "icmp-datagram", "udp")
ECHO = "meta l4proto { icmp, ipv6-icmp }"
UDP = "meta l4proto udp"
IGNORE = "echo 1 >/proc/sys/net/ipv4/icmp_echo_ignore_all\necho 1 >/proc/sys/net/ipv6/icmp/echo_ignore_all"

WORLDS = {
    "P34-never-up": ":",
    "P34-up-then-down": f"{LO_UP}\nip link set lo down",
    "P35-no-v6-address": f"{LO_UP}\nip address del ::1/128 dev lo",
    "P35-v6-disabled": f"{LO_UP}\necho 1 >/proc/sys/net/ipv6/conf/lo/disable_ipv6",
    "P35-mtu-1000": f"{LO_UP}\nip link set lo mtu 1000",
    "no-v4-address": f"{LO_UP}\nip address del 127.0.0.1/8 dev lo",
    "P36-output-drop": rules("output", "drop"),
    "P36-output-reject": rules("output", "reject with icmpx type admin-prohibited"),
    "P37-input-drop": rules("input", "drop"),
    "P37-echo-ignored": f"{LO_UP}\n{IGNORE}",
    "P38-input-reject": rules(
        "input",
        "icmp type echo-request reject with icmp type admin-prohibited",
        "icmpv6 type echo-request reject with icmpv6 type admin-prohibited",
        f"{UDP} reject with icmpx type admin-prohibited",
    ),
    "route-prohibited": f"{LO_UP}\nip route add prohibit 127.0.0.9 table local",
    "route-blackhole": f"{LO_UP}\nip route add blackhole 127.0.0.9 table local",
    "route-unreachable": f"{LO_UP}\nip route add unreachable 127.0.0.9 table local",
    "no-rule-for-local": f"{LO_UP}\nip rule del pref 0",
}

SILENT = {
    ("P34-never-up", "127.0.0.1"): (KINDS, "network-unreachable", "lo-down"),
    ("P34-never-up", "::1"): (("icmp-raw",), "address-not-available", "lo-down"),
    ("P34-up-then-down", "127.0.0.1"): (KINDS, "timeout", "lo-down"),
    ("P34-up-then-down", "::1"): (("icmp-datagram",), "address-not-available", "lo-down"),
    ("P35-no-v6-address", "::1"): (KINDS, "address-not-available", "addr6-missing"),
    ("P35-v6-disabled", "::1"): (("udp",), "address-not-available", "addr6-missing"),
    ("P35-mtu-1000", "::1"): (("icmp-raw",), "address-not-available", "addr6-missing"),
    ("no-v4-address", "127.0.0.1"): (("icmp-raw", "udp"), "network-unreachable", "addr4-missing"),
    ("P36-output-drop", "127.0.0.1"): (KINDS, "blocked-by-firewall", "blocked-by-firewall"),
    ("P36-output-drop", "::1"): (("icmp-raw", "udp"), "blocked-by-firewall", "blocked-by-firewall"),
    ("P36-output-reject", "127.0.0.1"): (("icmp-raw",), "blocked-by-firewall", "blocked-by-firewall"),
    ("P37-input-drop", "127.0.0.1"): (KINDS, "timeout", "timeout"),
    ("P37-input-drop", "::1"): (("icmp-raw", "udp"), "timeout", "timeout"),
    ("P37-echo-ignored", "127.0.0.1"): (("icmp-raw", "icmp-datagram"), "icmp-ignored", "icmp-ignored"),
    ("P37-echo-ignored", "::1"): (("icmp-raw", "icmp-datagram"), "icmp-ignored", "icmp-ignored"),
    ("route-prohibited", "127.0.0.9"): (("icmp-raw",), "route-prohibited", "route-prohibited"),
    ("route-blackhole", "127.0.0.9"): (("icmp-datagram",), "route-blackhole", "route-blackhole"),
    ("route-unreachable", "127.0.0.9"): (("udp",), "host-unreachable", "host-unreachable"),
    ("no-rule-for-local", "127.0.0.1"): (("icmp-raw",), "network-unreachable", "network-unreachable"),
}
"""World and target: the kinds of socket that meet this error there, and the cause that the finding must name."""

SILENCES = {
    f"{world}-{target}-{kind}": (world, target, kind, error, code)
    for (world, target), (kinds, error, code) in SILENT.items()
    for kind in kinds
}


@pytest.mark.parametrize(("world", "target", "kind", "error", "code"), SILENCES.values(), ids=SILENCES)
def test_silence_is_named(world: str, target: str, kind: str, error: str, code: str) -> None:
    report = by(kind, WORLDS[world], *QUICK, target)

    (record,) = report["records"]
    assert (record["address"], record["method"], record["error"]) == (target, kind, error)
    assert (record["received"], record["rtt_avg_ms"], record["jitter_ms"]) == (0, None, None)
    assert (record["sent"], record["loss_ratio"]) in {(0, None), (1, 1.0)}
    assert [reply["status"] for reply in record["replies"]] != ["received"]
    (finding,) = (f for f in report["findings"] if f["severity"] != "info")
    assert (finding["code"], finding["severity"]) == (code, "fail")
    assert finding["hint"]
    assert finding["evidence"]


def test_p36_ipv6_datagrams_vanish_and_only_the_stamps_tell_where() -> None:
    report = by("icmp-datagram", WORLDS["P36-output-drop"], *QUICK, "::1")

    (record,) = report["records"]
    assert (record["method"], record["received"], record["error"]) == ("icmp-datagram", 0, "dropped-on-output")


@pytest.mark.parametrize(("world", "words"), [("P34-never-up", "lo-down"), ("P37-input-drop", "timeout")])
def test_p06_no_reply_exits_with_1_and_says_why(world: str, words: str) -> None:
    done = run_in_world(WORLDS[world], *QUICK[:-1], "127.0.0.1")

    assert (done.returncode, done.stderr) == (1, "")
    assert re.search(rf"^fail +{words}: ", done.stdout, re.MULTILINE)


ICMP_ERRORS = {"127.0.0.1": (3, 13), "::1": (1, 1)}
"""Administratively prohibited, in ICMP and in ICMPv6."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", ICMP_ERRORS)
def test_p38_a_rejection_has_type_and_code(target: str, kind: str) -> None:
    report = by(kind, WORLDS["P38-input-reject"], "ping", "-c", "2", "-i", ".01", "--json", target)

    (record,) = report["records"]
    assert (record["method"], record["sent"], record["lost"], record["loss_ratio"]) == (kind, 2, 2, 1.0)
    assert ("rejected-by-firewall", "fail") in [(f["code"], f["severity"]) for f in report["findings"]]
    for reply in record["replies"]:
        assert (reply["status"], reply["error"]) == ("unreachable", "rejected-by-firewall")
        assert (reply["icmp_type"], reply["icmp_code"]) == ICMP_ERRORS[target]
        assert reply["reply_from"] == target


FIXES = {
    "P34-never-up": ("127.0.0.1", ["ip link set lo up"]),
    "P34-up-then-down": ("127.0.0.1", ["ip link set lo up"]),
    "P35-no-v6-address": ("::1", ["ip -6 address add ::1/128 dev lo"]),
    "P35-v6-disabled": ("::1", ["sysctl -w net.ipv6.conf.lo.disable_ipv6=0"]),
    "P35-mtu-1000": ("::1", ["ip link set lo mtu 65536", "ip -6 address add ::1/128 dev lo"]),
    "no-v4-address": ("127.0.0.1", ["ip address add 127.0.0.1/8 dev lo"]),
    "P37-echo-ignored": ("127.0.0.1", ["sysctl -w net.ipv4.icmp_echo_ignore_all=0"]),
}
PING_FIX_PING = """
import json, subprocess, sys
ping = [sys.executable, "-m", "lodiag", "ping", "-c", "1", "-W", ".1", "--json", sys.argv[1]]
report = json.loads(subprocess.run(ping, stdout=subprocess.PIPE).stdout)
commands = [command for finding in report["findings"] for command in finding["fix"]["commands"]]
for command in commands:
    subprocess.run(command, shell=True, check=True, stdout=subprocess.DEVNULL)
print(json.dumps([commands, subprocess.run(ping, stdout=subprocess.DEVNULL).returncode]))
"""


@pytest.mark.parametrize(("world", "target", "commands"), [(w, *case) for w, case in FIXES.items()], ids=FIXES)
def test_the_fix_repairs_it(world: str, target: str, commands: list[str]) -> None:
    if "sysctl" in commands[0] and shutil.which("sysctl") is None:
        pytest.skip("sysctl is not installed")

    done = run_in_world(WORLDS[world], command=(sys.executable, "-c", PING_FIX_PING, target))

    assert json.loads(done.stdout) == [commands, 0], done.stderr


def test_p37_udp_is_answered_where_echo_is_ignored() -> None:
    (record,) = by("udp", WORLDS["P37-echo-ignored"], *QUICK, "127.0.0.1")["records"]

    assert (record["method"], record["received"]) == ("udp", 1)


# Privileges


def test_p33_without_privilege_udp_stands_in_and_says_so() -> None:
    report = parse(run_in_world(LO_UP, *QUICK, "127.0.0.1", "::1", as_nobody=True))

    for record in report["records"]:
        assert (record["method"], record["received"]) == ("udp", 1)
        assert [refusal["method"] for refusal in record["refused"]] == ["icmp-datagram", "icmp-raw"]
    assert {(f["code"], f["severity"]) for f in report["findings"]} == {("icmp-denied", "info")}


def test_p33_without_privilege_icmp_is_refused_with_a_hint() -> None:
    done = run_in_world(LO_UP, "ping", "--method", "icmp", "127.0.0.1", as_nobody=True)

    assert_refused(done, "no-permission")
    assert "net.ipv4.ping_group_range" in done.stderr
    assert "--method udp" in done.stderr


def test_p33_root_needs_no_group() -> None:
    (record,) = parse(run_in_world(LO_UP, *QUICK, "127.0.0.1"))["records"]

    assert (record["method"], record["received"]) == ("icmp-raw", 1)
    assert [refusal["method"] for refusal in record["refused"]] == ["icmp-datagram"]


# What is sent: the packet filter lets through only what it should be

SENT = {
    "P15-v4-raw": ("icmp-raw", "icmp type echo-request ip length != 65535", "-s 65507 127.0.0.1"),
    "P15-v4-datagram": ("icmp-datagram", "icmp type echo-request ip length != 65535", "-s 65507 127.0.0.1"),
    "P15-v6-raw": ("icmp-raw", "icmpv6 type echo-request ip6 length != 65535", "-s 65527 ::1"),
    "P15-v6-datagram": ("icmp-datagram", "icmpv6 type echo-request ip6 length != 65535", "-s 65527 ::1"),
    "P17-v4-size-0": ("icmp-raw", "icmp type echo-request ip length != 28", "-s 0 127.0.0.1"),
    "P17-v6-size-0": ("icmp-datagram", "icmpv6 type echo-request ip6 length != 8", "-s 0 ::1"),
    "P17-udp-size-0": ("udp", "udp length != 8", "-s 0 127.0.0.1"),
    "P18-v4-raw-ttl": ("icmp-raw", "icmp type echo-request ip ttl != 7", "-t 7 127.0.0.1"),
    "P18-v4-datagram-ttl": ("icmp-datagram", "icmp type echo-request ip ttl != 7", "-t 7 127.0.0.1"),
    "P18-v6-raw-ttl": ("icmp-raw", "icmpv6 type echo-request ip6 hoplimit != 7", "-t 7 ::1"),
    "P18-v6-datagram-ttl": ("icmp-datagram", "icmpv6 type echo-request ip6 hoplimit != 7", "-t 7 ::1"),
    "P18-udp-ttl": ("udp", f"{UDP} ip ttl != 7", "-t 7 127.0.0.1"),
    "P22-raw-source": ("icmp-raw", "icmp type echo-request ip saddr != 127.0.0.5", "-S 127.0.0.5 127.0.0.1"),
    "P22-datagram-source": ("icmp-datagram", "icmp type echo-request ip saddr != 127.0.0.5", "-S 127.0.0.5 127.0.0.1"),
    "P22-udp-source": ("udp", f"{UDP} ip saddr != 127.0.0.5", "-S 127.0.0.5 127.0.0.1"),
}


@pytest.mark.parametrize(("kind", "wrong", "arguments"), SENT.values(), ids=SENT)
def test_what_is_sent_is_what_was_asked_for(kind: str, wrong: str, arguments: str) -> None:
    setup = rules("output", f"{wrong} drop")

    (record,) = by(kind, setup, *QUICK[:-3], "--json", *shlex.split(arguments))["records"]

    (reply,) = record["replies"]
    assert (record["method"], reply["status"], reply["reply_ttl"]) == (kind, "received", 64)
    assert reply["rtt_ms"] > 0
    assert reply["size_bytes"] == (None if kind == "udp" else record["size_bytes"])


@pytest.mark.parametrize("target", ["127.0.0.1", "::1"])
def test_p15_the_largest_probe_passes_a_small_mtu_in_fragments(target: str) -> None:
    size = "65507" if target == "127.0.0.1" else "65527"

    (record,) = parse(run_in_world(f"{LO_UP}\nip link set lo mtu 1500", *QUICK[:-3], "--json", "-s", size, target))[
        "records"
    ]

    assert [reply["size_bytes"] for reply in record["replies"]] == [int(size)]


COUNT_PACKETS = """
import contextlib, io, json, subprocess, sys
from lodiag.cli import main

def packets():
    listed = json.loads(subprocess.run(["nft", "-j", "list", "counters"], stdout=subprocess.PIPE).stdout)
    return sum(item["counter"]["packets"] for item in listed["nftables"] if "counter" in item)

def run(arguments):
    before = packets()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return [main(arguments), packets() - before]

print(json.dumps([run(arguments) for arguments in json.loads(sys.argv[1])]))
"""


def test_p29_no_packet_leaves_for_what_is_refused() -> None:
    setup = f"""{rules("output")}
        nft 'add counter inet t sent; add rule inet t c counter name sent'
        ip route add default dev lo
        ip -6 route add default dev lo"""
    refused = [case for case in LITERALS if case != "P31-long-label"]
    runs = [["ping", *shlex.split(REFUSED[case][0])] for case in refused]
    runs += [["trace", target] for _, target, *others in runs if not others]
    control = ["ping", "-c", "1", "--clock", "user", "127.0.0.1"]  # waiting for stamps sends something too

    done = run_in_world(setup, command=(sys.executable, "-c", COUNT_PACKETS, json.dumps([*runs, control])))

    *outcomes, seen = json.loads(done.stdout)
    assert outcomes == [[2, 0]] * len(runs)
    assert seen == [0, 2]  # the counter does count: a request and its reply


# Names

HOSTS = {
    "P32-no-v6": ("127.0.0.1 localhost", LO_UP, "localhost", ["127.0.0.1"], {}, 0),
    "P32-both": ("127.0.0.1 localhost\n::1 localhost", LO_UP, "localhost", ["127.0.0.1", "::1"], {}, 0),
    "P32-v4-wanted": ("127.0.0.1 localhost\n::1 localhost", LO_UP, "-4 localhost", ["127.0.0.1"], {}, 0),
    "P32-v6-wanted": ("127.0.0.1 localhost\n::1 localhost", LO_UP, "-6 localhost", ["::1"], {}, 0),
    "P32-127.0.1.1": ("127.0.1.1 my-machine", LO_UP, "my-machine", ["127.0.1.1"], {}, 0),
    "P48-name-with-one-failing-address": (
        "127.0.0.1 localhost\n::1 localhost",
        WORLDS["P35-no-v6-address"],
        "localhost",
        ["127.0.0.1", "::1"],
        {"addr6-missing": "warn"},
        0,
    ),
    "P48-name-with-all-failing": (
        "127.0.0.1 localhost\n::1 localhost",
        ":",
        "localhost",
        ["127.0.0.1", "::1"],
        {"lo-down": "fail"},
        1,
    ),
    "P48-name-and-its-failing-address": (
        "127.0.0.1 localhost\n::1 localhost",
        WORLDS["P35-no-v6-address"],
        "localhost ::1",
        ["127.0.0.1", "::1"],
        {"addr6-missing": "fail"},
        1,
    ),
}
"""Hosts file, world and arguments; then the addresses, the findings other than info, and the exit status."""

HOSTS_REFUSED = {
    "P05-unknown-name": ("", "no-such-name.invalid", "no-such-name.invalid"),
    "P05-unknown-among-others": ("", "127.0.0.1 no-such-name.invalid", "no-such-name.invalid"),
    "P31-long-label": ("", f"{'a' * 64}.invalid", "a" * 64),
    "P31-empty-label": ("", "a..invalid", "a..invalid"),
    "P32-off-the-loopback": ("192.0.2.9 localhost", "localhost", "192.0.2.9"),
    "P32-one-off-the-loopback": ("127.0.0.1 localhost\n192.0.2.9 localhost", "localhost", "192.0.2.9"),
    "P32-mapped": ("::ffff:127.0.0.1 odd", "-6 odd", "odd"),
}


def with_hosts(tmp_path: Path, hosts: str, setup: str, *arguments: str) -> Done:
    """Run lodiag where names come from this hosts file and from nowhere else."""
    own_hosts, own_switch = tmp_path / "hosts", tmp_path / "nsswitch.conf"
    own_hosts.write_text(f"{hosts}\n")
    own_switch.write_text("hosts: files\n")
    script = f"""
        mount --bind {shlex.quote(str(own_hosts))} /etc/hosts || exit {CANNOT_SET_UP}
        mount --bind {shlex.quote(str(own_switch))} /etc/nsswitch.conf || exit {CANNOT_SET_UP}
        exec {shlex.join([*LODIAG, *arguments])}"""
    return run_in_world(setup, command=("unshare", "-m", "sh", "-c", script))


@pytest.mark.parametrize(("hosts", "setup", "arguments", "addresses", "findings", "status"), HOSTS.values(), ids=HOSTS)
def test_every_address_of_a_name_is_probed(  # noqa: PLR0913, PLR0917 - the columns of the table
    tmp_path: Path,
    hosts: str,
    setup: str,
    arguments: str,
    addresses: list[str],
    findings: dict[str, str],
    status: int,
) -> None:
    done = with_hosts(tmp_path, hosts, setup, *QUICK, *shlex.split(arguments))

    report = parse(done)
    assert done.returncode == status
    assert {record["address"] for record in report["records"]} == set(addresses)
    assert {f["code"]: f["severity"] for f in report["findings"] if f["severity"] != "info"} == findings


@pytest.mark.parametrize(("hosts", "arguments", "words"), HOSTS_REFUSED.values(), ids=HOSTS_REFUSED)
def test_a_name_is_refused(tmp_path: Path, hosts: str, arguments: str, words: str) -> None:
    assert_refused(with_hosts(tmp_path, hosts, LO_UP, *QUICK, *shlex.split(arguments)), words)


def test_p32_only_v6(tmp_path: Path) -> None:
    done = with_hosts(tmp_path, "::1 localhost", LO_UP, *QUICK, "localhost")

    addresses = [record["address"] for record in parse(done)["records"]]
    assert "::1" in addresses
    assert set(addresses) <= {"::1", "127.0.0.1"}  # glibc makes up the latter


# Loss, duplicates, damage

EVERY_SECOND_IS_LOST = rules("input", "icmp type echo-request numgen inc mod 2 0 drop")
LOSSES = {
    "P07-no-limit": ((), {"loss": "warn"}, 0),
    "P07-limit-equal": (("--max-loss", "50"), {"loss": "warn"}, 0),
    "P47-limit-exceeded": (("--max-loss", "49.9"), {"loss": "warn", "loss-over-limit": "fail"}, 1),
}


@pytest.mark.parametrize(("limits", "findings", "status"), LOSSES.values(), ids=LOSSES)
def test_partial_loss(limits: tuple[str, ...], findings: dict[str, str], status: int) -> None:
    done = run_in_world(
        EVERY_SECOND_IS_LOST, "ping", "-c", "4", "-i", ".01", "-W", ".1", *limits, "--json", "127.0.0.1"
    )

    report = parse(done)
    (record,) = report["records"]
    assert (record["sent"], record["received"], record["loss_ratio"]) == (4, 2, 0.5)
    assert [reply["status"] for reply in record["replies"]] == ["timeout", "received"] * 2
    assert {f["code"]: f["severity"] for f in report["findings"]} == findings
    assert done.returncode == status


@pytest.mark.parametrize("kind", ["icmp-raw", "icmp-datagram"])
def test_p43_real_duplicates(kind: str) -> None:
    setup = rules("output", "icmp type echo-reply dup to 127.0.0.1 device lo", family="ip")

    report = by(kind, setup, "ping", "-c", "3", "-i", ".05", "--json", "127.0.0.1")

    (record,) = report["records"]
    assert (record["sent"], record["received"], record["lost"]) == (3, 3, 0)
    assert record["duplicates"] >= 2  # the last may come after the run has ended
    assert {f["code"]: f["severity"] for f in report["findings"]} == {"duplicates": "warn"}


DAMAGED = {
    "P43-damaged-payload": ("icmp-raw", "icmp type echo-reply @th,320,8 set 0xfe"),
    "P43-udp-damaged-payload": ("udp", f"{UDP} @th,320,8 set 0xfe"),
}
"""Kind of socket, and a rule that changes the 33rd byte of the payload on its way."""


@pytest.mark.parametrize(("kind", "rule"), DAMAGED.values(), ids=DAMAGED)
def test_damaged_replies_are_counted_and_not_received(kind: str, rule: str) -> None:
    report = by(kind, rules("output", rule), "ping", "-c", "3", "-i", ".01", "-W", ".1", "--json", "127.0.0.1")

    (record,) = report["records"]
    if record["received"]:
        skip_world("nftables does not change packets here")
    assert (record["sent"], record["corrupted"], record["error"]) == (3, 3, "corrupted")
    assert {f["code"]: f["severity"] for f in report["findings"] if f["severity"] != "info"} == {"corrupted": "fail"}


STRANGE = {
    "P43-udp-damaged-key": ("udp", f"{UDP} @th,64,8 set 0xfe"),
    "P43-udp-damaged-number": ("udp", f"{UDP} @th,160,8 set 0xfe"),
    "P43-foreign-identifier": ("icmp-raw", "icmp type echo-reply icmp id set 1"),
    "P43-foreign-source": ("icmp-raw", "icmp type echo-reply ip saddr set 127.0.0.7"),
    "P43-foreign-number": ("icmp-raw", "icmp type echo-reply icmp sequence set 999"),
    "P43-foreign-identifier-datagram": ("icmp-datagram", "icmp type echo-reply icmp id set 1"),
    "P43-foreign-number-datagram": ("icmp-datagram", "icmp type echo-reply icmp sequence set 999"),
}


@pytest.mark.parametrize(("kind", "rule"), STRANGE.values(), ids=STRANGE)
def test_what_does_not_match_is_not_received(kind: str, rule: str) -> None:
    report = by(kind, rules("output", rule), "ping", "-c", "3", "-i", ".01", "-W", ".1", "--json", "127.0.0.1")

    (record,) = report["records"]
    assert (record["sent"], record["received"], record["duplicates"]) == (3, 0, 0)
    assert [f["severity"] for f in report["findings"] if f["severity"] != "info"] == ["fail"]


# Signals

SIGNAL_AFTER_FIRST_LINE = """
import signal, subprocess, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
ping = subprocess.Popen([sys.executable, "-m", "lodiag", *sys.argv[2:]], stdout=subprocess.PIPE, text=True)
for line in ping.stdout:
    sys.stdout.write(line)
    if "seq" in line:
        break
ping.send_signal(int(sys.argv[1]))
sys.stdout.write(ping.stdout.read())
sys.exit(ping.wait())
"""
SIGNALS = {
    "P39-SIGINT-replies": (signal.SIGINT, LO_UP, 0),
    "P39-SIGINT-silence": (signal.SIGINT, WORLDS["P37-input-drop"], 1),
    "P40-SIGTERM-replies": (signal.SIGTERM, LO_UP, 0),
    "P40-SIGTERM-silence": (signal.SIGTERM, WORLDS["P37-input-drop"], 1),
}


@pytest.mark.parametrize("form", ["table", "jsonl"])
@pytest.mark.parametrize(("number", "setup", "status"), SIGNALS.values(), ids=SIGNALS)
def test_a_signal_ends_the_run_with_its_statistics(number: int, setup: str, status: int, form: str) -> None:
    arguments = ("ping", "-c", "0", "-i", ".05", "-W", ".1", "--format", form, "127.0.0.1")

    done = run_in_world(setup, command=(sys.executable, "-c", SIGNAL_AFTER_FIRST_LINE, str(number), *arguments))

    assert (done.returncode, done.stderr) == (status, "")
    if form == "table":
        found = re.search(r"^127\.0\.0\.1 +icmp-raw +(\d+) +(\d+) ", done.stdout, re.MULTILINE)
        assert found is not None
        sent, received = map(int, found.groups())
    else:
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert lines[-1]["type"] == "report"
        (record,) = (line for line in lines if line["type"] == "record")
        sent, received = record["sent"], record["received"]
    assert sent >= 1
    assert received == (sent if status == 0 else 0)


# Side by side

AT_ONCE = """
import json, subprocess, sys
runs = [subprocess.Popen([sys.executable, "-m", "lodiag", *sys.argv[2:]], stdout=subprocess.PIPE)
        for _ in range(int(sys.argv[1]))]
print(json.dumps([json.loads(run.communicate()[0]) for run in runs]))
"""


@pytest.mark.parametrize("target", ["127.0.0.1", "::1"])
def test_p44_two_at_once_are_both_right(target: str) -> None:
    arguments = ("ping", "-c", "100", "-i", ".005", "--json", target)

    done = run_in_world(LO_UP, command=(sys.executable, "-c", AT_ONCE, "2", *arguments))

    first, second = json.loads(done.stdout)
    for report in (first, second):
        (record,) = report["records"]
        assert (record["method"], record["sent"], record["received"]) == ("icmp-raw", 100, 100)
        assert (record["duplicates"], record["corrupted"], record["late"]) == (0, 0, 0)
    begun = [report["records"][0]["replies"][0]["sent_at"] for report in (first, second)]
    ended = [report["records"][0]["replies"][-1]["sent_at"] for report in (first, second)]
    assert max(begun) < min(ended), "they did not overlap"


def test_p42_numbers_go_on_when_those_on_the_wire_wrap() -> None:
    done = run_in_world(LO_UP, "ping", "-c", "65540", "-i", "0", "-q", "--format", "jsonl", "127.0.0.1")

    record = next(line for line in map(json.loads, done.stdout.splitlines()) if line["type"] == "record")
    assert (record["method"], record["sent"], record["received"]) == ("icmp-raw", 65_540, 65_540)
    assert (record["duplicates"], record["corrupted"], record["late"]) == (0, 0, 0)


def test_p48_a_hundred_targets() -> None:
    targets = [f"127.0.0.{n}" for n in range(101, 1, -1)]

    report = parse(run_in_world(LO_UP, "ping", "-c", "2", "-i", ".1", "--json", *targets))

    assert [record["address"] for record in report["records"]] == targets
    assert {record["received"] for record in report["records"]} == {2}


def test_p48_more_targets_than_files_may_be_open() -> None:
    targets = " ".join(f"127.0.0.{n}" for n in range(1, 33))
    script = f"ulimit -n 25; exec {shlex.join(LODIAG)} ping -c 1 --json {targets}"

    done = run_in_world(LO_UP, command=("sh", "-c", script))

    report = parse(done)
    errors = {record["error"] for record in report["records"]}
    assert (done.returncode, errors) == (1, {None, "too-many-open-files"})
    assert {f["code"] for f in report["findings"] if f["severity"] == "fail"} == {"too-many-open-files"}


AGREE = {
    "healthy-v4": (LO_UP, "127.0.0.1"),
    "healthy-v6": (LO_UP, "::1"),
    "P36-output-drop": (WORLDS["P36-output-drop"], "127.0.0.1"),
    "P37-echo-ignored": (WORLDS["P37-echo-ignored"], "127.0.0.1"),
    "P38-input-reject": (WORLDS["P38-input-reject"], "127.0.0.1"),
}


@pytest.mark.parametrize(("setup", "target"), AGREE.values(), ids=AGREE)
def test_ping_of_iputils_agrees(setup: str, target: str) -> None:
    if shutil.which("ping") is None:
        pytest.skip("ping is not installed")
    ours = parse(run_in_world(setup, *QUICK, target))
    theirs = run_in_world(setup, command=("env", "LC_ALL=C", "ping", "-n", "-c", "1", "-W", "0.2", target))
    if "cap_net_raw" in theirs.stderr or "Operation not permitted" in theirs.stderr:
        pytest.skip(f"ping cannot run here: {theirs.stderr.strip()}")

    assert bool(ours["summary"]["answered"]) == (theirs.returncode == 0)
