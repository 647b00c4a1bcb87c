"""Examples run, and the README names every option, code and format; its blocks are run by ``test_readme``."""

from __future__ import annotations

import ast
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from running import ROOT, environment

from lodiag.cli.parsing import COMMANDS, make_command_parser
from lodiag.diagnoses.catalogue import CODES as DIAGNOSED
from lodiag.judge.silence import ADVICE
from lodiag.render import FORMATS
from lodiag.system.probe import SEND_ERRORS

if TYPE_CHECKING:
    from pathlib import Path

README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = ROOT / "examples"


@pytest.fixture
def shell_env(tmp_path: Path) -> dict[str, str]:
    """Environment in which ``lodiag`` and ``python`` are this checkout's."""
    for name, target in (("lodiag", f'"{sys.executable}" -m lodiag'), ("python", f'"{sys.executable}"')):
        shim = tmp_path / name
        shim.write_text(f'#!/bin/sh\nexec {target} "$@"\n')
        shim.chmod(0o755)
    return environment(
        PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}", GITHUB_STEP_SUMMARY=str(tmp_path / "summary")
    )


def run_shell(script: str, env: dict[str, str], cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a piece of shell that must succeed."""
    if "jq" in script and shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    command = ["sh", "-eu", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=cwd, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize("name", COMMANDS)
def test_the_readme_names_each_command_and_its_options(name: str) -> None:
    """Each by its long name or its letter, as code, in the section of the command or that of what all share."""
    assert f"`{name}`" in README
    sections = dict(re.findall(r"^##+ (\w+)\n(.*?)(?=^##+ |\Z)", README, re.DOTALL | re.MULTILINE))
    text = sections.get(name, "") + sections["Formats"]
    code = " ".join(re.findall(r"`([^`\n]+)`", text))
    for action in make_command_parser(name)._actions:  # noqa: SLF001 - argparse has no other way to list them
        if action.option_strings and action.option_strings != ["-h", "--help"]:
            words = "|".join(map(re.escape, action.option_strings))
            assert re.search(rf"(?<![\w-])({words})(?![\w-])", code), action.option_strings


def find_codes() -> set[str]:
    """Every code that a finding may have, from the sources of the judgements."""
    codes = set(ADVICE) | set(SEND_ERRORS.values())
    for path in (ROOT / "lodiag" / "judge").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "code" and isinstance(node.value, ast.Constant):
                codes.add(str(node.value.value))
    codes |= set(DIAGNOSED)
    return codes | {"loss", "late", "duplicates", "corrupted", "loss-over-limit", "rtt-over-limit"}


@pytest.mark.parametrize("code", sorted(find_codes()))
def test_the_readme_explains_each_code(code: str) -> None:
    assert f"`{code}`" in README


@pytest.mark.parametrize("name", FORMATS)
def test_the_readme_names_each_format(name: str) -> None:
    assert name in README


def test_the_readme_names_each_example() -> None:
    there = {
        str(path.relative_to(EXAMPLES)) for path in EXAMPLES.rglob("*") if path.is_file() and path.suffix != ".pyc"
    }
    assert {name for name in there if f"`{name}`" not in README} == set()


def test_example_waits_for_a_port() -> None:
    """The service begins to listen only after the script began to wait."""
    with socket.socket() as service:
        service.bind(("127.0.0.1", 0))
        port = service.getsockname()[1]
        listening = threading.Timer(0.5, service.listen)
        listening.start()
        done = subprocess.run(
            [sys.executable, str(EXAMPLES / "wait_for_port.py"), str(port), "20"],
            capture_output=True,
            text=True,
            env=environment(),
            timeout=60,
            check=False,
        )
        listening.join()
    assert done.returncode == 0, done.stderr
    assert f"127.0.0.1:{port} is served by" in done.stdout
    assert f"[{os.getpid()}]" in done.stdout


@pytest.mark.parametrize(("arguments", "status"), [(["1", "0.2"], 1), ([], 2), (["x"], 2)])
def test_example_says_when_nothing_listens(arguments: list[str], status: int) -> None:
    command = [sys.executable, str(EXAMPLES / "wait_for_port.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=60, check=False)
    assert done.returncode == status
    assert done.stderr.count("\n") == 1


def test_example_asks_conns_with_jq(shell_env: dict[str, str]) -> None:
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    with socket.create_server(("127.0.0.1", 0)) as service:
        port = service.getsockname()[1]
        done = run_shell(f"sh examples/conns-jq.sh {port}", shell_env)
    assert f"Who serves port {port}:\n127.0.0.1 " in done.stdout
    assert "tcp listen" in done.stdout


def test_example_workflow(shell_env: dict[str, str]) -> None:
    """The steps of the workflow, but for the installation, are run as a runner would run them."""
    text = (EXAMPLES / "github-actions.yml").read_text(encoding="utf-8")
    steps = re.findall(r"run: \|\n((?: {10}.*\n)+)", text)
    assert len(steps) == 2
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    script = "\n".join(steps).replace("8080", port).replace("\n\n", "\n")
    script = script.replace(
        f"http.server --bind 127.0.0.1 {port} &", f"http.server --bind 127.0.0.1 {port} & service=$!"
    )
    run_shell(f"trap 'kill $service' EXIT\n{script}", shell_env)
    summary = shell_env["GITHUB_STEP_SUMMARY"]
    with open(summary, encoding="utf-8") as file:  # noqa: PTH123 - a name, as GitHub gives it
        written = file.read()
    assert "## lodiag ping" in written
    assert f"127.0.0.1:{port}" in written
