"""The command line as a whole: help, usage errors, completions, and formats that every command prints alike."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
import shutil
import socket
import subprocess
import sys
from contextlib import closing
from functools import cache
from importlib import import_module
from math import isfinite, isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from jsonschema import Draft202012Validator
from running import LO_UP, ROOT, assert_refused, environment, parse, run_in_world, run_lodiag
from samples import PING, make_ping_record, make_report

from lodiag import __version__
from lodiag.cli import main
from lodiag.cli.parsing import COMMANDS, make_command_parser
from lodiag.render import FORMATS, GRAPHS, JUDGED, render
from lodiag.schema import build_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from running import Done

REPORTING = ("ping", "trace", "conns", "who", "map", "iface", "audit", "check", "doctor")
"""Commands that make a report."""


# --- help, version, usage --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_is_grouped_and_names_the_commands_that_exist(option: str) -> None:
    done = run_lodiag(option)
    assert (done.returncode, done.stderr) == (0, "")
    named = re.findall(r"^(?:[a-z]+)? +([a-z]+) {2,}\S", done.stdout, re.MULTILINE)
    modules = [path.stem for path in (ROOT / "lodiag" / "cli").glob("*.py")]
    runnable = {name for name in modules if hasattr(import_module(f"lodiag.cli.{name}"), "EXAMPLES")}
    assert set(named) == runnable
    assert len(named) == len(set(named))
    headings = re.findall(r"^(probe|look|judge|more) ", done.stdout, re.MULTILINE)
    assert headings == ["probe", "look", "judge", "more"]


def test_the_list_of_commands_fits_a_screen() -> None:
    """Of 24 lines, with the command that asked for it and the next prompt."""
    assert len(run_lodiag("--help").stdout.splitlines()) <= 22


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_groups_its_options_and_has_examples(name: str) -> None:
    shown = run_lodiag(name, "--help").stdout
    titles = re.findall(r"^([a-z][a-z ]*):", shown.split("\n\n", 2)[2], re.MULTILINE)
    known = ["positional arguments", "select", "measure", "measure a service", "judge", "change", "show", "output"]
    known += ["options", "more", "examples", "example"]
    assert set(titles) <= set(known)
    assert titles[-2:] in (["more", "examples"], ["more", "example"])
    assert re.search(rf"^examples?:\n  lodiag {name}", shown, re.MULTILINE)


@pytest.mark.parametrize("arguments", [[], *([name] for name in COMMANDS)], ids=str)
def test_help_fits_a_terminal_of_80_columns(arguments: list[str]) -> None:
    done = run_lodiag(*arguments, "--help", env=environment(COLUMNS="80"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: lodiag")
    assert [line for line in done.stdout.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_names_each_of_its_options(name: str) -> None:
    shown = run_lodiag(name, "-h").stdout
    for option in options_of(name):
        assert option in shown


def test_help_has_no_colours_whatever_python_makes_of_it() -> None:
    env = environment(FORCE_COLOR="1")
    assert "\x1b" not in run_lodiag("ping", "--help", env=env).stdout
    assert_refused(run_lodiag("ping", "--nothing", env=env), "unrecognized arguments: --nothing")


def test_version() -> None:
    done = run_lodiag("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"lodiag {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "lodiag --help"),
        (["pign"], "did you mean ping?"),
        (["ss", "-tulpn"], "did you mean conns?"),
        (["mtr"], "did you mean trace --watch?"),
        (["8080"], "did you mean doctor 8080?"),
        (["help"], "did you mean --help?"),
        (["doctor", "--port", "8080"], "give the port alone: lodiag doctor 8080"),
        (["conns", "-p", "8080"], "did you mean --port 8080?"),
        (["conns", "-Q"], "unrecognized arguments: -Q\n"),
        (["con"], "did you mean conns?"),
        (["TRACE"], "not a command"),
        (["frobnicate"], "ping, trace, bench"),
        ([""], "not a command"),
        (["\x1b[2J"], "not a command"),
        (["x" * 10_000], "not a command"),
        (["--json", "conns"], "lodiag conns [OPTIONS]"),
        (["--format", "json", "conns"], "lodiag"),
        (["--no-such-option"], "--no-such-option"),
        (["ping", "--no-such-option"], "--no-such-option"),
        (["ping", "--coun", "3"], "did you mean --count?"),
        (["ping", "--coun=3"], "did you mean --count?"),
        (["ping", "--format", "jsn"], "did you mean json?"),
        (["trace", "127.0.0.1", "127.0.0.2"], "127.0.0.2"),
        (["schema", "--json"], "--json"),
        (["conns", "--output"], "--output"),
        (["--print-completion", "csh"], "did you mean zsh?"),
        (["--verison"], "did you mean --version?"),
        (["iface", "uo"], "did you mean up?"),
        (["bench", "strem"], "did you mean stream?"),
        (["ping", "--format", "JSON"], "did you mean json?"),
        (["--print-completion"], "--print-completion"),
    ],
    ids=lambda value: " ".join(value)[:30].encode("unicode_escape").decode() if isinstance(value, list) else "",
)
def test_a_usage_error_is_told_on_stderr_alone(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: lodiag ")
    assert says in err
    assert len(err.splitlines()) <= 3
    assert err.replace("\n", "").isprintable()
    assert len(err) < 1000, "what was given is not repeated at length"


def test_the_module_and_the_command_are_one() -> None:
    script = Path(sys.executable).with_name("lodiag")
    if not script.exists():
        pytest.skip("the console script is not installed beside this Python")
    done = subprocess.run([script, "--help"], capture_output=True, text=True, env=environment(), check=False)
    assert done.stdout == run_lodiag("--help").stdout


EXAMPLES = [
    (name, line.strip())
    for name in COMMANDS
    for line in import_module(f"lodiag.cli.{name}").EXAMPLES.splitlines()
    if line.startswith("  lodiag")
]
SLOW_OR_CHANGING = {"bench", "iface up", "iface add", "iface --watch", "conns --watch", "doctor", "check"}
SLOW_OR_CHANGING |= {"--baseline", "--output"}
"""Beginnings or words of examples that take seconds, go on, change something, or need what only a reader has."""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["ping", "8080"], "lodiag doctor 8080."),
        (["trace", "127.0.0.1:8080"], "lodiag who 127.0.0.1:8080;"),
        (["who", "http://localhost:8080/x"], "is a URL; did you mean localhost:8080?"),
        (["doctor", "http://[::1]:8080"], "is a URL; did you mean [::1]:8080?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_port_or_url_where_an_address_is_wanted_and_the_other_way_round(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert (out, says in err) == ("", True), err


@pytest.mark.parametrize(("name", "example"), EXAMPLES, ids=[example for _, example in EXAMPLES])
def test_the_examples_of_the_help_are_understood(name: str, example: str) -> None:
    """What follows two spaces says what it is for."""
    words = shlex.split(re.split(r" {2,}|[|>]", example.removeprefix("lodiag "))[0], comments=True)
    parts = words[1 : words.index("--")] if "--" in words else words[1:]
    make_command_parser(name).parse_intermixed_args(parts)


@pytest.mark.parametrize(
    "example", [example for _, example in EXAMPLES if not any(word in example for word in SLOW_OR_CHANGING)]
)
def test_the_examples_of_the_help_run(example: str) -> None:
    """Those that end at once and change nothing; they say what they found by their status."""
    if "svg" in example and shutil.which("dot") is None:
        pytest.skip("Graphviz is not installed")
    words = shlex.split(re.split(r" {2,}|[|>]", example.removeprefix("lodiag "))[0])
    count = ("-c", "2") if words[0] == "ping" and "-c" not in words else ()
    words = ["1000" if word == "1000000" else word for word in words]
    done = run_lodiag(*words, *count)
    assert done.returncode in {0, 1}, done.stderr
    assert done.stdout


# --- completions -----------------------------------------------------------------------------------------------------

COMPLETE = """
source "$1"; shift
entry=$(complete -p lodiag) || exit 3
[[ $entry =~ -F\\ ([^ ]+) ]] || exit 4
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
COMPREPLY=()
"${BASH_REMATCH[1]}" lodiag "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def bash_completion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    done = run_lodiag("--print-completion", "bash")
    assert (done.returncode, done.stderr) == (0, "")
    path = tmp_path_factory.mktemp("completion") / "lodiag.bash"
    path.write_text(done.stdout, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("lodiag pi", {"ping"}),
        ("lodiag ", set(COMMANDS)),
        ("lodiag --v", {"--version"}),
        ("lodiag ping --me", {"--method"}),
        ("lodiag ping --method ", {"auto", "icmp", "udp"}),
        ("lodiag trace --method t", {"tcp"}),
        ("lodiag conns --no-w", {"--no-wildcard"}),
        ("lodiag conns --sort p", {"port", "proto", "pid", "process"}),
        ("lodiag conns --format ", set(FORMATS)),
        ("lodiag check --format ", {*FORMATS, *JUDGED}),
        ("lodiag bench --format ", {*FORMATS, "svg"}),
        ("lodiag map --format ", {*FORMATS, *GRAPHS, "svg"}),
        ("lodiag --print-completion ", {"bash", "zsh", "fish"}),
    ],
)
def test_bash_completes(bash_completion: Path, words: str, offered: set[str]) -> None:
    command = ["bash", "--norc", "-c", COMPLETE, "bash", str(bash_completion), *words.split(" ")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert offered <= set(done.stdout.split())
    prefix = words.rpartition(" ")[2]
    assert all(word.startswith(prefix) for word in done.stdout.split())


def test_zsh_can_read_its_completions(tmp_path: Path) -> None:
    done = run_lodiag("--print-completion", "zsh")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("#compdef lodiag")
    assert "--method" in done.stdout
    if shutil.which("zsh") is None:
        pytest.skip("zsh is not installed; that its completions are printed was tested")
    path = tmp_path / "_lodiag"
    path.write_text(done.stdout, encoding="utf-8")
    load = (
        "fpath=($1 $fpath); autoload -U compinit; compinit -D -u; autoload +X -U _lodiag; print -r -- $_comps[lodiag]"
    )
    checked = subprocess.run(["zsh", "-fc", load, "zsh", tmp_path], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "_lodiag\n", "")


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("lodiag ", set(COMMANDS)),
        ("lodiag ping --me", {"--method"}),
        ("lodiag conns --sort p", {"port", "proto", "pid", "process"}),
        ("lodiag map --format ", {*FORMATS, *GRAPHS, "svg"}),
    ],
)
def test_fish_completes(fish_completion: Path, words: str, offered: set[str]) -> None:
    command = ["fish", "--no-config", "-c", "source $argv[1]; complete -C $argv[2]", str(fish_completion), words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert offered <= {line.partition("\t")[0] for line in done.stdout.splitlines()}


@pytest.fixture(scope="module")
def fish_completion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    done = run_lodiag("--print-completion", "fish")
    assert (done.returncode, done.stderr) == (0, "")
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed; that its completions are printed was tested")
    path = tmp_path_factory.mktemp("completion") / "lodiag.fish"
    path.write_text(done.stdout, encoding="utf-8")
    return path


def test_the_manual_tells_every_option_and_is_clean(tmp_path: Path) -> None:
    done = run_lodiag("--print-manual")
    assert (done.returncode, done.stderr) == (0, "")
    plain = done.stdout.replace("\\-", "-")
    for name in COMMANDS:
        assert f".SS lodiag {name}" in plain
        for option in options_of(name):
            assert option in plain
    if shutil.which("mandoc") is None:
        pytest.skip("mandoc is not installed; that every option is in the manual was tested")
    path = tmp_path / "lodiag.1"
    path.write_text(done.stdout, encoding="utf-8")
    checked = subprocess.run(["mandoc", "-Tlint", "-Wstyle", path], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


# --- every command in every format -----------------------------------------------------------------------------------


class Scene(NamedTuple):
    """A command, and where it runs: here, or after these shell lines in a network namespace of its own."""

    arguments: str
    world: str | None = None


LO_DOWN = "true"
SCENES = {
    "ping": Scene("ping -c 2 -i 0.01 127.0.0.1 127.0.0.2"),
    "ping-by-name": Scene("ping -c 1 localhost 127.0.0.1"),
    "ping-strict": Scene("ping -c 1 --max-rtt 0 127.0.0.1"),
    "ping-world": Scene("ping -c 1 --method udp 127.0.0.1 ::1", LO_UP),
    "ping-down": Scene("ping -c 1 127.0.0.1", LO_DOWN),
    "ping-down-twice": Scene("ping -c 1 127.0.0.1 127.0.0.2 ::1", LO_DOWN),
    "trace": Scene("trace -q 2 127.0.0.1"),
    "trace-tcp": Scene("trace -T 127.0.0.1"),
    "trace-world": Scene("trace -I ::1", LO_UP),
    "trace-down": Scene("trace 127.0.0.1", LO_DOWN),
    "conns": Scene("conns"),
    "conns-bare": Scene("conns --no-process"),
    "conns-none": Scene("conns", LO_DOWN),
    "who": Scene("who {port}"),
    "who-nobody": Scene("who 9", LO_UP),
    "who-down": Scene("who 9", LO_DOWN),
    "map": Scene("map"),
    "check": Scene("check tcp4:{port} listen:{port} resolve:localhost"),
    "check-lost": Scene("check tcp4:9 iface trace:127.0.0.1", LO_UP),
    "check-down": Scene("check tcp4:127.0.0.1:9 ping:127.0.0.1 --timeout 200ms", LO_DOWN),
    "map-none": Scene("map", LO_DOWN),
    "iface": Scene("iface"),
    "iface-down": Scene("iface", LO_DOWN),
    "iface-add": Scene("iface add 127.0.0.2/8 --label lo:1", LO_UP),
    "doctor": Scene("doctor ports limits", LO_UP),
    "doctor-down": Scene("doctor canary interface", LO_DOWN),
    "audit-none": Scene("audit", LO_DOWN),
    "audit-unmet": Scene("audit --expect 5432=loopback --expect any=loopback", LO_UP),
}
FAILING = {
    "ping-strict",
    "ping-down",
    "ping-down-twice",
    "trace-down",
    "who-nobody",
    "who-down",
    "iface-down",
    "check-lost",
    "check-down",
    "audit-unmet",
    "doctor-down",
}

every_scene = pytest.mark.parametrize("name", SCENES)


@cache
def show(name: str, form: str) -> Done:
    """Run a scene once in each format."""
    scene = SCENES[name]
    arguments = (*scene.arguments.split(), "--format", form)
    if scene.world is not None:
        return run_in_world(scene.world, *arguments)
    # So that conns, who and map have something to show.
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as server,
        closing(socket.create_connection(server.getsockname())),
    ):
        port = str(server.getsockname()[1])
        return run_lodiag(*(word.replace("{port}", port) for word in arguments))


@every_scene
@pytest.mark.parametrize("form", FORMATS)
def test_every_format_exits_alike_and_keeps_stderr_clean(name: str, form: str) -> None:
    done = show(name, form)
    assert done.returncode == (1 if name in FAILING else 0)
    assert done.stderr == ""
    assert done.stdout.endswith("\n") or (form == "csv" and not done.stdout)


def test_json_is_short_for_a_format() -> None:
    done = run_lodiag("trace", "127.0.0.1", "--json")
    assert parse(done)["command"] == json.loads(show("trace", "json").stdout)["command"]


def close_schema(schema: Any) -> Any:
    """Forbid every key that the schema does not name."""
    if isinstance(schema, list):
        return [close_schema(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: close_schema(value) for key, value in schema.items()}
    if schema.get("type") == "object" and "properties" in schema:
        closed["additionalProperties"] = False
    return closed


CLOSED_SCHEMA = close_schema(build_schema())


def test_the_schema_is_one() -> None:
    done = run_lodiag("schema")
    assert (done.returncode, done.stderr) == (0, "")
    schema = json.loads(done.stdout)
    assert schema == build_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)
    Draft202012Validator.check_schema(close_schema(schema))


@every_scene
def test_real_output_is_what_the_schema_says_and_no_key_more(name: str) -> None:
    report = parse(show(name, "json"))
    assert report["command"] == SCENES[name].arguments.split()[0]
    assert [error.message for error in Draft202012Validator(CLOSED_SCHEMA).iter_errors(report)] == []


def test_the_schema_describes_each_field() -> None:
    schema = build_schema()
    for shape in (schema, *schema["$defs"].values()):
        assert set(shape["required"]) == set(shape["properties"])
        for name, field in shape["properties"].items():
            assert field.get("description"), name


@pytest.mark.parametrize("change", [{"schema": "lodiag/2"}, {"records": None}, {"command": "x"}, {"host": {}}], ids=str)
def test_the_schema_refuses_what_is_not_a_report(change: dict[str, Any]) -> None:
    report = parse(show("trace", "json"))
    assert not Draft202012Validator(build_schema()).is_valid({**report, **change})


@every_scene
def test_json_lines_are_the_report_taken_apart(name: str) -> None:
    whole = parse(show(name, "json"))
    lines = [json.loads(line) for line in show(name, "jsonl").stdout.splitlines()]
    types = [line["type"] for line in lines]
    assert types[-1] == "report"
    assert types.count("report") == 1
    assert types == sorted(types, key=["reply", "record", "finding", "report"].index)
    assert types.count("finding") == len(whole["findings"])
    if not name.startswith(("conns", "map")):  # what else this machine does may change between two runs
        assert types.count("record") == len(whole["records"])
    last = lines[-1]
    assert {*last, "records", "findings"} == {*whole, "type"}
    records = [line for line in lines if line["type"] == "record"]
    for line, record in zip(records, whole["records"], strict=False):
        assert {*record, "type"} == set(line)


@pytest.mark.parametrize("command", REPORTING)
def test_csv_has_the_same_header_whatever_was_measured(command: str) -> None:
    headers = set()
    for name, scene in SCENES.items():
        if scene.arguments.split()[0] == command:
            rows = list(csv.reader(io.StringIO(show(name, "csv").stdout)))
            assert rows, f"{name}: a table without rows still has its header"
            assert {len(row) for row in rows} == {len(rows[0])}
            headers.add(tuple(rows[0]))
    assert len(headers) == 1
    assert len(set(*headers)) == len(next(iter(headers)))


@pytest.mark.parametrize("name", ["ping", "ping-down", "trace"])
def test_csv_has_the_values_of_the_records(name: str) -> None:
    records = parse(show(name, "json"))["records"]
    rows = list(csv.DictReader(io.StringIO(show(name, "csv").stdout)))
    assert [row["address"] for row in rows] == [record["address"] or "" for record in records]
    assert [row["sent"] for row in rows] == [str(record["sent"]) for record in records]
    assert all(row["loss_ratio"] == "" for row in rows) == (name == "ping-down")


@every_scene
def test_markdown_tables_have_as_many_cells_in_each_row(name: str) -> None:
    done = show(name, "markdown")
    blocks = [block.splitlines() for block in done.stdout.split("\n\n") if block.startswith("|")]
    for block in blocks:
        assert {len(re.findall(r"(?<!\\)\|", line)) for line in block} == {len(re.findall(r"(?<!\\)\|", block[0]))}
        assert re.fullmatch(r"\|(:?-+:?\|)+", block[1])
    assert bool(blocks) == (name not in {"conns-none", "map-none", "audit-none", "audit-unmet"})


# --- Prometheus ------------------------------------------------------------------------------------------------------

METRIC = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"'
SAMPLE = re.compile(rf"({METRIC})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (\S+)", re.ASCII)
HELP = re.compile(rf"# HELP ({METRIC}) ((?:[^\\\n]|\\[\\n])+)", re.ASCII)
TYPE = re.compile(rf"# TYPE ({METRIC}) (counter|gauge|histogram|summary|untyped)", re.ASCII)
UNESCAPED = {r"\\": "\\", r"\"": '"', r"\n": "\n"}

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def read_metrics(text: str) -> Series:
    """Read the text format 0.0.4 strictly: each family once, its HELP and TYPE before its samples, no series twice."""
    assert text.endswith("\n")
    series: Series = {}
    helped: list[str] = []
    typed: list[str] = []
    for line in text.removesuffix("\n").split("\n"):
        if found := HELP.fullmatch(line):
            assert found[1] not in helped, f"HELP of {found[1]} twice"
            helped.append(found[1])
        elif found := TYPE.fullmatch(line):
            assert found[1] == helped[-1], "TYPE follows its HELP"
            assert found[1] not in typed, f"TYPE of {found[1]} twice"
            typed.append(found[1])
        else:
            found = SAMPLE.fullmatch(line)
            assert found, f"not a line of the format: {line!r}"
            assert found[1] == typed[-1] == helped[-1], f"{line!r} is apart from its family"
            key = (found[1], tuple(read_labels(found[2] or "")))
            assert key not in series, f"the same series twice: {line!r}"
            series[key] = float(found[3])
    assert helped == typed
    return series


def read_labels(text: str) -> Iterator[tuple[str, str]]:
    pairs = [label.partition("=") for label in re.findall(LABEL, text)]
    assert len({name for name, _, _ in pairs}) == len(pairs), f"a label twice: {text!r}"
    for name, _, quoted in pairs:
        yield name, re.sub(r'\\[\\"n]', lambda escape: UNESCAPED[escape[0]], quoted[1:-1])


@every_scene
def test_metrics_are_of_the_text_format(name: str) -> None:
    done = show(name, "prometheus")
    series = read_metrics(done.stdout)
    assert all(isfinite(value) or isnan(value) for value in series.values())
    assert all(metric.startswith("lodiag_") for metric, _ in series)
    command = SCENES[name].arguments.split()[0]
    assert series[f"lodiag_{command}_exit_status", ()] == done.returncode


@every_scene
def test_what_was_not_measured_has_no_series(name: str) -> None:
    report = parse(show(name, "json"))
    series = read_metrics(show(name, "prometheus").stdout)
    for record in report["records"]:
        if "loss_ratio" in record:
            metric = f"lodiag_{report['command']}_loss_ratio"
            values = [
                value
                for (found, labels), value in series.items()
                if found == metric and dict(labels).get("address") == record["address"]
            ]
            assert bool(values) == (record["loss_ratio"] is not None)


@every_scene
def test_promtool_agrees(name: str) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed")
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=show(name, "prometheus").stdout,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("target", ['a"b', "a\\b", 'a\\"b\\n', "ü{}=,#", "a'b|`*c"])
def test_any_name_survives_every_format(target: str) -> None:
    """No such name is pinged, but a report may come from anywhere."""
    report = make_report("ping", PING.summary, (make_ping_record(target=target),))
    labels = [
        dict(labels) for metric, labels in read_metrics(render(report, "prometheus")) if metric == "lodiag_ping_sent"
    ]
    assert [label["target"] for label in labels] == [target]
    assert json.loads(render(report, "json"))["records"][0]["target"] == target
    assert next(csv.DictReader(io.StringIO(render(report, "csv"))))["target"] == target
    assert target in render(report, "table")
    row = render(report, "markdown").splitlines()[4]
    assert re.sub(r"\\(.)", r"\1", row[2:]).startswith(target)


def options_of(command: str) -> list[str]:
    actions = make_command_parser(command)._actions  # noqa: SLF001 - no other way
    return [option for action in actions for option in action.option_strings]


def test_options_and_targets_may_be_mixed() -> None:
    done = run_lodiag("ping", "-c", "1", "127.0.0.1", "-q", "127.0.0.2", "--json")
    assert [record["target"] for record in parse(done)["records"]] == ["127.0.0.1", "127.0.0.2"]
    assert parse(run_lodiag("ping", "-c", "1", "--json", "--", "127.0.0.1"))["records"][0]["received"] == 1


def test_the_schema_can_be_written_to_a_file(tmp_path: Path) -> None:
    path = tmp_path / "schema.json"
    assert run_lodiag("schema", "--output", str(path)).returncode == 0
    assert json.loads(path.read_text(encoding="utf-8")) == build_schema()
