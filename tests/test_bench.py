"""``bench``: that what is counted adds up, and that nothing of it stays behind. How fast anything is, is not tested."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from running import LO_UP, assert_refused, environment, parse, rules, run_as_nobody, run_in_world, run_json, run_lodiag

from lodiag import ConfigError, bench_loopback
from lodiag.benches.rounds import rotate
from lodiag.model.bench import TESTS
from lodiag.system import System
from lodiag.system.ends.paths import Path
from lodiag.system.ends.pool import Task
from lodiag.system.ends.udp import Order

if TYPE_CHECKING:
    import pathlib

    from lodiag.model.bench import BenchRecord

WAIT_S = 20.0
TINY = ("-n", "300")


def find(records: Any, **wanted: Any) -> BenchRecord:
    """Give the first record of which these fields are so."""
    found: BenchRecord = next(r for r in records if all(getattr(r, name) == value for name, value in wanted.items()))
    return found


def find_codes(report: dict[str, Any]) -> set[str]:
    """Codes of what is not for information only: the machine may be busy with other tests."""
    return {finding["code"] for finding in report["findings"] if finding["severity"] != "info"}


def test_everything_is_measured_over_both_families_and_unix() -> None:
    seen: list[tuple[int, int]] = []
    report = bench_loopback(total_bytes=300, quick=True, progress=lambda *step: seen.append(step))
    assert report.exit_status == 0
    assert {record.test for record in report.records} == set(TESTS)
    for test in TESTS:
        protos = {(record.proto, record.family) for record in report.records if record.test == test}
        assert {family for _, family in protos} == {"ipv4", "ipv6", None}
        assert ("unix", None) in protos
    assert all(record.error or len(record.slices) == 2 for record in report.records)
    done, total = zip(*seen, strict=True)
    assert set(total) == {len(seen)}
    assert list(done) == list(range(1, len(seen) + 1))
    rr = find(report.records, test="rr", proto="tcp", family="ipv4")
    assert rr.transactions == 2 * 300
    assert sum(bucket.count for bucket in rr.histogram) == rr.transactions
    times = [rr.rtt_min_ms, rr.rtt_p50_ms, rr.rtt_p90_ms, rr.rtt_p99_ms, rr.rtt_p999_ms, rr.rtt_max_ms]
    assert all(a is not None and b is not None and a <= b for a, b in pairwise(times))
    crr = find(report.records, test="crr", proto="tcp", family="ipv4")
    assert (crr.transactions, crr.failed, crr.closing) == (2 * 300, 0, "abortive")
    for udp in (record for record in report.records if record.test == "udp" and record.error is None):
        assert udp.sent == 2
        assert udp.received is not None
        assert udp.lost == udp.sent - udp.received
        assert (udp.reordered, udp.duplicates) == (0, 0)


@pytest.mark.parametrize(
    ("changes", "directions"),
    [
        ({}, ["to-server"]),
        ({"reverse": True}, ["to-client"]),
        ({"bidir": True, "streams": 2}, ["to-server", "to-client"]),
    ],
)
def test_a_stream_goes_the_way_that_was_asked_for(changes: dict[str, Any], directions: list[str]) -> None:
    report = bench_loopback("stream", total_bytes=300_000, size_bytes=7000, quick=True, **changes)
    for proto in ("tcp", "unix"):
        assert [r.direction for r in report.records if r.proto == proto and r.family != "ipv6"] == directions
    for record in report.records:
        assert record.error or (record.streams, record.size_bytes) == (changes.get("streams", 1), 7000)
        assert record.error or (record.throughput_low_bps or 0) <= (record.throughput_bps or 0)


def test_a_slice_lasts_as_long_as_was_asked_for() -> None:
    report = bench_loopback("stream", time_s=0.05, quick=True, family="ipv4", window_bytes=100_000)
    tcp = find(report.records, proto="tcp")
    assert tcp.slices
    assert tcp.throughput_bps
    assert tcp.send_buffer_bytes == 200_000  # socket(7): the kernel doubles it
    assert {record.family for record in report.records} == {"ipv4", None}


def test_sources_and_graceful_closes() -> None:
    report = bench_loopback("crr", total_bytes=40, source_addresses=8, graceful=True, quick=True, family="ipv4")
    tcp = find(report.records, proto="tcp")
    assert (tcp.source_addresses, tcp.closing, tcp.transactions) == (8, "graceful", 80)
    assert tcp.time_wait_left is None or tcp.time_wait_left > 0


def test_waiting_awake_and_chosen_cores() -> None:
    report = bench_loopback("rr", total_bytes=20, size_bytes=5, busy_poll=True, affinity=(0, 0), quick=True)
    assert {record.placement for record in report.records} == {"chosen-cores"}
    assert {record.transactions for record in report.records if not record.error} == {2 * 4}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-t", "0"], "time must be"),
        (["-t", "1", "-n", "1"], "exclude each other"),
        (["-P", "0", "stream"], "parallel must be"),
        (["-P", "2", "rr"], "parallel is for stream and udp"),
        (["-l", "5"], "size means something else"),
        (["-l", "4", "udp"], "size must be"),
        (["-R", "--bidir"], "exclude each other"),
        (["-A", "99999", "rr"], "affinity must be"),
        (["-A", "4000", "rr"], "core 4000 cannot be used"),
        (["-A", "x", "rr"], "is not a core"),
        (["-C", "nix", "stream"], "it is unknown here"),
        (["-C", "reno", "udp"], "congestion is for TCP"),
        (["--source-addresses", "2", "rr"], "are for crr"),
        (["--source-addresses", "2", "-6", "crr"], "::1 is alone"),
        (["--busy-poll", "udp"], "busy-poll is for rr"),
        (["nix"], "nix"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_makes_no_sense_is_refused(arguments: list[str], words: str) -> None:
    assert_refused(run_lodiag("bench", *arguments), words)


def test_an_unknown_test_is_refused() -> None:
    with pytest.raises(ConfigError, match="test must be one of"):
        bench_loopback("nix")


def list_children(process: subprocess.Popen[bytes], least: int) -> list[psutil.Process]:
    """Wait until a process has so many children."""
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        found = psutil.Process(process.pid).children(recursive=True)
        if len(found) >= least:
            return found
    pytest.fail("the ends were never started")


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_nothing_stays_behind(name: str) -> None:
    command = [sys.executable, "-m", "lodiag", "bench", "stream", "-t", "300", "-P", "2"]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL) as process:
        children = list_children(process, 5)
        process.send_signal(signal.Signals[name])
        gone, alive = psutil.wait_procs(children, timeout=WAIT_S)
        assert not alive
        assert len(gone) == len(children)
    expected = {"SIGINT": 130, "SIGTERM": 143, "SIGKILL": -signal.SIGKILL}
    assert process.returncode == expected[name]


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system does not let cores be chosen")
def test_an_end_runs_anywhere_again_after_a_core_of_its_own() -> None:
    allowed = os.sched_getaffinity(0)
    with System().open_ends() as ends:
        for cores in ({min(allowed)}, None):
            client, server = ends.connect(Path("stream", None, None))
            tasks = [Task("burst-send", [client], {"size_bytes": 2, "count": 1}, cores)]
            tasks.append(Task("burst-take", [server], {"size_bytes": 2, "count": 1}, cores))
            ends.run(tasks, WAIT_S)
            placed = [os.sched_getaffinity(pid) for pid in ends.pids]
            assert min(map(len, placed)) == len(cores or allowed)


def test_an_end_that_is_killed_is_told(tmp_path: pathlib.Path) -> None:
    command = [sys.executable, "-m", "lodiag", "bench", "rr", "-4", "-t", "300", "--quick", "--json"]
    report_file = tmp_path / "report.json"  # a pipe that nobody reads meanwhile could be too short
    with report_file.open("w") as file, subprocess.Popen(command, env=environment(), stdout=file) as process:
        while process.poll() is None:
            with suppress(psutil.NoSuchProcess):
                children = psutil.Process(process.pid).children(recursive=True)
                if len(children) == 3:  # both ends, and what forks them: were it gone, they would not be found
                    for child in children:
                        child.kill()
            time.sleep(0.01)
    assert process.returncode == 1
    report = parse(subprocess.CompletedProcess(command, 1, report_file.read_text(), ""))
    assert {record["error"] for record in report["records"]} == {"interrupted"}


def test_a_loopback_that_is_down() -> None:
    report = parse(run_in_world("true", "bench", *TINY, "--quick", "--json"))
    assert find_codes(report) == {"lo-down"}
    errors = {record["error"] for record in report["records"] if record["proto"] != "unix"}
    assert None not in errors
    assert all(record["error"] is None for record in report["records"] if record["proto"] == "unix")


def test_a_loopback_that_swallows_tcp() -> None:
    setup = rules("output", "meta l4proto tcp drop")
    report = parse(run_in_world(setup, "bench", "rr", *TINY, "--quick", "-4", "--json"))
    errors = {(record["proto"], record["error"]) for record in report["records"]}
    assert errors == {("tcp", "timeout"), ("udp", None), ("unix", None)}
    assert find_codes(report) == {"timeout"}


def test_without_ipv6() -> None:
    setup = f"{LO_UP}\nip -6 address flush dev lo"
    done = run_in_world(setup, "bench", "rr", *TINY, "--quick", "--json")
    report = parse(done)
    assert done.returncode == 0
    assert {f["severity"] for f in report["findings"] if f["code"] == "addr6-missing"} == {"warn"}


def test_as_nobody() -> None:
    done = run_as_nobody("bench", "rr", *TINY, "--quick", "--json")
    assert done.returncode == 0, done.stderr
    assert {record["error"] for record in parse(done)["records"] if record["family"] != "ipv6"} == {None}


def test_the_table_has_ascii_where_nothing_else_can_be_written() -> None:
    done = run_lodiag("bench", "rr", *TINY, "--quick", "--histogram", env=environment(PYTHONIOENCODING="ascii"))
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert "##" in done.stdout


def test_json_has_what_it_was_measured_on() -> None:
    machine = run_json("bench", "stream", *TINY, "--quick", "-4")["summary"]["machine"]
    assert machine["cores"] >= 1
    assert machine["kernel"].startswith("Linux ") or sys.platform != "linux"


@given(st.lists(st.integers(0, 12), max_size=40))
@settings(max_examples=60)
def test_each_datagram_is_counted_once(numbers: list[int]) -> None:
    """What comes first is new; of what comes again, each is doubled; new ones below the highest were overtaken."""
    order = Order()
    highest, seen, overtaken, doubled = -1, set(), 0, 0
    for number in numbers:
        if number == order.expected:
            order.expected += 1
        else:
            order.take(number)
        doubled += number in seen
        overtaken += number not in seen and number < highest
        seen.add(number)
        highest = max(highest, number)
    assert (order.doubled, order.overtaken) == (doubled, overtaken)


@given(st.integers(0, 20), st.integers(0, 20))
@settings(max_examples=40)
def test_each_round_has_every_case_once(cases: int, number: int) -> None:
    listed: list[Any] = list(range(cases))
    assert sorted(rotate(listed, number)) == listed
