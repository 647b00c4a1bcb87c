"""``bench`` beside a baseline: synthetic slices for the rule, a real run for the rest."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from running import assert_refused, parse, run_lodiag
from samples import make_round_trips

from lodiag import ConfigError
from lodiag.benches.baseline import Baseline, name_record
from lodiag.benches.comparing import compare
from lodiag.benches.shares import Piece, find_speeds, find_taken
from lodiag.benches.verdicts import judge, parse_limits
from lodiag.judge.bench import fails
from lodiag.system import System
from lodiag.system.census import Census, Time, list_strangers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lodiag.model.bench import BenchRecord

ARGUMENTS = ("rr", "-4", "-n", "100")


def draw(source: random.Random, speed: float, count: int) -> list[float]:
    """Give slices such as a quiet machine gives: they differ by a tenth."""
    return [speed * source.lognormvariate(0, 0.1) for _ in range(count)]


@pytest.mark.parametrize(("slowdown", "least", "most"), [(1.0, 0, 1), (2.0, 12, 12)])
def test_a_change_is_told_from_noise(slowdown: float, least: int, most: int) -> None:
    """Twice, as the command does: of twelve unchanged results, at most one may look changed both times."""
    source = random.Random(7)  # noqa: S311 - nothing secret
    wanted = "slower" if slowdown > 1 else "faster"
    told = 0
    for _ in range(12):
        before = [draw(source, 100.0, 5) for _ in range(3)]
        changes = [compare(before, draw(source, 100.0 / slowdown, 5)) for _ in range(2)]
        verdicts = {change.status for change in changes if change}
        told += verdicts == {wanted} if slowdown != 1 else len(verdicts) == 1 and "no-change" not in verdicts
    assert least <= told <= most


@given(st.lists(st.floats(1, 1e6), min_size=2, max_size=6), st.lists(st.floats(1, 1e6), min_size=2, max_size=6))
@settings(max_examples=15)
def test_bounds_hold_the_ratio_and_what_could_be_missed(before: list[float], now: list[float]) -> None:
    change = compare([before], now)
    assert change is not None
    assert change.low <= change.high
    assert change.could_miss >= 1.1
    assert compare([before], now) == change


@pytest.mark.parametrize(("before", "now"), [([], [1.0, 2.0]), ([[1.0, 2.0]], [1.0]), ([[0.0, 1.0]], [1.0, 1.0])])
def test_nothing_is_said_of_too_little(before: list[list[float]], now: list[float]) -> None:
    assert compare(before, now) is None


def conclude(
    slices: Sequence[float],
    again: Sequence[float],
    taken: float = 0.0,
    *,
    placement: str = "across-cores",
) -> tuple[BenchRecord, int]:
    """Judge a record of round trips that took 10 us before; tell it and how often it was measured again."""
    took = {"placement": placement, "error": None}
    record = make_round_trips(slices=tuple(slices), taken_ratios=(taken,) * len(slices), **took)
    runs = {name_record(record): [[Piece(value / 1000, 0.0) for value in (9.9, 10, 10.1, 10.2)] for _ in range(2)]}
    asked = 0

    def repeat(suspects: Sequence[BenchRecord]) -> Sequence[BenchRecord]:
        nonlocal asked
        asked += 1
        return [replace(item, slices=tuple(again), taken_ratios=(taken,) * len(again)) for item in suspects if again]

    (found,) = judge([record], Baseline("2026-01-01T00:00:00Z", {}, {}, runs), repeat)
    return found, asked


@pytest.mark.parametrize(
    ("slices", "again", "taken", "placement", "status", "asked"),
    [
        ([0.0100, 0.0101, 0.0102], [], 0, "across-cores", "no-change", 0),
        ([0.0200, 0.0201, 0.0202], [0.0201, 0.0202, 0.0203], 0, "across-cores", "slower", 1),
        ([0.0200, 0.0201, 0.0202], [0.0100, 0.0101, 0.0101], 0, "across-cores", "no-change", 1),
        ([0.0200, 0.0201, 0.0202], [0.0201, 0.0202, 0.0203], 0.5, "across-cores", "inconclusive", 2),
        ([0.0200, 0.0201, 0.0202], [0.0201, 0.0202, 0.0203], 0.5, "same-core", "slower", 1),
        ([0.0050, 0.0051, 0.0052], [0.0051, 0.0052, 0.0053], 0, "across-cores", "faster", 1),
        ([0.0200, 0.0201, 0.0202], [], 0, "across-cores", "inconclusive", 2),
        ([0.0200, 0.0201], [0.0200, 0.0201], 0, "across-cores", "inconclusive", 2),
        ([0.0100, 0.0101], [0.0100, 0.0101], 0, "across-cores", "no-change", 1),
    ],
)
def test_a_suspect_is_measured_again(  # noqa: PLR0913, PLR0917 - a row
    slices: list[float], again: list[float], taken: float, placement: str, status: str, asked: int
) -> None:
    found, times = conclude(slices, again, taken, placement=placement)
    assert found.compared is not None
    assert (found.compared.status, times) == (status, asked)
    assert fails(found, {"rr": 0.6}) == (status == "slower") or status != "slower"


def test_what_others_took_of_a_core_is_told_from_what_the_ends_wait_for_each_other() -> None:
    """Two ends of one core wait for each other half of the time; those of two wait for nobody."""
    assert find_taken([[100, 60, 40], [98, 40, 58]], (1, 1)) == 0
    assert find_taken([[100, 30, 70], [100, 20, 80]], (1, 1)) == 0.5
    assert find_taken([[100, 95, 2], [100, 60, 30]], (0, 1)) == 0.3
    assert find_taken([[100, 95, None]], None) is None
    assert find_taken([], None) is None


def test_a_rate_of_one_core_is_one_of_the_time_that_others_left() -> None:
    pieces = [Piece(1000.0, 0.0), Piece(500.0, 0.5)]
    assert find_speeds("transactions_per_s", "same-core", pieces) == [1000.0, 1000.0]
    assert find_speeds("throughput_bps", "unpinned", pieces) == [1000.0]


def test_limits() -> None:
    assert parse_limits(["stream<0.9, rr < 0.8", "udp<1"]) == {"stream": 0.9, "rr": 0.8, "udp": 1.0}
    assert set(parse_limits(["all<0.5"])) == {"stream", "rr", "crr", "udp"}
    slower, _ = conclude([0.0200, 0.0201, 0.0202], [0.0201, 0.0202, 0.0203])
    assert [fails(slower, limits) for limits in ({}, {"rr": 0.6}, {"rr": 0.4}, {"stream": 0.9})] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("text", ["stream", "stream>1", "nix<1", "rr<0", "rr<2", "rr<x", "", "rr<nan"])
def test_a_limit_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_limits([text])


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a baseline of few round trips."""
    path = tmp_path_factory.mktemp("baseline") / "fast.json"
    done = run_lodiag("bench", *ARGUMENTS, "--save", str(path), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(path.read_text()) == json.loads(done.stdout)
    return path


def change(saved: Path, **changes: Any) -> Path:
    """Give a baseline that differs in these values of its summary."""
    report = json.loads(saved.read_text())
    for name, value in changes.items():
        for part in (report["summary"]["machine"], report["summary"]["parameters"], report["summary"]):
            if name in part:
                part[name] = value
    path = saved.with_name("changed.json")
    path.write_text(json.dumps(report))
    return path


def test_a_baseline_has_three_runs_and_serves_to_compare(saved: Path) -> None:
    report = json.loads(saved.read_text())
    assert report["summary"]["runs"] == 3
    assert all(record["run_slices"] == [5, 5, 5] for record in report["records"] if not record["error"])
    found = parse(run_lodiag("bench", *ARGUMENTS, "--baseline", str(saved), "--fail-if", "rr<0.001", "--json"))
    assert found["summary"]["baseline_at"] == report["started_at"]
    for record in found["records"]:
        assert record["error"] or len(record["compared"]["baseline_slices"]) == 15
    assert not any(finding["severity"] == "fail" for finding in found["findings"])


def test_a_baseline_that_was_far_faster_is_found_and_fails(saved: Path) -> None:
    """Of the file, not of the machine: a hundred times as fast as it is."""
    report = json.loads(saved.read_text())
    for record in report["records"]:
        record["slices"] = [value / 100 for value in record["slices"]]
        record["taken_ratios"] = [0.0 for _ in record["slices"]]
    path = saved.with_name("faster.json")
    path.write_text(json.dumps(report))
    found = parse(run_lodiag("bench", *ARGUMENTS, "--baseline", str(path), "--json"))
    verdicts = {record["compared"]["status"] for record in found["records"] if not record["error"]}
    assert verdicts <= {"slower", "inconclusive"}  # others may use the processors meanwhile
    codes = {(finding["code"], finding["severity"]) for finding in found["findings"]}
    assert codes & {("slower-than-baseline", "fail"), ("comparison-inconclusive", "warn")}


@pytest.mark.parametrize(
    ("changes", "arguments", "words"),
    [
        ({"kernel": "Linux 2.4"}, ARGUMENTS, "kernel was Linux 2.4"),
        ({"cpu": "Z80"}, ARGUMENTS, "cpu was Z80"),
        ({"cores": 4096}, ARGUMENTS, "cores was 4096"),
        ({"settings": [{"name": "net.ipv4.tcp_congestion_control", "value": "nix"}]}, ARGUMENTS, "was nix"),
        ({"streams": 7}, ARGUMENTS, "streams was 7"),
        ({}, ("rr", "-n", "101", "-4"), "total_bytes was 100"),
        ({"rounds": 2}, ARGUMENTS, "too few slices"),
        ({}, (*ARGUMENTS, "--quick"), "too few to be compared"),
        ({"machine": None}, ARGUMENTS, "lacks what bench writes"),
    ],
    ids=str,
)
def test_what_cannot_be_compared_is_refused(
    saved: Path, changes: dict[str, Any], arguments: tuple[str, ...], words: str
) -> None:
    assert_refused(run_lodiag("bench", *arguments, "--baseline", str(change(saved, **changes))), words)


def test_what_else_changed_is_told(saved: Path) -> None:
    path = change(saved, python="2.7", settings=[{"name": "net.ipv4.tcp_rmem", "value": "1 2 3"}])
    found = parse(run_lodiag("bench", *ARGUMENTS, "--baseline", str(path), "--fail-if", "rr<0.001", "--json"))
    (finding,) = [finding for finding in found["findings"] if finding["code"] == "machine-changed"]
    assert {item["name"] for item in finding["evidence"]} == {"python", "net.ipv4.tcp_rmem"}


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema": "lodiag/1", "command": "ping"}', "[" * 10_000])
def test_a_file_that_is_no_baseline_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "baseline.json"
    path.write_text(content)
    assert_refused(run_lodiag("bench", "--baseline", str(path)), "cannot be used")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--baseline", "/nonexistent"], "cannot be used: No such file"),
        (["--save", "/nonexistent/x"], "cannot write"),
        (["--save", "x", "--quick"], "too few for a baseline"),
        (["--fail-if", "rr<1"], "there is none"),
        (["--histogram", "--json"], "draws below a table"),
    ],
)
def test_options_that_make_no_sense(arguments: list[str], words: str) -> None:
    assert_refused(run_lodiag("bench", *arguments), words)


def test_a_process_that_uses_the_processor_is_named() -> None:
    before = System().take_census()
    if not before.times:
        pytest.skip("this system does not tell the times of its processes")
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as hog:
        used = 0
        while not used:
            strangers = list_strangers(before, System().take_census(), frozenset())
            used = next((ticks for pid, _, ticks in strangers if pid == hog.pid and ticks > 2), 0)
        hog.kill()
    assert hog.pid not in {
        pid for pid, _, _ in list_strangers(before, System().take_census(), frozenset({os.getpid()}))
    }


def test_who_ended_meanwhile_is_told_by_its_parent() -> None:
    before = Census({1: Time("init", 0, 5, 0), 8: Time("make", 1, 10, 100), 9: Time("cc", 8, 30, 0)}, 0, 0, 0, 100)
    after = Census({1: Time("init", 0, 5, 0), 8: Time("make", 1, 11, 190), 2: Time("kthreadd", 0, 9, 0)}, 0, 0, 0, 100)
    assert list_strangers(before, after, frozenset()) == [(8, "make", 1)]  # no processor had so much time
    assert list_strangers(before, after._replace(all_ticks=200), frozenset()) == [(8, "make", 1 + 60)]
