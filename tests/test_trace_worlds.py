"""``lodiag trace`` on loopbacks that are really broken, or that really lead to other hosts.

Each is a network namespace of its own. The tests are named after the rows of the behaviour table that
trace was specified by, as in ``test_trace.py``.
"""

from __future__ import annotations

import json
import signal
import sys
import time

import pytest
from running import ALLOW_ICMP_DATAGRAM, LO_UP, Done, assert_refused, parse, rules, run_in_world
from test_ping_worlds import LODIAG, UDP, WORLDS

QUICK = ("trace", "-w", ".1", "--deadline", "2", "--json")


def status_of(done: Done) -> tuple[int, list[tuple[str, str]]]:
    """Exit status, and code and severity of the findings that are more than information."""
    findings = [(f["code"], f["severity"]) for f in parse(done)["findings"] if f["severity"] != "info"]
    return done.returncode, findings


NO_INPUT = ("P37-input-drop", "127.0.0.1", "timeout", "timeout", 30)

UNREACHED = {
    "T02-never-up-udp": ("-U", "P34-never-up", "127.0.0.1", "network-unreachable", "lo-down", 1),
    "T02-never-up-icmp": ("-I", "P34-never-up", "127.0.0.1", "network-unreachable", "lo-down", 1),
    "T02-never-up-tcp": ("-T", "P34-never-up", "127.0.0.1", "network-unreachable", "lo-down", 1),
    "T02-never-up-v6": ("-U", "P34-never-up", "::1", "address-not-available", "lo-down", 1),
    "T02-up-then-down-udp": ("-U", "P34-up-then-down", "127.0.0.1", "timeout", "lo-down", 30),
    "T02-up-then-down-tcp": ("-T", "P34-up-then-down", "127.0.0.1", "timeout", "lo-down", 30),
    "T02-no-v6-udp": ("-U", "P35-no-v6-address", "::1", "address-not-available", "addr6-missing", 1),
    "T02-no-v6-icmp": ("-I", "P35-no-v6-address", "::1", "address-not-available", "addr6-missing", 1),
    "T02-no-v6-tcp": ("-T", "P35-no-v6-address", "::1", "address-not-available", "addr6-missing", 1),
    "T02-no-v4-udp": ("-U", "no-v4-address", "127.0.0.1", "network-unreachable", "addr4-missing", 1),
    "T02-prohibited": ("-U", "route-prohibited", "127.0.0.9", "route-prohibited", "route-prohibited", 1),
    "T02-blackhole-icmp": ("-I", "route-blackhole", "127.0.0.9", "route-blackhole", "route-blackhole", 1),
    "T02-unreachable-tcp": ("-T", "route-unreachable", "127.0.0.9", "host-unreachable", "host-unreachable", 1),
    "T02-output-drop-udp": ("-U", "P36-output-drop", "127.0.0.1", "blocked-by-firewall", "blocked-by-firewall", 1),
    "T02-output-drop-icmp": ("-I", "P36-output-drop", "::1", "blocked-by-firewall", "blocked-by-firewall", 1),
    "T02-output-drop-tcp": ("-T", "P36-output-drop", "127.0.0.1", "timeout", "timeout", 30),
    "T02-echo-ignored-v4": ("-I", "P37-echo-ignored", "127.0.0.1", "timeout", "icmp-ignored", 30),
    "T02-echo-ignored-v6": ("-I", "P37-echo-ignored", "::1", "timeout", "icmp-ignored", 30),
    "T07-input-drop-udp": ("-U", *NO_INPUT),
    "T07-input-drop-icmp": ("-I", *NO_INPUT),
    "T07-input-drop-tcp": ("-T", *NO_INPUT),
}
"""Method, world and target; then the error of each probe, the cause that is found, and the hops that are told."""


@pytest.mark.parametrize(("method", "world", "target", "error", "code", "hops"), UNREACHED.values(), ids=UNREACHED)
def test_not_reached_exits_with_1_and_names_the_cause(  # noqa: PLR0913, PLR0917 - the columns of the table
    method: str, world: str, target: str, error: str, code: str, hops: int
) -> None:
    done = run_in_world(WORLDS[world], *QUICK, method, target)

    report = parse(done)
    assert status_of(done) == (1, [(code, "fail")])
    assert (report["summary"]["reached"], report["summary"]["hops"]) == (False, None)
    assert [record["hop"] for record in report["records"]] == list(range(1, hops + 1))
    for record in report["records"]:
        assert (record["address"], record["received"], record["rtt_avg_ms"]) == (None, 0, None)
        assert (record["sent"], record["loss_ratio"]) in {(0, None), (3, 1.0)}
        assert {probe["error"] for probe in record["probes"]} == {error}


REJECTED = {
    "T08-udp-v4": ("udp", "127.0.0.1", (3, 13)),
    "T08-udp-v6": ("udp", "::1", (1, 1)),
    "T08-tcp-v4": ("tcp", "127.0.0.1", (3, 13)),
    "T08-tcp-v6": ("tcp", "::1", (1, 1)),
    "T08-icmp-raw-v4": ("icmp-raw", "127.0.0.1", (3, 13)),
    "T08-icmp-raw-v6": ("icmp-raw", "::1", (1, 1)),
    "T08-icmp-datagram-v4": ("icmp-datagram", "127.0.0.1", (3, 13)),
    "T08-icmp-datagram-v6": ("icmp-datagram", "::1", (1, 1)),
}
REJECT = rules(
    "input",
    "icmp type echo-request reject with icmp type admin-prohibited",
    "icmpv6 type echo-request reject with icmpv6 type admin-prohibited",
    "meta l4proto { tcp, udp } reject with icmpx type admin-prohibited",
)


@pytest.mark.parametrize(("kind", "target", "icmp"), REJECTED.values(), ids=REJECTED)
def test_a_rejection_ends_the_trace(kind: str, target: str, icmp: tuple[int, int]) -> None:
    setup = (ALLOW_ICMP_DATAGRAM if kind == "icmp-datagram" else "") + REJECT
    method = kind.partition("-")[0]

    done = run_in_world(setup, *QUICK, "--method", method, target, as_nobody=kind != "icmp-raw")

    (record,) = parse(done)["records"]
    assert status_of(done) == (1, [("rejected-by-firewall", "fail")])
    assert (record["method"], record["hop"], record["address"]) == (kind, 1, target)
    for probe in record["probes"]:
        assert (probe["status"], probe["error"]) == ("unreachable", "rejected-by-firewall")
        assert (probe["icmp_type"], probe["icmp_code"]) == icmp


def test_t07_a_blocked_trace_ends_by_its_deadline() -> None:
    began = time.monotonic()
    done = run_in_world(WORLDS["P37-input-drop"], "trace", "-w", "20", "--deadline", ".5", "--json", "127.0.0.1")

    assert done.returncode == 1
    assert time.monotonic() - began < 0.5 + 10


COMPARED = {
    "icmp-is-ignored": (
        WORLDS["P37-echo-ignored"],
        {"udp": None, "icmp-raw": "timeout", "tcp": None},
        "ICMP is blocked on the way to 127.0.0.1, UDP and TCP pass: the kernel is set to ignore echo requests",
    ),
    "icmp-is-dropped": (
        rules("input", "icmp type echo-request drop"),
        {"udp": None, "icmp-raw": "timeout", "tcp": None},
        "ICMP is blocked on the way to 127.0.0.1, UDP and TCP pass: a filter drops echo requests, or the replies",
    ),
    "udp-is-dropped": (
        rules("input", f"{UDP} drop"),
        {"udp": "timeout", "icmp-raw": None, "tcp": None},
        "UDP is blocked on the way to 127.0.0.1, ICMP and TCP pass: a filter drops UDP, or",
    ),
    "all-icmp-is-dropped": (
        rules("input", "meta l4proto icmp drop"),
        {"udp": "timeout", "icmp-raw": "timeout", "tcp": None},
        "UDP and ICMP are blocked on the way to 127.0.0.1, TCP passes: a filter drops ICMP, by which a closed UDP port",
    ),
    "tcp-is-rejected": (
        rules("input", "meta l4proto tcp reject with icmp type admin-prohibited"),
        {"udp": None, "icmp-raw": None, "tcp": "rejected-by-firewall"},
        "TCP is blocked on the way to 127.0.0.1, UDP and ICMP pass: the packet filter rejects probes",
    ),
}
"""Setup, the error of each method, and what it is said to mean."""


@pytest.mark.parametrize(("setup", "errors", "words"), COMPARED.values(), ids=COMPARED)
def test_the_methods_are_compared(setup: str, errors: dict[str, str | None], words: str) -> None:
    done = run_in_world(setup, *QUICK, "--method", "all", "127.0.0.1")

    report = parse(done)
    summary, findings = report["summary"], {finding["code"]: finding for finding in report["findings"]}
    assert (done.returncode, summary["method"], summary["reached"], summary["port"]) == (1, "all", True, None)
    assert {found["method"]: found["error"] for found in summary["methods"]} == errors
    assert words in findings.pop("methods-differ")["message"]
    is_ignored = "echo-ignored" in setup or "echo_ignore_all" in setup
    assert list(findings) == ["icmp-ignored"] * is_ignored


def test_methods_that_agree_are_no_finding_and_one_that_is_refused_is_named() -> None:
    done = run_in_world(LO_UP, *QUICK, "--method", "all", "127.0.0.1", as_nobody=True)

    report = parse(done)
    assert status_of(done) == (0, [])
    assert [record["method"] for record in report["records"]] == ["udp", "tcp"]
    assert [item["what"] for item in report["missing"]] == ["the way by icmp"]
    assert [refusal["method"] for refusal in report["summary"]["refused"]] == ["icmp-datagram", "icmp-raw"]


@pytest.mark.parametrize("target", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("as_nobody", [False, True], ids=["raw", "datagram"])
def test_t01_icmp(target: str, *, as_nobody: bool) -> None:
    done = run_in_world((ALLOW_ICMP_DATAGRAM if as_nobody else "") + LO_UP, *QUICK, "-I", target, as_nobody=as_nobody)

    assert status_of(done) == (0, [])
    (record,) = parse(done)["records"]
    assert (record["hop"], record["address"], record["received"]) == (1, target, 3)
    assert record["method"] == ("icmp-datagram" if as_nobody else "icmp-raw")


def test_icmp_without_privilege_is_refused_with_a_hint() -> None:
    done = run_in_world(LO_UP, "trace", "-I", "127.0.0.1", as_nobody=True)

    assert_refused(done, "no-permission")
    assert "--method udp" in done.stderr


def test_t09_unknown_name() -> None:
    assert_refused(run_in_world(LO_UP, "trace", "no-such-name.invalid"), "no-such-name.invalid")


@pytest.mark.parametrize("target", ["127.0.0.1", "::1"])
def test_the_interface_is_found_by_its_flag(target: str) -> None:
    setup = "ip link set lo name loop0\nip link set loop0 mtu 9000 up"

    summary = parse(run_in_world(setup, *QUICK, target))["summary"]

    assert (summary["reached"], summary["interface"], summary["mtu_bytes"]) == (True, "loop0", 9000)


SIGNAL_AFTER_FIRST_PROBE = """
import signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)

def sent():
    with open("/proc/net/snmp") as table:
        names, values = (line.split() for line in table if line.startswith("Udp:"))
    return int(values[names.index("OutDatagrams")])

trace = subprocess.Popen([sys.executable, "-m", "lodiag", *sys.argv[2:]])
while not sent() and trace.poll() is None:
    time.sleep(0.01)
trace.send_signal(int(sys.argv[1]))
sys.exit(trace.wait())
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_trace_without_a_traceback(number: int, status: int) -> None:
    blocked = ("trace", "-U", "-w", "25", "--deadline", "25", "127.0.0.1")

    done = run_in_world(
        WORLDS["P37-input-drop"], command=(sys.executable, "-c", SIGNAL_AFTER_FIRST_PROBE, str(number), *blocked)
    )

    assert (done.returncode, done.stdout, done.stderr) == (status, "", "")


def test_two_traces_at_once_are_both_right() -> None:
    script = """
import json, subprocess, sys
runs = [subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE) for _ in range(2)]
print(json.dumps([json.loads(run.communicate()[0]) for run in runs]))
"""
    command = (*LODIAG, "trace", "-I", "-q", "10", "--json", "127.0.0.1")
    done = run_in_world(LO_UP, command=(sys.executable, "-c", script, *command))

    for report in json.loads(done.stdout):
        (record,) = report["records"]
        assert (record["method"], record["sent"], record["received"]) == ("icmp-raw", 10, 10)
