"""What pipelines and monitoring read, read by what they read it with."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any
from urllib.request import ProxyHandler, build_opener

import pytest
from endpoints import listening, port_of, reserved
from junitparser import Error, Failure, JUnitXml, Skipped
from running import ROOT, environment, run_lodiag
from samples import CHECK, HOSTILE, make_check_finding, make_check_record, make_finding, make_report

from lodiag.dataclass import dataclass
from lodiag.model import fact, label
from lodiag.render import JUDGED, render
from lodiag.render.cases import list_cases
from lodiag.render.escaping import printable

if TYPE_CHECKING:
    from pathlib import Path

    from lodiag.model import Report

EMPTY = make_report("check", CHECK.summary, ())
WARNED = make_report("check", CHECK.summary, CHECK.records[:2], CHECK.findings[2:3])
UNKNOWN = make_report("check", CHECK.summary, CHECK.records[4:], CHECK.findings[1:2])
FOUND = make_report("audit", CHECK.summary, (), (make_finding(), make_finding(severity="warn", subject=HOSTILE)))
"""Of a command whose records are facts, and whose findings are what it says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """A record as ``doctor`` has them."""

    group: str = label("Group.")
    diagnosis: str = label("Name.")
    status: str = fact("Status.")
    why: str | None = fact("Why not.")


LOOKED = make_report(
    "doctor",
    CHECK.summary,
    [
        Looked(group="names", diagnosis="hosts", status=status, why="no permission" if status == "skipped" else None)
        for status in ("ok", "finding", "skipped", "error")
    ],
    (make_finding(),),
)
REPORTS = {"check": CHECK, "empty": EMPTY, "warned": WARNED, "unknown": UNKNOWN, "found": FOUND, "looked": LOOKED}

every_report = pytest.mark.parametrize("name", REPORTS)


def require(program: str) -> None:
    """Skip the test where the reader is not installed."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


def count_bad(report: Report[Any, Any]) -> int:
    return sum(case.status in {"fail", "error"} for case in list_cases(report))


def test_cases_are_records_with_a_status_and_findings_about_none() -> None:
    assert [(case.status, case.kind) for case in list_cases(CHECK)] == [
        ("ok", "tcp"),
        ("warn", "check-warning"),
        ("fail", "check-timed-out"),
        ("skipped", "check-skipped"),
        ("error", "check-not-run"),
    ]
    assert [case.status for case in list_cases(LOOKED)] == ["ok", "skipped", "error", "fail"]
    assert [case.status for case in list_cases(FOUND)] == ["fail", "warn"]
    assert [case.name for case in list_cases(EMPTY)] == ["check"]


@pytest.mark.parametrize(
    ("name", "statuses"),
    [
        ("check", (1, 2)),
        ("empty", (0, 0)),
        ("warned", (0, 1)),
        ("unknown", (1, 3)),
        ("found", (1, 2)),
        ("looked", (1, 2)),
    ],
)
def test_statuses(name: str, statuses: tuple[int, int]) -> None:
    assert (REPORTS[name].exit_status, REPORTS[name].nagios_status) == statuses


# --- JUnit -----------------------------------------------------------------------------------------------------------


@every_report
def test_junit_is_of_the_schema(name: str) -> None:
    require("xmllint")
    command = ["xmllint", "--noout", "--schema", str(ROOT / "tests" / "junit.xsd"), "-"]
    done = subprocess.run(command, input=render(REPORTS[name], "junit"), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "- validates\n")


@every_report
def test_junit_is_read_by_a_reader(name: str) -> None:
    report = REPORTS[name]
    found = JUnitXml.fromstring(render(report, "junit").encode())
    (suite,) = found
    cases = [*suite]
    kinds = {"fail": Failure, "error": Error, "skipped": Skipped}
    for case, wanted in zip(cases, list_cases(report), strict=True):
        assert case.name == printable(wanted.name)
        assert [type(result) for result in case.result] == ([kinds[wanted.status]] if wanted.status in kinds else [])
        assert all(printable(wanted.message) == result.message for result in case.result)
    assert (suite.tests, suite.failures + suite.errors) == (len(cases), count_bad(report))


# --- TAP -------------------------------------------------------------------------------------------------------------


@every_report
def test_tap_is_read_by_prove(name: str, tmp_path: Path) -> None:
    require("prove")
    report = REPORTS[name]
    file = tmp_path / "report.tap"
    file.write_text(render(report, "tap"), encoding="utf-8")
    done = subprocess.run(
        ["prove", "-v", "--exec", "cat", str(file)],
        capture_output=True,
        text=True,
        env=environment(LC_ALL="C"),
        check=False,
    )
    bad, total = count_bad(report), len(list_cases(report))
    assert "Parse errors" not in done.stdout + done.stderr
    assert re.search(rf"Tests={total},", done.stdout)
    assert done.returncode == bool(bad)
    assert ("Result: FAIL" in done.stdout) == bool(bad)
    if bad and total > bad:
        assert f"Failed {bad}/{total} subtests" in done.stdout


# --- Nagios ----------------------------------------------------------------------------------------------------------

PERFDATA = re.compile(
    r"'((?:[^'=]|'')+)'=(-?[0-9.]+)(s|us|ms|%|B|c)?;([0-9.:~@]*);([0-9.:~@]*);([0-9.]*)(?:;([0-9.]*))?"
)


def read_nagios(text: str) -> tuple[str, dict[str, float], list[str]]:
    """Read a plugin's output as the guidelines have it: state, performance data, and further lines."""
    first, *more = text.removesuffix("\n").split("\n")
    assert first.count("|") == 1
    assert not any("|" in line for line in more), "that would begin more performance data"
    words, _, data = first.partition(" | ")
    found = re.fullmatch(r"LODIAG [A-Z]+ (OK|WARNING|CRITICAL|UNKNOWN) - (\S.*)", words)
    assert found
    series = {}
    while data:
        item = PERFDATA.match(data)
        assert item, data
        assert item[1] not in series
        series[item[1]] = float(item[2])
        data = data[item.end() :].lstrip(" ")
    return found[1], series, more


@every_report
def test_nagios_is_one_line_and_details(name: str) -> None:
    report = REPORTS[name]
    state, series, more = read_nagios(render(report, "nagios"))
    assert state == ("OK", "WARNING", "CRITICAL", "UNKNOWN")[report.nagios_status]
    assert series["run"] == report.duration_ms / 1000
    assert len(more) == (count_bad(report) or sum(case.status == "warn" for case in list_cases(report)))


def test_nagios_has_statuses_of_its_own() -> None:
    with listening() as port, reserved() as closed:
        word = f"tcp4:{port}"
        good = run_lodiag("check", word, "--format", "nagios")
        assert (good.returncode, read_nagios(good.stdout)[0]) == (0, "OK")
        assert word in read_nagios(good.stdout)[1]
        lost = run_lodiag("check", f"tcp:127.0.0.1:{port_of(closed)}", "--format=nagios")
        assert (lost.returncode, read_nagios(lost.stdout)[0]) == (2, "CRITICAL")
    for arguments in (["tcp:192.0.2.1:80"], ["--file", "/no/such"], ["--no-such-option"]):
        wrong = run_lodiag("check", *arguments, "--format", "nagios")
        assert wrong.returncode == 3
        assert wrong.stdout.startswith("LODIAG CHECK UNKNOWN - ")
        assert run_lodiag("check", *arguments).returncode == 2


# --- Prometheus ------------------------------------------------------------------------------------------------------


def test_a_node_exporter_takes_it_up(tmp_path: Path) -> None:
    """It is scraped by HTTP, as Prometheus would."""
    require("prometheus-node-exporter")
    with listening() as port, reserved() as held:
        target = f"tcp4:{port}"
        done = run_lodiag("check", target, "--format", f"prometheus={tmp_path / 'lodiag.prom'}")
        assert done.returncode == 0, done.stderr
        own = port_of(held)
    command = [
        "prometheus-node-exporter",
        "--collector.disable-defaults",
        "--collector.textfile",
        f"--collector.textfile.directory={tmp_path}",
        f"--web.listen-address=127.0.0.1:{own}",
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as exporter:
        try:
            waited = run_lodiag("check", f"http://127.0.0.1:{own}/metrics", "--wait", "20s")
            assert waited.returncode == 0, waited.stdout
            page = build_opener(ProxyHandler({})).open(f"http://127.0.0.1:{own}/metrics", timeout=10).read().decode()
        finally:
            exporter.kill()
    assert f'lodiag_check_success{{id="{target}",kind="tcp"}} 1' in page
    assert "node_textfile_scrape_error 0" in page


# --- GitHub ----------------------------------------------------------------------------------------------------------

COMMAND = re.compile(r"::(error|warning) title=([^:,]*)::(.*)")


def read_annotations(text: str) -> list[tuple[str, str, str]]:
    """Read the commands that the runner would take from a log."""
    found = []
    for line in text.splitlines():
        if line.lstrip().startswith("::"):
            command = COMMAND.fullmatch(line)
            assert command, line
            unescaped = [part.replace("%3A", ":").replace("%2C", ",").replace("%25", "%") for part in command.groups()]
            found.append((unescaped[0], unescaped[1], unescaped[2]))
    return found


def test_github_shows_what_failed_and_the_report() -> None:
    text = render(CHECK, "github")
    levels = [level for level, _, _ in read_annotations(text)]
    assert levels == ["error", "error", "warning"]
    assert text.endswith(render(CHECK, "table"))
    assert read_annotations(text)[0][1] == f"lodiag page {printable(HOSTILE)}"


def test_github_is_kept_to_ten_of_each() -> None:
    failed = [make_check_record(id=f"f:{n},%", status="fail", message="::error::no") for n in range(30)]
    warned = [make_check_record(id=f"w{n}", status="warn") for n in range(11)]
    findings = [make_check_finding(record, "check-failed", "fail") for record in failed]
    findings += [make_check_finding(record, "check-warning", "warn") for record in warned]
    found = read_annotations(render(make_report("check", CHECK.summary, [*failed, *warned], tuple(findings)), "github"))
    levels = [level for level, _, _ in found]
    assert (levels.count("error"), levels.count("warning")) == (10, 10)
    assert found[0][1] == "lodiag f:0,%"
    assert found[9][2].startswith("and 21 more")
    assert found[19][2].startswith("and 2 more")


def test_github_adds_to_what_the_step_has_to_say(tmp_path: Path) -> None:
    summary = tmp_path / "summary"
    summary.write_text("before\n")
    with listening() as port:
        env = environment(GITHUB_STEP_SUMMARY=str(summary))
        done = run_lodiag("check", f"tcp4:{port}", "--format", "github", env=env)
        plain = run_lodiag("check", f"tcp4:{port}", env=env)
    assert (done.returncode, plain.returncode) == (0, 0)
    assert summary.read_text().startswith("before\n## lodiag check\n\nok: 1 check passed")
    assert summary.read_text().count("## lodiag check") == 1


# --- several at once -------------------------------------------------------------------------------------------------


def test_several_formats_tell_the_same(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("json", "csv", "prometheus", "markdown", *JUDGED)}
    files["json"].write_text("old")
    options = [word for name, path in files.items() for word in ("--format", f"{name}={path}")]
    with listening() as port, reserved() as closed:
        done = run_lodiag("check", f"tcp4:{port}", f"tcp:127.0.0.1:{port_of(closed)}", *options)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("fail: 1 of 2 checks failed")
    assert json.loads(files["json"].read_text())["summary"]["failed"] == 1
    assert JUnitXml.fromfile(str(files["junit"])).failures == 1
    assert read_nagios(files["nagios"].read_text())[0] == "CRITICAL"
    assert len(read_annotations(files["github"].read_text())) == 1
    assert {path.name for path in tmp_path.iterdir()} == set(files), "no draft is left"


def test_a_file_stays_as_it_is_where_nothing_could_run(tmp_path: Path) -> None:
    file = tmp_path / "report.xml"
    file.write_text("old")
    assert run_lodiag("check", "tcp:192.0.2.1:80", "--format", f"junit={file}").returncode == 2
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["report.xml"]


@pytest.mark.parametrize("name", JUDGED)
def test_every_format_exits_alike_but_that_of_nagios(name: str) -> None:
    with reserved() as closed:
        done = run_lodiag("check", f"tcp:127.0.0.1:{port_of(closed)}", "--format", name)
    assert (done.returncode, done.stderr) == (2 if name == "nagios" else 1, "")
