"""The examples of ``check``: each is read by what it is for, as far as that is here, and what it runs is run."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from endpoints import port_of, reserved, serving
from running import ROOT, environment

from lodiag.checks.reading import read_checks
from lodiag.checks.source import Source
from lodiag.system import System

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from running import Done

EXAMPLES = ROOT / "examples" / "check"
HERE = "127.0.0.1:8080"


@pytest.fixture
def port() -> Iterator[int]:
    """Give the port of a web service."""
    with serving({"/": (200, {}, b"ok")}) as (found, _):
        yield found


class Runner:
    """Runs what an example runs, with ``lodiag`` of this checkout, and another port than 8080."""

    def __init__(self, folder: Path, port: int) -> None:
        """Put what it needs into a folder."""
        self.folder, self.port = folder, port
        for name, target in (("lodiag", f'"{sys.executable}" -m lodiag'), ("python", f'"{sys.executable}"')):
            shim = folder / name
            shim.write_text(f'#!/bin/sh\nexec {target} "$@"\n')
            shim.chmod(0o755)
        path = f"{folder}{os.pathsep}{os.environ['PATH']}"
        self.env = environment(PATH=path, GITHUB_STEP_SUMMARY=str(folder / "summary"))
        self.file = folder / "lodiag.toml"
        self.file.write_text(self.adapt((EXAMPLES / "lodiag.toml").read_text()))

    def adapt(self, text: str) -> str:
        """Write this port for that of the example, and this file for the one that it names."""
        return re.sub(r"\b8080\b", str(self.port), text).replace("/etc/lodiag.toml", str(self.folder / "lodiag.toml"))

    def run(self, script: str, **options: Any) -> Done:
        """Run a piece of shell."""
        return subprocess.run(
            ["sh", "-c", self.adapt(script)],
            capture_output=True,
            text=True,
            env=self.env,
            cwd=self.folder,
            timeout=60,
            check=False,
            **options,
        )


@pytest.fixture
def runner(tmp_path: Path, port: int) -> Runner:
    """Give a runner for the service."""
    return Runner(tmp_path, port)


def load(name: str) -> Any:
    """Read an example in YAML."""
    return yaml.safe_load((EXAMPLES / name).read_text())


def test_each_example_is_tested() -> None:
    source = (ROOT / "tests" / "test_examples_check.py").read_text()
    assert [path.name for path in EXAMPLES.iterdir() if path.is_file() and f'"{path.name}"' not in source] == []


def test_the_file() -> None:
    source = Source("lodiag.toml", (EXAMPLES / "lodiag.toml").read_text())
    assert [check.id for check in read_checks(source, system=System())] == [
        *("loopback", "web-port", "web-page", "web-private")
    ]


def test_the_steps_of_github_actions(runner: Runner) -> None:
    """But for the installation, and the start of the service, which runs."""
    steps = load("github-actions.yml")["jobs"]["test"]["steps"]
    scripts = {step["name"]: step["run"].replace("examples/check/", "") for step in steps if "run" in step}
    assert scripts["Start the service"].startswith("python -m http.server --bind 127.0.0.1 8080")
    waited = runner.run(scripts["Wait for it"])
    assert waited.returncode == 0, waited.stderr
    assert "ok: 4 checks passed" in waited.stdout
    assert "<testsuites" in (runner.folder / "lodiag.xml").read_text()
    assert "## lodiag check" in (runner.folder / "summary").read_text()
    assert runner.run(scripts["Test"]).stdout == "the tests run\n"


def test_the_health_check_of_docker(runner: Runner) -> None:
    """What Docker runs is a list in JSON, and it keeps the first 4096 bytes of what that prints."""
    text = (EXAMPLES / "Dockerfile").read_text().replace("\\\n", "")
    (command,) = re.findall(r"^HEALTHCHECK .*? CMD (\[.*\])$", text, re.MULTILINE)
    well = runner.run(shlex.join(json.loads(command)))
    assert (well.returncode, well.stderr) == (0, "")
    with reserved() as closed:
        ill = Runner(runner.folder, port_of(closed)).run(shlex.join(json.loads(command)))
    assert ill.returncode == 1, "2 is reserved"
    assert ill.stdout.startswith("fail: ")
    assert len(ill.stdout) < 4096


@pytest.mark.parametrize("probe", ["readinessProbe", "livenessProbe"])
def test_the_probes_of_kubernetes(runner: Runner, probe: str) -> None:
    (container,) = load("kubernetes.yaml")["spec"]["containers"]
    command = shlex.join(container[probe]["exec"]["command"])
    assert runner.run(command).returncode == 0
    with reserved() as closed:
        assert Runner(runner.folder, port_of(closed)).run(command).returncode == 1


def test_the_units_of_systemd(runner: Runner) -> None:
    service, timer = "lodiag-check.service", "lodiag-check.timer"
    metrics = runner.folder / "lodiag.prom"
    text = (EXAMPLES / service).read_text().replace("/usr/local/bin/lodiag", str(runner.folder / "lodiag"))
    text = runner.adapt(text.replace("/var/lib/node_exporter/lodiag.prom", str(metrics)))
    (runner.folder / service).write_text(text)
    (runner.folder / timer).write_text((EXAMPLES / timer).read_text())
    (command,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    assert runner.run(command).returncode == 0
    assert 'lodiag_check_success{id="web-page",kind="http"} 1' in metrics.read_text()
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed; what the unit runs was run")
    units = [str(runner.folder / name) for name in (service, timer)]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, check=False
    )
    assert (done.returncode, [line for line in done.stderr.splitlines() if "lodiag" in line]) == (0, [])


def test_the_rules_of_prometheus() -> None:
    for name in ("alerts.yml", "alerts_test.yml"):
        assert load(name)
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed")
    done = subprocess.run(
        ["promtool", "test", "rules", "alerts_test.yml"], cwd=EXAMPLES, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


def test_a_warning_pages_nobody(runner: Runner) -> None:
    """By the metrics that a check leaves which fails as a warning, beside one that just fails."""
    with reserved() as closed:
        words = (f"tcp:127.0.0.1:{port_of(closed)}", f"tcp4:{port_of(closed)}")
        done = runner.run(f"lodiag check {shlex.join(words)} --set {words[0]}.severity=warning --format prometheus")
    fired = {}
    for rule in load("alerts.yml")["groups"][0]["rules"][:2]:
        (severity,) = re.findall(r'^lodiag_finding\{command="check", severity="(\w+)"\} == 1$', rule["expr"])
        line = rf'^lodiag_finding\{{command="check",code="[\w-]+",severity="{severity}",subject="(.*)"\}} 1$'
        fired[rule["labels"]["severity"]] = re.findall(line, done.stdout, re.MULTILINE)
    assert fired == {"page": [words[1]], "warning": [words[0]]}


def test_the_playbook_of_ansible(runner: Runner) -> None:
    """Where Ansible is not, what the playbook runs is run."""
    (play,) = load("ansible.yml")
    argv = [
        word.replace("{{ checks }}", str(runner.file)) for word in play["tasks"][0]["ansible.builtin.command"]["argv"]
    ]
    done = runner.run(shlex.join(argv))
    assert json.loads(done.stdout)["summary"]["failed"] == 0
    if shutil.which("ansible-playbook") is None:
        pytest.skip("Ansible is not installed; what the playbook runs was run")
    reports = runner.folder / "reports"
    command = ["ansible-playbook", "-i", "localhost,", "-c", "local", str(EXAMPLES / "ansible.yml")]
    command += ["-e", f"checks={runner.file} reports={reports} ansible_python_interpreter={sys.executable}"]
    assert runner.run(f"HOME={runner.folder} {shlex.join(command)}").returncode == 0
    assert json.loads((reports / "localhost.json").read_text())["command"] == "check"
    with reserved() as closed:
        lost = Runner(runner.folder, port_of(closed)).run(f"HOME={runner.folder} {shlex.join(command)}")
    assert lost.returncode == 2
    assert "of 4 checks failed" in lost.stdout
    assert json.loads((reports / "localhost.json").read_text())["summary"]["failed"] > 0


def test_the_commands_of_nrpe(runner: Runner) -> None:
    commands = dict(re.findall(r"^command\[(\w+)\]=(.*)$", (EXAMPLES / "nrpe.cfg").read_text(), re.MULTILINE))
    assert set(commands) == {"check_loopback", "check_web"}
    for command in commands.values():
        done = runner.run(command)
        assert done.returncode == 0, done.stdout
        assert done.stdout.startswith("LODIAG CHECK OK - ")
    with reserved() as closed:
        assert Runner(runner.folder, port_of(closed)).run(commands["check_web"]).returncode == 2


def test_the_fixture_of_pytest() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLES / "test_service.py")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), cwd=ROOT, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
