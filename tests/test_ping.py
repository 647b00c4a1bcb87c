"""``lodiag ping`` on this machine's own loopback, and on machines that cannot be had.

The tests are named after the rows P01 to P48 of the behaviour table that ping was specified by. Rows
that need a broken machine are in ``test_ping_worlds.py``.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import socket
import subprocess
import sys
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from faking import NS_PER_S, FakeProbe, FakeSystem, refuse
from running import assert_refused, environment, parse, require_loopback, run_as_nobody, run_json, run_lodiag

from lodiag import ping_address
from lodiag.echo.options import PingOptions
from lodiag.echo.run import PingRun
from lodiag.errors import ConfigError, LodiagError, PrivilegeError, TargetError
from lodiag.system.probe import MethodRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lodiag.model import Report
    from lodiag.model.ping import PingRecord, PingSummary
    from lodiag.system.probe import ProbeSocket

    PingReport = Report[PingRecord, PingSummary]


FAST = ("-c", "1", "-W", "5")
RFC_3339 = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"


# What answers

ANSWERED = {
    "P01-v4": ("127.0.0.1", ["127.0.0.1"]),
    "P01-v6": ("::1", ["::1"]),
    "P01-v6-long": ("0:0:0:0:0:0:0:1", ["::1"]),
    "P01-any-of-127": ("127.9.9.9", ["127.9.9.9"]),
    "P01-first-of-127": ("127.0.0.0", ["127.0.0.0"]),
    "P01-last-of-127": ("127.255.255.254", ["127.255.255.254"]),
    "P10-count-3": ("-c 3 -i .01 127.0.0.1", ["127.0.0.1"]),
    "P12-interval-0": ("-c 5 -i 0 127.0.0.1", ["127.0.0.1"]),
    "P12-interval-1ms": ("-c 5 -i 0.001 127.0.0.1", ["127.0.0.1"]),
    "P15-v4-65507": ("-s 65507 127.0.0.1", ["127.0.0.1"]),
    "P15-v6-65527": ("-s 65527 ::1", ["::1"]),
    "P17-size-0": ("-s 0 127.0.0.1", ["127.0.0.1"]),
    "P17-size-15": ("-s 15 127.0.0.1", ["127.0.0.1"]),
    "P17-size-16": ("-s 16 127.0.0.1", ["127.0.0.1"]),
    "P17-v6-size-0": ("-s 0 ::1", ["::1"]),
    "P18-v4-ttl-1": ("-t 1 127.0.0.1", ["127.0.0.1"]),
    "P18-v4-ttl-255": ("-t 255 127.0.0.1", ["127.0.0.1"]),
    "P18-v6-ttl-1": ("-t 1 ::1", ["::1"]),
    "P18-v6-ttl-255": ("-t 255 ::1", ["::1"]),
    "P20-v4": ("-4 127.0.0.1", ["127.0.0.1"]),
    "P20-v6": ("-6 ::1", ["::1"]),
    "P27-short": ("127.1", ["127.0.0.1"]),
    "P27-decimal": ("2130706433", ["127.0.0.1"]),
    "P27-hexadecimal": ("0x7f.1", ["127.0.0.1"]),
    "P27-octal": ("0177.0.0.1", ["127.0.0.1"]),
    "P27-zeros": ("127.000.000.001", ["127.0.0.1"]),
    "P47-loss-within-limit": ("--max-loss 0 127.0.0.1", ["127.0.0.1"]),
    "P47-rtt-within-limit": ("--max-rtt 60000 127.0.0.1", ["127.0.0.1"]),
    "P48-order-of-arguments": ("::1 127.0.0.9 127.0.0.1", ["::1", "127.0.0.9", "127.0.0.1"]),
    "P48-one-address-twice": ("127.0.0.1 127.1", ["127.0.0.1", "127.0.0.1"]),
    "habit-numeric": ("-n 127.0.0.1", ["127.0.0.1"]),
}
"""Arguments, and the addresses that must answer, in this order."""


BY_UDP = {
    f"{case}-by-udp": (f"--method udp {arguments}", addresses)
    for case, (arguments, addresses) in ANSWERED.items()
    if case.startswith(("P12", "P15", "P17-size-0", "P18-v"))
}


@pytest.mark.parametrize(("arguments", "addresses"), (ANSWERED | BY_UDP).values(), ids=ANSWERED | BY_UDP)
def test_it_answers(arguments: str, addresses: list[str]) -> None:
    for address in addresses:
        require_loopback(address)

    report = run_json("ping", *FAST, *shlex.split(arguments))

    records = report["records"]
    assert [record["address"] for record in records] == addresses
    assert [record["target"] for record in records] == shlex.split(arguments)[-len(addresses) :]
    assert not [f for f in report["findings"] if f["severity"] in {"warn", "fail"}]
    for record in records:
        assert record["received"] == record["sent"] > 0
        assert (record["lost"], record["loss_ratio"], record["error"]) == (0, 0, None)
        assert 0 < record["rtt_min_ms"] <= record["rtt_avg_ms"] <= record["rtt_max_ms"]
        assert record["method"] in {"icmp-datagram", "icmp-raw", "udp"}
        assert record["method"] == "udp" or "udp" not in arguments


@pytest.mark.parametrize("arguments", [["localhost"], []], ids=["P01-localhost", "P02-no-target"])
def test_localhost_is_every_address_that_it_resolves_to(arguments: list[str]) -> None:
    found = socket.getaddrinfo("localhost", None, type=socket.SOCK_DGRAM)

    records = run_json("ping", *FAST, *arguments)["records"]

    assert [record["address"] for record in records] == list(dict.fromkeys(entry[4][0] for entry in found))
    assert {record["target"] for record in records} == {"localhost"}
    assert any(record["received"] for record in records)


def test_p22_source_is_used_and_shown() -> None:
    (record,) = run_json("ping", *FAST, "-S", "127.0.0.5", "127.0.0.1")["records"]

    assert (record["source_address"], record["received"]) == ("127.0.0.5", 1)


def test_p22_source_decides_the_family_of_a_name() -> None:
    report = ping_address("localhost", count=1, source_address="127.0.0.5", system=FakeSystem(answer, addresses=BOTH))

    assert [record.address for record in report.records] == ["127.0.0.1"]


def test_p12_without_privilege() -> None:
    done = run_as_nobody("ping", "-c", "20", "-i", "0", "--json", "127.0.0.1")

    assert parse(done)["records"][0]["received"] == 20


# What is refused

REFUSED = {
    "P03-unknown-option": ("--no-such-option", "--no-such-option"),
    "P03-abbreviated-option": ("--cou 1", "--cou"),
    "P03-option-without-value": ("-c", "-c/--count"),
    "P10-negative": ("-c -1", "count must be"),
    "P10-negative-with-equals": ("--count=-1", "count"),
    "P10-fraction": ("-c 1.1", "'1.1' is not a whole number"),
    "P10-word": ("-c abc", "'abc' is not a whole number"),
    "P10-empty": ("-c ''", "whole number"),
    "P10-too-many": ("-c 1000000000000", "count"),
    "P10-underscore": ("-c 1_0", "whole number"),
    "P10-400-digits": (f"-c 1{'0' * 400}", "count"),
    "P10-5000-digits": (f"-c 1{'0' * 5000}", "count"),
    "P11-negative": ("-i -1", "interval must be"),
    "P11-negative-with-equals": ("--interval=-1", "interval"),
    "P11-word": ("-i abc", "'abc' is not a number of seconds"),
    "P11-empty": ("-i ''", "number of seconds"),
    "P11-nan": ("-i nan", "interval"),
    "P11-inf": ("-i inf", "interval"),
    "P11-overflow": ("-i 1e400", "interval"),
    "P13-timeout-0": ("-W 0", "timeout"),
    "P13-timeout-nan": ("-W nan", "timeout"),
    "P14-timeout-negative": ("--timeout=-1", "timeout"),
    "P14-timeout-overflow": ("-W 1e400", "timeout"),
    "P14-deadline-0": ("-w 0", "deadline"),
    "P14-deadline-negative": ("--deadline=-1", "deadline"),
    "P14-deadline-comma": ("-w 0,1", "'0,1' is not a number of seconds"),
    "P14-deadline-inf": ("-w inf", "deadline"),
    "P16-v4-65508": ("-s 65508 127.0.0.1", "65507"),
    "P16-v6-65528": ("-s 65528 ::1", "65527"),
    "P16-v4-among-others": ("-s 65508 ::1 127.0.0.1", "65507"),
    "P17-negative": ("--size=-1", "size"),
    "P17-fraction": ("-s 1.5", "whole number of bytes"),
    "P17-400-digits": (f"-s 1{'0' * 400}", "size"),
    "P19-v4-ttl-0": ("-t 0 127.0.0.1", "ttl"),
    "P19-v4-ttl-256": ("-t 256 127.0.0.1", "ttl"),
    "P19-v4-ttl-300": ("-t 300 127.0.0.1", "ttl"),
    "P19-v6-ttl-0": ("-t 0 ::1", "ttl"),
    "P19-v6-ttl-256": ("-t 256 ::1", "ttl"),
    "P19-ttl-negative": ("--ttl=-1", "ttl"),
    "P20-v4-wanted": ("-4 ::1", "::1 is not an IPv4 address"),
    "P20-v6-wanted": ("-6 127.0.0.1", "127.0.0.1 is not an IPv6 address"),
    "P21-both": ("-4 -6 127.0.0.1", "not allowed with"),
    "P21-both-reversed": ("-6 -4 127.0.0.1", "not allowed with"),
    "P23-source-not-local": ("-S 192.0.2.47 127.0.0.1", "192.0.2.47 is not on the loopback"),
    "P23-source-wildcard": ("-S 0.0.0.0 127.0.0.1", "0.0.0.0 is not on the loopback"),
    "P23-source-broadcast": ("-S 127.255.255.255 127.0.0.1", "broadcast"),
    "P23-source-mapped": ("-S ::ffff:127.0.0.1 ::1", "mapped"),
    "P24-source-v6": ("-S ::1 127.0.0.1", "127.0.0.1"),
    "P24-source-v4": ("-S 127.0.0.5 ::1", "::1"),
    "P24-source-against-option": ("-S 127.0.0.5 -6 localhost", "127.0.0.5"),
    "P24-source-word": ("-S nonsense 127.0.0.1", "'nonsense' is not an address"),
    "P24-source-empty": ("-S '' 127.0.0.1", "is not an address"),
    "P25-interface": ("-I lo 127.0.0.1", "-I"),
    "P25-interface-nonexistent": ("-I nonexistent 127.0.0.1", "-I"),
    "P27-zero": ("0", "0 is not on the loopback"),
    "P27-127": ("127", "127 is not on the loopback"),
    "P27-decimal-elsewhere": ("3221225994", "is not on the loopback"),
    "P27-short-elsewhere": ("192.514", "is not on the loopback"),
    "P28-broadcast": ("127.255.255.255", "broadcast"),
    "P28-broadcast-short": ("127.16777215", "broadcast"),
    "P29-mapped": ("::ffff:127.0.0.1", "mapped"),
    "P29-mapped-hexadecimal": ("::ffff:7f00:1", "mapped"),
    "P29-mapped-elsewhere": ("::ffff:192.0.2.1", "mapped"),
    "P29-compatible": ("::127.0.0.1", "is not on the loopback"),
    "P29-nat64": ("64:ff9b::7f00:1", "is not on the loopback"),
    "P29-wildcard-v6": ("::", "is not on the loopback"),
    "P29-wildcard-v4": ("0.0.0.0", "is not on the loopback"),
    "P29-link-local": ("fe80::1%lo", "zone"),
    "P29-elsewhere-v4": ("192.0.2.1", "is not on the loopback"),
    "P29-neighbour-v4": ("128.0.0.1", "is not on the loopback"),
    "P29-elsewhere-v6": ("2001:db8::1", "is not on the loopback"),
    "P29-neighbour-v6": ("::2", "is not on the loopback"),
    "P29-among-others": ("127.0.0.1 192.0.2.1 ::1", "192.0.2.1 is not on the loopback"),
    "P30-zone-name": ("::1%lo", "zone"),
    "P30-zone-number": ("::1%1", "zone"),
    "P30-zone-empty": ("::1%", "is not an address"),
    "P31-empty": ("''", "is not an address"),
    "P31-blank": ("' 127.0.0.1'", "is not an address"),
    "P31-newline": ("'127.0.0.1\n'", "is not an address"),
    "P31-two-dots": ("127..0.0.1", "is not an address"),
    "P31-three-colons": (":::1", "is not an address"),
    "P31-300": ("300.1.1.1", "is not an IPv4 address"),
    "P31-256": ("127.0.0.256", "is not an IPv4 address"),
    "P31-not-octal": ("127.0.0.08", "is not an IPv4 address"),
    "P31-five-parts": ("127.0.0.0.1", "is not an address"),
    "P31-brackets": ("[::1]", "is not an address"),
    "P31-port": ("127.0.0.1:80", "is not an address"),
    "P31-url": ("http://127.0.0.1/", "is not an address"),
    "P31-long-label": (f"{'a' * 64}.invalid", "a" * 64),
    "P31-10000-characters": ("a" * 10_000, "is not an address or a host name"),
    "P31-escape": ("'\x1b[2Jlocalhost'", "is not an address"),
    "P31-not-utf-8": ("'local\udcff'", "is not an address"),
    "P47-loss-negative": ("--max-loss=-1", "max-loss"),
    "P47-loss-101": ("--max-loss 101", "max-loss"),
    "P47-loss-nan": ("--max-loss nan", "max-loss"),
    "P47-rtt-negative": ("--max-rtt=-1", "max-rtt"),
    "P47-rtt-nan": ("--max-rtt nan", "max-rtt"),
    "P47-rtt-word": ("--max-rtt fast", "number of milliseconds"),
    "method-unknown": ("--method carrier-pigeon", "carrier-pigeon"),
    "method-of-trace": ("--method tcp", "tcp"),
}
"""Arguments, and words that the sentence must have. None of them is looked up in the DNS."""


@pytest.mark.parametrize(("arguments", "words"), REFUSED.values(), ids=REFUSED)
def test_it_is_refused(arguments: str, words: str) -> None:
    assert_refused(run_lodiag("ping", *shlex.split(arguments)), words)


@pytest.mark.parametrize("arguments", ["--count=-1", "-i nan", "-W 0", "-w 0", "-t 0", "-s 65508 127.0.0.1"])
def test_a_refusal_has_a_hint(arguments: str) -> None:
    assert "\nhint: " in run_lodiag("ping", *shlex.split(arguments)).stderr


LITERALS = [case for case in REFUSED if re.match(r"P(27|28|29|30|31)-", case)]


@pytest.mark.parametrize("case", [case for case in LITERALS if case != "P31-long-label"])
def test_nothing_is_opened_for_a_target_that_is_refused(case: str) -> None:
    system = FakeSystem(answer)

    with pytest.raises(TargetError):
        PingRun(tuple(shlex.split(REFUSED[case][0])), PingOptions(), system)

    assert system.probes == []


def test_p31_nul() -> None:
    with pytest.raises(TargetError):
        ping_address("127.0.0.1\0", system=FakeSystem(answer))


RESOLVED = {
    "P32-both": (BOTH := ("::1", "127.0.0.1"), True),
    "P32-no-v6": (("127.0.0.1",), True),
    "P32-only-v6": (("::1",), True),
    "P32-off-the-loopback": (("192.0.2.1",), False),
    "P32-one-off-the-loopback": (("127.0.0.1", "192.0.2.1"), False),
    "P32-mapped": (("::ffff:127.0.0.1",), False),
    "P32-wildcard": (("0.0.0.0",), False),
    "P32-broadcast": (("127.255.255.255",), False),
    "P32-link-local": (("::1", "fe80::1%lo"), False),
}
"""Addresses that a name resolves to, and whether lodiag may probe them."""


@pytest.mark.parametrize(("addresses", "is_good"), RESOLVED.values(), ids=RESOLVED)
def test_every_address_of_a_name_is_checked(addresses: tuple[str, ...], *, is_good: bool) -> None:
    system = FakeSystem(answer, addresses=addresses)

    if is_good:
        report = ping_address("some-name", count=1, system=system)
        assert [(r.target, r.address) for r in report.records] == [("some-name", a) for a in addresses]
        assert tuple(probe.address for probe in system.probes) == addresses
    else:
        with pytest.raises(TargetError, match="some-name"):
            ping_address("some-name", count=1, system=system)
        assert system.probes == []


def test_p32_a_name_is_resolved_once() -> None:
    class Resolver(FakeSystem):
        asked = 0

        def resolve(self, name: str, family: str | None) -> tuple[str, ...]:
            self.asked += 1
            return super().resolve(name, family)

    system = Resolver(answer, addresses=BOTH)
    ping_address("some-name", count=5, system=system)

    assert system.asked == 1


# What is printed

STREAMS = {
    "P04-help": ("ping --help", "usage: lodiag ping"),
    "P04-short-help": ("ping -h", "usage: lodiag ping"),
    "P04-help-beside-errors": ("ping --help --count=-1 192.0.2.1", "usage: lodiag ping"),
    "P04-version": ("--version", "lodiag "),
}


@pytest.mark.parametrize(("arguments", "words"), STREAMS.values(), ids=STREAMS)
def test_help_needs_no_socket(arguments: str, words: str) -> None:
    done = run_as_nobody(*shlex.split(arguments))

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(words)


def test_a_line_for_each_reply_and_then_statistics() -> None:
    done = run_lodiag("ping", "-c", "3", "-i", ".01", "127.0.0.1")

    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("ping 127.0.0.1 by ")
    told = r"from 127\.0\.0\.1: seq=(\d+) .*time=\d+\.\d{3} ms( user=\d+\.\d{3} ms)?$"
    assert [match[1] for match in (re.search(told, line) for line in lines[1:4]) if match] == ["1", "2", "3"]
    assert re.search(r"^127\.0\.0\.1 +\S+ +3 +3 +0 +0 % +0$", done.stdout, re.MULTILINE)
    assert re.search(r"^rtt in ms +min +avg +max +stddev +p50 +p95 +p99 +jitter +user$", done.stdout, re.MULTILINE)


def test_p26_quiet_prints_the_statistics_only_and_on_stdout() -> None:
    done = run_lodiag("ping", *FAST, "-q", "127.0.0.1")

    assert (done.returncode, done.stderr) == (0, "")
    assert "seq=" not in done.stdout
    assert re.search(r"^127\.0\.0\.1 +\S+ +1 +1 +0", done.stdout, re.MULTILINE)


def test_p46_timestamps_lead_the_lines() -> None:
    done = run_lodiag("ping", *FAST, "-D", "127.0.0.1")

    assert re.search(rf"^{RFC_3339} .*seq=1 ", done.stdout, re.MULTILINE)


def test_p46_json_has_the_time_of_each_probe_in_order() -> None:
    report = run_json("ping", "-c", "3", "-i", ".01", "127.0.0.1")

    times = [reply["sent_at"] for reply in report["records"][0]["replies"]]
    assert all(re.fullmatch(RFC_3339, time) for time in [report["started_at"], *times])
    assert [report["started_at"], *times] == sorted({report["started_at"], *times})


def test_p48_one_row_for_each_target() -> None:
    done = run_lodiag("ping", *FAST, "-q", "127.0.0.3", "127.0.0.2", "127.0.0.4")

    rows = re.findall(r"^(127\.0\.0\.\d) +\S+ +1 +1 +0", done.stdout, re.MULTILINE)
    assert rows == ["127.0.0.3", "127.0.0.2", "127.0.0.4"]


def test_jsonl_has_a_line_for_each_reply_and_ends_with_the_report() -> None:
    done = run_lodiag("ping", "-c", "2", "-i", ".01", "--format", "jsonl", "127.0.0.1", "127.0.0.2")

    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["type"] for line in lines if line["type"] != "finding"] == [
        *["reply"] * 4,
        *["record"] * 2,
        "report",
    ]
    assert {(line["address"], line["seq"]) for line in lines[:4]} == {
        ("127.0.0.1", 1),
        ("127.0.0.2", 1),
        ("127.0.0.1", 2),
        ("127.0.0.2", 2),
    }
    assert lines[-1]["type"] == "report"


@pytest.mark.parametrize("form", ["table", "jsonl"])
def test_p41_a_reader_that_goes_away_ends_the_run_quietly(form: str) -> None:
    command = [sys.executable, "-m", "lodiag", "ping", "-c", "0", "-i", ".01", "--format", form, "127.0.0.1"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as ping:
        assert ping.stdout is not None
        assert ping.stderr is not None
        assert "127.0.0.1" in ping.stdout.readline()
        ping.stdout.close()
        try:
            ping.wait(timeout=20)
        finally:
            ping.kill()
        assert ping.stderr.read() == ""
        assert ping.returncode in {0, 141}


NUMBER = (int, float)
OPTIONAL = (int, float, type(None))
RECORD_FIELDS: dict[str, Any] = {
    "target": str,
    "address": str,
    "family": str,
    "method": str,
    "source_address": (str, type(None)),
    "interval_s": NUMBER,
    "size_bytes": int,
    "sent": int,
    "received": int,
    "lost": int,
    "loss_ratio": OPTIONAL,
    "clock": str,
    "lesser_clock": int,
    "rtt_user_p50_ms": OPTIONAL,
    "rtt_user_p99_ms": OPTIONAL,
    "duplicates": int,
    "corrupted": int,
    "rtt_min_ms": OPTIONAL,
    "rtt_avg_ms": OPTIONAL,
    "rtt_max_ms": OPTIONAL,
    "rtt_stddev_ms": OPTIONAL,
    "rtt_p50_ms": OPTIONAL,
    "rtt_p95_ms": OPTIONAL,
    "rtt_p99_ms": OPTIONAL,
    "jitter_ms": OPTIONAL,
    "error": (str, type(None)),
    "replies": list,
}
REPLY_FIELDS: dict[str, Any] = {
    "seq": int,
    "sent_at": str,
    "rtt_ms": OPTIONAL,
    "rtt_user_ms": OPTIONAL,
    "clock": (str, type(None)),
    "reply_ttl": (int, type(None)),
    "size_bytes": (int, type(None)),
    "status": str,
    "error": (str, type(None)),
}


def test_json_has_every_field_and_its_type() -> None:
    report = run_json("ping", "-c", "2", "-i", ".01", "-s", "100", "127.0.0.1")

    (record,) = report["records"]
    assert not {name for name, kind in RECORD_FIELDS.items() if not isinstance(record[name], kind)}
    assert (record["family"], record["interval_s"], record["size_bytes"]) == ("ipv4", 0.01, 100)
    assert [reply["seq"] for reply in record["replies"]] == [1, 2]
    for reply in record["replies"]:
        assert not {name for name, kind in REPLY_FIELDS.items() if not isinstance(reply[name], kind)}
        assert (reply["status"], reply["error"], reply["reply_ttl"]) == ("received", None, 64)
    assert report["summary"] == {"addresses": 1, "answered": 1, "sent": 2, "received": 2}
    assert report["source"] == record["method"]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "127.9.9.9"])
def test_ping_of_iputils_agrees(address: str) -> None:
    if shutil.which("ping") is None:
        pytest.skip("ping is not installed")
    require_loopback(address)
    command = ["ping", "-n", "-c", "2", "-i", "0.2", "-W", "5", address]
    try:
        theirs = subprocess.run(command, capture_output=True, text=True, check=False, env=environment(LC_ALL="C"))
    except PermissionError:
        pytest.skip("ping has file capabilities that may not be had here")
    if theirs.returncode == 2:
        pytest.skip(f"ping cannot run here: {theirs.stderr.strip()}")

    (record,) = run_json("ping", "-c", "2", "-i", ".01", address)["records"]

    assert f"{record['sent']} packets transmitted, {record['received']} received" in theirs.stdout
    assert {str(reply["reply_ttl"]) for reply in record["replies"]} == set(re.findall(r"ttl=(\d+)", theirs.stdout))


# Exit status

STATUSES = {
    "P47-rtt-over-limit": ("-c 1 --max-rtt 0 127.0.0.1", 1),
    "P47-rtt-within-limit": ("-c 1 --max-rtt 60000 127.0.0.1", 0),
    "P08-fewer-than-count-by-the-deadline": ("-c 1000 -i .1 -w .5 127.0.0.1", 1),
    "P08-count-reached-before-the-deadline": ("-c 2 -i .01 -w 60 127.0.0.1", 0),
    "P09-deadline-alone": ("-w .5 -i .2 127.0.0.1", 0),
    "P09-deadline-of-an-endless-run": ("-c 0 -i .1 -w .5 127.0.0.1", 0),
}


@pytest.mark.parametrize(("arguments", "status"), STATUSES.values(), ids=STATUSES)
def test_exit_status(arguments: str, status: int) -> None:
    done = run_lodiag("ping", *shlex.split(arguments))

    assert done.returncode == status, done
    assert done.stderr == ""


@pytest.mark.parametrize("deadline", ["0.1", ".1", "1e-1"])
def test_p14_a_deadline_may_be_a_fraction(deadline: str) -> None:
    done = run_lodiag("ping", "-c", "2", "-i", ".01", "--method", "udp", "-w", deadline, "127.0.0.1")

    assert done.returncode in {0, 1}  # a machine under load may have sent nothing by then
    assert done.stderr == ""


# Machines that cannot be had: time passes there only when lodiag waits


def answer(probe: FakeProbe, seq: int) -> None:
    """Answer each probe after ten microseconds."""
    probe.answer(seq)


def ignore(_: FakeProbe, __: int) -> None:
    """Answer nothing."""


def ping_one(behave: Callable[[FakeProbe, int], None], **options: Any) -> tuple[PingRecord, PingReport, FakeSystem]:
    """Ping 127.0.0.1 of a machine that answers by ``behave``."""
    system = FakeSystem(behave)
    report = ping_address("127.0.0.1", system=system, **options)
    (record,) = report.records
    return record, report, system


def codes(report: PingReport) -> dict[str, str]:
    """Severity of each finding, by its code."""
    return {finding.code: finding.severity for finding in report.findings}


def seconds(system: FakeSystem, probe: int = 0) -> list[float]:
    """When probes were sent."""
    return [sent_ns / NS_PER_S for _, sent_ns in system.probes[probe].sent]


def test_p06_no_reply_at_all_fails() -> None:
    record, report, _ = ping_one(ignore, count=3)

    assert (record.sent, record.received, record.lost, record.loss_ratio) == (3, 0, 3, 1.0)
    assert (record.error, record.rtt_avg_ms, record.jitter_ms) == ("timeout", None, None)
    assert codes(report) == {"timeout": "fail"}
    assert report.exit_status == 1


PARTIAL = {
    "P07-no-limit": (None, {"loss": "warn"}, 0),
    "P07-limit-0": (0.0, {"loss": "warn", "loss-over-limit": "fail"}, 1),
    "P07-limit-below": (0.24, {"loss": "warn", "loss-over-limit": "fail"}, 1),
    "P07-limit-equal": (0.25, {"loss": "warn"}, 0),
}


@pytest.mark.parametrize(("limit", "expected", "status"), PARTIAL.values(), ids=PARTIAL)
def test_partial_loss_is_a_warning_unless_limited(limit: float | None, expected: dict[str, str], status: int) -> None:
    record, report, _ = ping_one(lambda p, seq: None if seq == 2 else p.answer(seq), count=4, max_loss_ratio=limit)

    assert (record.sent, record.received, record.lost, record.loss_ratio) == (4, 3, 1, 0.25)
    assert (codes(report), report.exit_status) == (expected, status)


def test_p07_a_small_loss_is_not_rounded_away() -> None:
    record, report, _ = ping_one(
        lambda p, seq: None if seq == 2 else p.answer(seq), count=2_000, interval_s=0.0, max_loss_ratio=0.0
    )

    assert record.loss_ratio == 1 / 2_000
    assert report.exit_status == 1


def test_p09_deadline_ends_the_run_on_time() -> None:
    record, report, system = ping_one(answer, count=1000, interval_s=0.1, deadline_s=1.0)

    assert (record.sent, record.received) == (10, 10)
    assert seconds(system) == pytest.approx([n / 10 for n in range(10)])
    assert report.duration_ms == 1000


def test_p09_what_is_unanswered_at_the_deadline_is_lost() -> None:
    record, report, _ = ping_one(ignore, count=1000, interval_s=0.1, timeout_s=60.0, deadline_s=1.0)

    assert (record.sent, record.lost, report.duration_ms) == (10, 10, 1000)


def test_schedule_is_steady_whenever_the_replies_come() -> None:
    delays = [0.0, 0.19, 0.35, 0.01, 0.9]
    record, _, system = ping_one(lambda p, seq: p.answer(seq, after_s=delays[seq - 1]), count=5)

    assert seconds(system) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    assert record.received == 5
    assert record.rtt_max_ms == 900


def test_a_stall_is_not_made_up_for_by_a_burst() -> None:
    def stall(probe: FakeProbe, seq: int) -> None:
        if seq == 2:
            system.now_ns += NS_PER_S
        probe.answer(seq)

    system = FakeSystem(stall)
    ping_address("127.0.0.1", count=6, system=system)

    assert min(later - sooner for sooner, later in pairwise(seconds(system))) == pytest.approx(0.2)


def test_p12_without_an_interval_the_next_probe_follows_the_answer() -> None:
    _, _, system = ping_one(lambda p, seq: p.answer(seq, after_s=0.002), count=4, interval_s=0.0)

    assert seconds(system) == pytest.approx([0, 0.002, 0.004, 0.006])


def test_p12_without_an_interval_silence_is_met_after_10_ms() -> None:
    _, _, system = ping_one(ignore, count=4, interval_s=0.0)

    assert seconds(system) == pytest.approx([0, 0.01, 0.02, 0.03])


def test_p42_numbers_begin_at_1_and_do_not_wrap() -> None:
    record, _, _ = ping_one(answer, count=65_540, interval_s=0.0)

    assert record.received == record.sent == 65_540
    assert record.replies is not None
    assert [reply.seq for reply in record.replies] == list(range(5, 65_541)), "the last 65536 are kept"


def test_p43_a_duplicate_is_counted_and_not_received() -> None:
    def twice(probe: FakeProbe, seq: int) -> None:
        probe.answer(seq)
        probe.answer(seq)

    record, report, _ = ping_one(twice, count=3)

    assert (record.received, record.duplicates, record.rtt_max_ms) == (3, 3, 0.01)
    assert (codes(report), report.exit_status) == ({"duplicates": "warn"}, 0)


def test_p43_a_corrupt_reply_is_counted_and_not_received() -> None:
    record, report, _ = ping_one(lambda p, seq: p.answer(seq, intact=seq != 2), count=4)

    assert (record.received, record.lost, record.corrupted) == (3, 1, 1)
    assert codes(report) == {"loss": "warn", "corrupted": "warn"}
    assert record.replies is not None
    assert [reply.status for reply in record.replies] == ["received", "corrupted", "received", "received"]


def test_p43_if_every_reply_is_corrupt_it_fails() -> None:
    record, report, _ = ping_one(lambda p, seq: p.answer(seq, intact=False), count=2)

    assert (record.received, record.corrupted, record.error, record.rtt_avg_ms) == (0, 2, "corrupted", None)
    assert (codes(report), report.exit_status) == ({"corrupted": "fail"}, 1)


def test_p43_a_late_reply_is_counted_and_not_received() -> None:
    record, report, _ = ping_one(lambda p, seq: p.answer(seq, after_s=0.25 if seq == 2 else 0), count=4, timeout_s=0.1)

    assert (record.received, record.lost, record.late) == (3, 1, 1)
    assert codes(report) == {"loss": "warn", "late": "warn"}
    assert record.replies is not None
    assert [reply.status for reply in record.replies] == ["received", "late", "received", "received"]
    assert record.replies[1].rtt_ms == 250
    assert record.rtt_max_ms == 0


def test_p43_a_late_reply_is_told_after_its_timeout_was() -> None:
    system = FakeSystem(lambda p, seq: p.answer(seq, after_s=0.25 if seq == 1 else 0))
    run = PingRun(("127.0.0.1",), PingOptions(count=3, timeout_s=0.1), system)

    told = [(event.reply.seq, event.reply.status) for event in run]
    assert told == [(1, "timeout"), (2, "received"), (1, "late"), (3, "received")]


FOREIGN = {
    "P43-never-sent": 1_000,
    "P43-zero": -1,
    "P43-same-16-bits-as-one-under-way": 65_536,
    "P43-same-16-bits-far-away": 1 << 40,
}


@pytest.mark.parametrize("distance", FOREIGN.values(), ids=FOREIGN)
def test_an_answer_to_what_was_never_sent_is_ignored(distance: int) -> None:
    record, report, _ = ping_one(lambda p, seq: p.answer(seq + distance), count=1, timeout_s=0.1)

    assert (record.sent, record.received, record.duplicates, record.error) == (1, 0, 0, "timeout")
    assert report.exit_status == 1


def test_p38_an_icmp_error_is_told_with_its_type_and_code() -> None:
    record, report, _ = ping_one(lambda p, seq: p.answer(seq, is_reply=False, error="rejected-by-firewall"), count=2)

    assert (record.received, record.lost, record.error) == (0, 2, "rejected-by-firewall")
    assert (codes(report), report.exit_status) == ({"rejected-by-firewall": "fail"}, 1)
    assert record.replies is not None
    assert {(r.status, r.error, r.icmp_type, r.icmp_code) for r in record.replies} == {
        ("unreachable", "rejected-by-firewall", 3, 0)
    }


NOT_SENT = {
    "P34-network-unreachable": ("ENETUNREACH", "network-unreachable"),
    "P34-network-down": ("ENETDOWN", "network-unreachable"),
    "P35-address-not-available": ("EADDRNOTAVAIL", "address-not-available"),
    "P36-blocked-by-firewall": ("EPERM", "blocked-by-firewall"),
    "P16-message-too-long": ("EMSGSIZE", "message-too-long"),
    "no-buffer-space": ("ENOBUFS", "no-buffer-space"),
    "address-family-not-supported": ("EAFNOSUPPORT", "address-family-not-supported"),
    "an-errno-without-a-name": ("EIO", "send-failed"),
}


@pytest.mark.parametrize(("name", "code"), NOT_SENT.values(), ids=NOT_SENT)
def test_what_could_not_be_sent_is_not_loss(name: str, code: str) -> None:
    import errno

    def fail(_: FakeProbe, __: int) -> None:
        raise refuse(getattr(errno, name))

    record, report, _ = ping_one(fail, count=2)

    assert (record.sent, record.lost, record.loss_ratio, record.error) == (0, 0, None, code)
    assert (codes(report), report.exit_status) == ({code: "fail"}, 1)
    (finding,) = report.findings
    assert finding.hint
    assert record.errno is not None
    assert record.errno.startswith(f"{name} (")
    assert [item.value for item in finding.evidence if item.name == "errno"] == [record.errno]


def test_p47_a_loss_of_just_the_limit_is_not_over_it() -> None:
    """7 of 1000 is 0.7 %, though 0.7 / 100 is a little less than 7 / 1000 to a machine."""
    lossy = FakeSystem(lambda probe, seq: None if seq <= 7 else probe.answer(seq))
    for percent, failed in ((0.7, False), (0.6999, True)):
        report = ping_address("127.0.0.1", count=1000, system=lossy, max_loss_ratio=percent / 100)
        assert report.records[0].lost == 7
        assert ("loss-over-limit" in codes(report)) is failed


@pytest.mark.parametrize("value", [None, "1 0"])
def test_a_fix_takes_back_no_more_than_was_read(value: str | None) -> None:
    """Where the kernel parameter cannot be read, nothing can restore it."""
    system = Ladder("icmp-datagram", "icmp-raw")
    system.sysctls = {"net.ipv4.ping_group_range": value} if value else {}
    (finding,) = ping_address("127.0.0.1", count=1, system=system).findings

    assert finding.code == "icmp-denied"
    assert finding.fix is None or finding.fix.undo == ("sysctl -w net.ipv4.ping_group_range='1 0'",)
    assert (finding.fix is None) == (value is None or sys.platform != "linux")


def test_an_address_that_udp_does_not_reach_is_not_said_to_answer() -> None:
    system = Ladder("icmp-datagram", "icmp-raw", behave=ignore)
    (info,) = [f for f in ping_address("127.0.0.1", count=1, system=system).findings if f.severity == "info"]

    assert "certain" not in (info.hint or "")


def test_p37_silence_is_named_if_the_kernel_ignores_echo_requests() -> None:
    system = FakeSystem(ignore)
    system.sysctls = {"net.ipv4.icmp_echo_ignore_all": "1"}

    report = ping_address("127.0.0.1", count=1, system=system)

    assert report.records[0].error == "icmp-ignored"
    assert codes(report) == {"icmp-ignored": "fail"}


def test_p45_a_clock_that_is_set_changes_nothing() -> None:
    class SetClock(FakeSystem):
        """Each time that it is asked, its clock has been set back by an hour."""

        _wall_ns = 1_700_000_000 * NS_PER_S

        def wall_ns(self) -> int:
            self._wall_ns -= 3600 * NS_PER_S
            return self._wall_ns

    report = ping_address("127.0.0.1", count=3, system=SetClock(answer))

    (record,) = report.records
    assert (record.received, record.rtt_min_ms, record.rtt_max_ms) == (3, 0.01, 0.01)
    assert record.replies is not None
    times = [reply.sent_at for reply in record.replies]
    assert times == sorted(times)
    assert times[0] == report.started_at
    assert report.duration_ms == pytest.approx(400.01)


def test_p48_many_targets_run_side_by_side() -> None:
    targets = [f"127.0.0.{n}" for n in range(200, 100, -1)]
    system = FakeSystem(answer)

    report = ping_address(*targets, count=3, system=system)

    assert [record.address for record in report.records] == targets
    assert all(record.received == 3 for record in report.records)
    for number in range(100):
        spread = 0.2 * number / 100
        assert seconds(system, number) == pytest.approx([spread, spread + 0.2, spread + 0.4])


def silent_on(*addresses: str) -> Callable[[FakeProbe, int], None]:
    """Answer for every address but these."""
    return lambda probe, seq: None if probe.address in addresses else probe.answer(seq)


WORST = {
    "P48-all-answer": (["localhost", "127.0.0.2"], (), "ok", 0),
    "P48-name-with-one-silent-address": (["localhost"], ("::1",), "warn", 0),
    "P48-name-with-all-silent": (["localhost"], BOTH, "fail", 1),
    "P48-explicit-target-silent": (["127.0.0.1", "::1"], ("::1",), "fail", 1),
    "P48-first-target-silent": (["::1", "127.0.0.1"], ("::1",), "fail", 1),
    "P48-name-and-its-silent-address": (["localhost", "::1"], ("::1",), "fail", 1),
}


@pytest.mark.parametrize(("targets", "silent", "severity", "status"), WORST.values(), ids=WORST)
def test_each_target_counts(targets: list[str], silent: tuple[str, ...], severity: str, status: int) -> None:
    system = FakeSystem(silent_on(*silent), addresses=BOTH)

    report = ping_address(*targets, count=1, system=system)

    assert report.exit_status == status
    assert next((finding.severity for finding in report.findings), "ok") == severity


class Ladder(FakeSystem):
    """A machine that refuses these methods."""

    def __init__(self, *refused: str, behave: Callable[[FakeProbe, int], None] = answer) -> None:
        """Behave so on all others."""
        super().__init__(behave)
        self.tried: list[str] = []
        self._refused = refused

    def open_probe(  # noqa: PLR0913 - as System has it
        self, method: str, family: str, address: str, *, source: str | None, size_bytes: int, port: int | None = None
    ) -> ProbeSocket:
        """Refuse, or open."""
        self.tried.append(method)
        if method in self._refused:
            reason = f"no {method} here"
            raise MethodRefusedError(reason)
        return super().open_probe(method, family, address, source=source, size_bytes=size_bytes, port=port)


RUNGS = {
    "P33-all-allowed": ((), "auto", "icmp-datagram"),
    "P33-no-datagram": (("icmp-datagram",), "auto", "icmp-raw"),
    "P33-no-icmp": (("icmp-datagram", "icmp-raw"), "auto", "udp"),
    "P33-icmp-wanted": (("icmp-datagram",), "icmp", "icmp-raw"),
    "P33-udp-wanted": ((), "udp", "udp"),
}


@pytest.mark.parametrize(("refused", "method", "expected"), RUNGS.values(), ids=RUNGS)
def test_the_first_method_that_opens_is_used(refused: tuple[str, ...], method: str, expected: str) -> None:
    system = Ladder(*refused)

    report = ping_address("127.0.0.1", count=1, method=method, system=system)

    (record,) = report.records
    assert (record.method, report.source) == (expected, expected)
    assert system.tried == [*refused, expected]
    assert [(refusal.method, refusal.why) for refusal in record.refused] == [(m, f"no {m} here") for m in refused]
    assert report.exit_status == 0


def test_p33_without_any_method_it_is_an_error_and_nothing_is_sent() -> None:
    system = Ladder("icmp-datagram", "icmp-raw")
    system.sysctls = {"net.ipv4.ping_group_range": "1 0"}

    with pytest.raises(PrivilegeError) as caught:
        ping_address("127.0.0.1", method="icmp", system=system)

    assert (caught.value.code, system.probes) == ("no-permission", [])
    assert caught.value.hint is not None
    assert {"--method udp", "net.ipv4.ping_group_range", "CAP_NET_RAW"} <= {
        words for words in ("--method udp", "net.ipv4.ping_group_range", "CAP_NET_RAW") if words in caught.value.hint
    }


def test_sockets_are_closed_even_if_the_run_is_left_early() -> None:
    system = FakeSystem(answer)
    events = iter(PingRun(("127.0.0.1", "::1"), PingOptions(count=0), system))

    next(events)
    del events

    assert [probe.is_closed for probe in system.probes] == [True, True]


def test_jitter_leaves_out_the_pairs_that_a_loss_breaks() -> None:
    delays = {1: 0.001, 2: 0.003, 4: 0.009, 5: 0.008}
    record, _, _ = ping_one(lambda p, seq: p.answer(seq, after_s=delays[seq]) if seq in delays else None, count=5)

    assert record.jitter_ms == pytest.approx((2 + 1) / 2)
    assert (record.rtt_min_ms, record.rtt_p50_ms, record.rtt_p95_ms, record.rtt_max_ms) == (1, 3, 9, 9)


OPTIONS: dict[str, dict[str, Any]] = {
    "count": {"count": -1},
    "count-of-a-part": {"count": 1.5},
    "count-in-words": {"count": "3"},
    "timeout-of-nothing": {"timeout_s": None},
    "interval-too-short": {"interval_s": 1e-9},
    "count-of-400-digits": {"count": 10**400},
    "interval": {"interval_s": float("nan")},
    "timeout": {"timeout_s": 0.0},
    "deadline": {"deadline_s": float("inf")},
    "size": {"size_bytes": 65_528},
    "ttl": {"ttl": 256},
    "method": {"method": "tcp"},
    "clock": {"clock": "wall"},
    "max-loss": {"max_loss_ratio": 1.1},
    "max-rtt": {"max_rtt_ms": float("nan")},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_the_library_refuses_what_the_command_line_refuses(options: dict[str, Any]) -> None:
    system = FakeSystem(answer)

    with pytest.raises(ConfigError):
        ping_address("127.0.0.1", system=system, **options)

    assert system.probes == []


@pytest.mark.parametrize("target", [b"127.0.0.1", None, 1])
def test_the_library_refuses_a_target_that_is_no_text(target: Any) -> None:
    with pytest.raises(TargetError):
        ping_address(target, system=FakeSystem(answer))


def test_the_library_does_not_ping_without_end() -> None:
    with pytest.raises(LodiagError):
        ping_address("127.0.0.1", count=0, system=FakeSystem(answer))
