"""Every block of the README is run, and prints what is shown there."""

from __future__ import annotations

import ast
import os
import pwd
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree as ET

import pytest
from endpoints import port_of
from readme_worlds import WORLDS, run_world
from running import ROOT, environment, require_loopback
from serving import free_port
from situations import ABORT
from test_platforms import is_platform_import, is_platform_question, is_socket_option, names_linux_tool, names_proc

from lodiag.bindings.policy import read_policy
from lodiag.system import System

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future
    from pathlib import Path

    from running import Done

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
CONSOLE, TEXT, PYTHON, SHELL = (
    [body for kind, body in BLOCKS if kind == wanted] for wanted in ("console", "text", "python", "sh")
)
TOUR = README.partition("## The ten commands")[2].partition("\n## ")[0]
LINES = [line[2:] for block in CONSOLE for line in block.splitlines() if line.startswith("$ ")]
HEADING = (
    r"(ping |bytes |trace |status |address|rtt in ms|hop |proto |client |stream |rr |crr |group |udp +a sec|connect |"
    r"request )"
)
"""Of samples of what differs from one machine to the next, the headings must be there; of the tour, all."""
PATIENCE_S = 60


class Machine(NamedTuple):
    """The machine of the README: a web service with a client, and ``lodiag`` of this checkout."""

    env: dict[str, str]
    port: int

    def run(self, script: str, cwd: Path = ROOT) -> Done:
        """Run a piece of shell there; a whole bench in less time."""
        script = script.replace("8080", str(self.port)).replace("free:3000", f"free:{free_port()}")
        script = re.sub(r"(bench [a-z ]*--quick)", r"\1 -t 0.05", script)
        command = ["sh", "-eu", "-c", script]
        return subprocess.run(command, capture_output=True, text=True, env=self.env, cwd=cwd, timeout=120, check=False)


@contextmanager
def web_service(port: int = 0) -> Iterator[int]:
    """Run the web service of Python, and give its port."""
    command = [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", str(port)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT / "examples"
    ) as service:
        try:
            assert service.stdout is not None
            (found,) = re.findall(r"port (\d+)", service.stdout.readline())
            yield int(found)
        finally:
            service.kill()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("bin")
    for name, target in (("lodiag", f'"{sys.executable}" -m lodiag'), ("python", f'"{sys.executable}"')):
        shim = folder / name
        shim.write_text(f'#!/bin/sh\nexec {target} "$@"\n')
        shim.chmod(0o755)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    with web_service() as port, socket.create_connection(("127.0.0.1", port)) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
        yield Machine(environment(PATH=path, GITHUB_STEP_SUMMARY=str(folder / "summary")), port)


@pytest.fixture(scope="module")
def runs(machine: Machine) -> Iterator[dict[str, Future[Done]]]:
    """Each command line of the README, run once, some at a time: most of it is Python that starts."""
    with ThreadPoolExecutor(3) as pool:
        yield {line: pool.submit(machine.run, line) for line in LINES}


def name_user() -> str:
    """Name of this user, or its number."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def simplify(text: str) -> str:
    """Leave what does not differ between two runs, machines and users."""
    text = re.sub(rf"\b(root|{re.escape(name_user())})\b", "USER", text)
    text = re.sub(r"[^\s(]+\[\d+\]", "PROCESS", text)
    text = re.sub(r"icmp-raw|icmp-datagram|udp", "METHOD", text)
    text = re.sub(r"[▁-█]+", "BARS", text)
    return re.sub(r"\bN m?s\b", "N s", " ".join(re.sub(r"[\d.]+", "N", text).split()))


def assert_shows(printed: str, shown: list[str]) -> None:
    """Each line that is shown was printed, wherever it was broken; ``...`` stands for others."""
    there = simplify(printed)
    assert shown
    for line in shown:
        if line != "...":
            assert simplify(line) in there, printed


def require_programs(line: str) -> None:
    """Skip what this machine cannot run, with the reason."""
    if "jq" in line and shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    if "::1" in line:
        require_loopback("::1")


@pytest.mark.parametrize("block", CONSOLE, ids=[block.splitlines()[0][2:] for block in CONSOLE])
def test_commands_run_and_print_what_is_shown(block: str, runs: dict[str, Future[Done]]) -> None:
    lines = block.splitlines()
    commands = [line[2:] for line in lines if line.startswith("$ ")]
    shown = [line for line in lines if not line.startswith("$ ")]
    require_programs(block)
    for command in commands:
        done = runs[command].result()
        may_find = command.startswith("lodiag doctor") and "|" not in command  # this machine may have its troubles
        assert done.returncode in {0, int(may_find)}, done.stdout + done.stderr
        assert done.stdout or "|" not in command, command
    if shown:
        if block not in TOUR or done.returncode:
            shown = [line for line in shown if re.match(HEADING, line)]
        assert_shows(done.stdout, shown)


@pytest.mark.parametrize("block", TEXT, ids=[block.splitlines()[0][2:] for block in TEXT])
def test_what_is_shown_of_broken_worlds_is_printed_there(block: str) -> None:
    command, *shown = block.splitlines()
    assert_shows(run_world(command.removeprefix("$ lodiag ")), shown)


def test_each_block_is_run() -> None:
    """What runs blocks of other kinds is below, and in ``test_check_files`` for TOML."""
    assert {kind for kind, _ in BLOCKS} == {"console", "text", "python", "sh", "toml"}
    assert {block.splitlines()[0].removeprefix("$ lodiag ") for block in TEXT} == set(WORLDS)
    assert len([body for kind, body in BLOCKS if kind == "toml"]) == 2
    assert [block for block in PYTHON if not block.startswith(("# lodiag/", "from lodiag import"))] == []
    assert [*TWO_COMMANDS, *(block for block, _ in SCRIPTS)] == SHELL


TWO_COMMANDS = [
    "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/lodiag ping localhost\n",
    "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && .venv/bin/pytest\n",
]
"""Run by ``.ci/run``, which takes them from the README."""


def run_bench_for_a_moment(block: str, machine: Machine, folder: Path) -> None:
    """One test of a moment each, so that it may well find that something is slower."""
    shorter = block.replace("lodiag bench", "lodiag bench crr -4 -t 0.02").replace("stream<0.8,rr<0.8", "crr<0.8")
    save, compare = shorter.splitlines()
    assert machine.run(save, folder).returncode == 0
    done = machine.run(compare, folder)
    assert done.returncode in {0, 1}, done.stderr
    assert "crr" in done.stdout


def watch_clients_that_leave(block: str, machine: Machine, folder: Path) -> None:
    """What the pipe prints of clients that go while the server keeps its end."""
    require_programs(block)
    script = block.replace("--watch", "--watch 0.1").replace("jq -r", "exec jq --unbuffered -r")
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        subprocess.Popen(
            ["sh", "-c", script], stdout=subprocess.PIPE, text=True, env=machine.env, cwd=folder, process_group=0
        ) as pipe,
        ExitStack() as kept,
    ):
        assert pipe.stdout is not None
        printed = ""
        deadline = time.monotonic() + PATIENCE_S
        try:
            while f"{port_of(server)} established -> close-wait\n" not in printed:
                assert time.monotonic() < deadline, printed
                with socket.create_connection(server.getsockname()):
                    kept.enter_context(server.accept()[0])
                    select.select([pipe.stdout], [], [], 0.3)  # so that a reading sees them connected
                while select.select([pipe.stdout], [], [], 0.3)[0]:
                    printed += pipe.stdout.readline()
        finally:
            os.killpg(pipe.pid, signal.SIGTERM)


def wait_for_the_service(block: str, machine: Machine, folder: Path) -> None:
    """The service is there, and has a page; the tests are another command here."""
    script = block.replace("tcp:5432", "tcp:8080").replace("/healthz", "/").replace("pytest", "echo the tests run")
    done = machine.run(script, folder)
    assert (done.returncode, done.stdout) == (0, "the tests run\n"), done.stderr


SCRIPTS = [
    (next(block for block in SHELL if words in block), run)
    for words, run in (
        ("bench --save", run_bench_for_a_moment),
        ("conns --watch", watch_clients_that_leave),
        ("check tcp", wait_for_the_service),
    )
]


@pytest.mark.parametrize(("block", "run"), SCRIPTS, ids=[run.__name__ for _, run in SCRIPTS])
def test_scripts_run(block: str, run: Callable[[str, Machine, Path], None], machine: Machine, tmp_path: Path) -> None:
    run(block, machine, tmp_path)


def test_the_library_snippet_runs(machine: Machine) -> None:
    (snippet,) = (block for block in PYTHON if block.startswith("from lodiag import"))
    done = subprocess.run(
        [sys.executable, "-c", snippet], capture_output=True, text=True, env=machine.env, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "127.0.0.1" in done.stdout


def test_the_policy_is_read(tmp_path: Path) -> None:
    (policy,) = (body for kind, body in BLOCKS if kind == "toml" and "[[audit]]" in body)
    file = tmp_path / "lodiag.toml"
    file.write_text(policy)
    assert [item.name for item in read_policy(str(file), System())] == ["database", "any/udp"]


# --- how to extend it ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a copy of the package with what the README adds: the files that it shows, and a line each."""
    folder = tmp_path_factory.mktemp("extended")
    shutil.copytree(ROOT / "lodiag", folder / "lodiag")
    for block in PYTHON:
        first, _, code = block.partition("\n")
        if first.startswith("# lodiag/"):
            path = folder / first.removeprefix("# ")
            assert not path.exists()
            path.write_text(code)
    for path, entry, name, place in EXTENSIONS:
        assert (folder / path).exists()
        text = (folder / place).read_text(encoding="utf-8")
        found = re.search(rf"^{name} = [({{].*?(?=,?\s*[)}}]$)", text, re.DOTALL | re.MULTILINE)
        assert found, name
        (folder / place).write_text(f"{text[: found.end()]}, {entry}{text[found.end() :]}")
    return folder


OF_THE_SYSTEM = (is_platform_import, is_platform_question, is_socket_option, names_linux_tool, names_proc)
EXTENSIONS = re.findall(r"^\| a \S.* \| `(\S+)` \| `(.+)` in `(\w+)` of `(\S+)` \| `.*` \|$", README, re.MULTILINE)
GIVES = dict(re.findall(r"^\| (a \S.*?) \| .* \| `([^`]*lodiag [^`]*)` \|$", README, re.MULTILINE))


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("a format", "<table>"),
        ("a kind of check", "ok: 1 check passed"),
        ("a diagnosis", "debuggers: "),
        ("a source of sockets", "tcp    listen       127.0.0.1:8080"),
    ],
)
def test_what_is_added_works(what: str, words: str, extended: Path, machine: Machine) -> None:
    assert len(EXTENSIONS) == len(GIVES) == 4
    command = GIVES[what].replace("4021", str(os.getpid()))
    done = Machine({**machine.env, "PYTHONPATH": str(extended)}, machine.port).run(command, extended)
    assert done.returncode == 0, done.stderr
    assert words.replace("8080", str(machine.port)) in done.stdout


@pytest.mark.parametrize("block", [block for block in PYTHON if block.startswith("# lodiag/")])
def test_what_is_added_keeps_to_the_layers(block: str) -> None:
    if not block.startswith("# lodiag/system/"):
        found = [ast.unparse(node) for node in ast.walk(ast.parse(block)) for asks in OF_THE_SYSTEM if asks(node)]
        assert found == []


def test_a_code_that_is_added_has_no_words_yet(extended: Path, machine: Machine) -> None:
    machine = Machine({**machine.env, "PYTHONPATH": str(extended)}, machine.port)
    done = machine.run("lodiag doctor --explain debugger-open", extended)
    assert done.returncode == 2
    assert "'debugger-open' is a code, but has no words yet" in done.stderr


def test_a_process_that_is_not_there_has_no_sockets_to_show(extended: Path, machine: Machine) -> None:
    """An empty list would say that nothing listens there."""
    machine = Machine({**machine.env, "PYTHONPATH": str(extended)}, machine.port)
    done = machine.run(GIVES["a source of sockets"].replace("4021", str(2**22 + 1)), extended)  # above the largest pid
    assert (done.returncode, done.stdout) == (2, "")
    assert "No such file or directory" in done.stderr


# --- the picture -----------------------------------------------------------------------------------------------------


def read_picture(svg: str) -> str:
    """Read the words of a picture, which must be well-formed and load nothing from elsewhere."""
    root = ET.fromstring(svg)  # noqa: S314 - of our own making
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "url(http" not in svg
    assert "@import" not in svg
    return " ".join("".join(root.itertext()).replace("\N{NO-BREAK SPACE}", " ").split())


def test_the_picture_is_of_a_run(machine: Machine) -> None:
    """The one that is shown has the words of one that is made now."""
    (path,) = re.findall(r'<img src="([\w/.]+)" width="\d+" alt="[^"]{80,}">', README)
    command = [sys.executable, str(ROOT / "examples" / "picture.py")]
    done = subprocess.run(command, capture_output=True, text=True, env=machine.env, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    for svg in (done.stdout, (ROOT / path).read_text(encoding="utf-8")):
        words = read_picture(svg)
        assert re.search(r"\$ lodiag doctor \d+ *localhost:\d+ is broken: \S+\[\d+\] is stopped", words), words
        assert re.search(r"service-stopped: .* fix: kill -CONT (\d+) *undo: kill -STOP \1", words), words


def test_a_picture_can_be_made_of_any_command(machine: Machine) -> None:
    done = machine.run("python examples/picture.py trace localhost")
    assert "$ lodiag trace localhost" in read_picture(done.stdout)
    assert "reached" in read_picture(done.stdout)
