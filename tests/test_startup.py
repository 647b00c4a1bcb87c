"""Start-up is part of the product: which modules each command may load."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest
from running import environment

HEAVY = {
    "asyncio",
    "csv",
    "dataclasses",
    "icmplib",
    "json",
    "logging",
    "psutil",
    "rich",
    "shtab",
    "tabulate",
    "tempfile",
}

PROBE = """
import io, sys
out, sys.stdout = sys.stdout, io.StringIO()
{code}
sys.stdout = out
print(" ".join([str(globals().get("status")), *sorted(set({heavy!r}) & set(sys.modules))]))
"""

MAIN = "from lodiag.cli import main; status = main({arguments!r})"
JSON_MODULES = {"json"}
PSUTIL = {"psutil"}
WIDE = {"rich"}


def loaded_by(code: str, status: int | None = None) -> set[str]:
    """Names among HEAVY that a fresh Python has loaded after running ``code``, of which that was the status."""
    program = PROBE.format(code=code, heavy=sorted(HEAVY))
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=True)
    ended, *loaded = done.stdout.split()
    assert ended == str(status)
    return set(loaded)


def test_importing_lodiag_costs_nothing() -> None:
    assert loaded_by("import lodiag") == set()


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        (["--help"], set()),
        (["--version"], set()),
        (["ping", "--help"], set()),
        (["trace", "--help"], set()),
        (["conns", "--help"], set()),
        (["who", "--help"], set()),
        (["map", "--help"], set()),
        (["iface", "--help"], set()),
        (["iface", "--json"], JSON_MODULES),
        (["iface"], WIDE),
        (["iface", "up", "--json"], JSON_MODULES),
        (["iface", "add", "127.0.0.77", "--dry-run", "--json"], JSON_MODULES),
        (["iface", "--source", "psutil", "--json"], JSON_MODULES | PSUTIL),
        (["doctor", "--help"], set()),
        (["doctor", "--json", "ports"], JSON_MODULES | PSUTIL),
        (["bench", "--help"], set()),
        (["check", "--help"], set()),
        (["check", "resolve:localhost", "--json"], JSON_MODULES),
        (["check", "resolve:localhost"], set()),
        (["check", "resolve:localhost", "--format", "junit"], set()),
        (["audit", "--help"], set()),
        (["ping", "192.0.2.1"], set()),
        (["schema"], JSON_MODULES),
        (["ping", "-c1"], WIDE | PSUTIL),
        (["ping", "-c1", "--json", "127.0.0.1"], JSON_MODULES),
        (["ping", "-c1", "--json", "--method", "udp", "127.0.0.1"], JSON_MODULES),
        (["ping", "-c1", "--method", "udp", "127.0.0.1"], WIDE),
        (["ping", "-c1", "--json", "127.0.0.0/26"], JSON_MODULES),
        (["ping", "-f", "-c9", "--json", "127.0.0.1"], JSON_MODULES),
        (["ping", "--sweep", "64..65", "--json", "--method", "udp", "127.0.0.1"], JSON_MODULES | PSUTIL),
        (["ping", "-c1", "--histogram", "--method", "udp", "127.0.0.1"], WIDE),
        (["trace", "--json", "127.0.0.1"], JSON_MODULES | PSUTIL),
        (["bench", "rr", "-n1", "--quick", "--json"], JSON_MODULES | PSUTIL),
        (["bench", "rr", "-n1", "--quick"], {"json"} | WIDE | PSUTIL),
        (["trace", "--json", "127.0.0.1"], JSON_MODULES),
        (["trace", "127.0.0.1"], set()),
        (["conns", "--json"], JSON_MODULES),
        (["conns", "--findings", "--json", "--lport", "1"], JSON_MODULES | PSUTIL),
        (["conns", "--format", "csv"], {"csv", "json"}),
        (["conns"], WIDE),
        (["who", "--json", "1"], JSON_MODULES | PSUTIL),
        (["who", "1"], WIDE | PSUTIL),
        (["map", "--json"], JSON_MODULES),
        (["map"], WIDE),
        (["audit", "--json"], JSON_MODULES),
        (["audit"], JSON_MODULES | WIDE),
        (["map", "--format", "mermaid"], set()),
        (["conns", "--source", "psutil"], WIDE | PSUTIL),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_command_loads_only_what_it_uses(arguments: list[str], allowed: set[str]) -> None:
    status = 2 if "192.0.2.1" in arguments else 1 if arguments[0] == "who" and "1" in arguments else 0
    assert loaded_by(MAIN.format(arguments=arguments), status) <= allowed


WATCH = """
import os
end, pipe = os.pipe()
os.close(end)
sys.stdout = os.fdopen(pipe, "w")
"""


@pytest.mark.parametrize("command", ["conns", "trace"])
def test_watching_by_a_pipe_loads_nothing_that_draws(command: str) -> None:
    code = WATCH + MAIN.format(arguments=[command, "--watch", "3600"])
    assert loaded_by(code, 0) <= JSON_MODULES


def test_a_port_that_is_open_is_checked_with_next_to_nothing() -> None:
    """A container's health check runs every few seconds: what takes a bare Python's start again is not loaded."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        word = f"tcp4:{server.getsockname()[1]}"
        code = f"sys.argv[1:] = ['check', {word!r}, '--wait', '5s']; from lodiag.__main__ import main; status = main()"
        program = PROBE.format(code=code, heavy=[*sorted(HEAVY), "argparse", "enum", "re", "socket", "typing"])
        command = [sys.executable, "-S", "-c", program]
        done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=True)
    assert done.stdout.split() == ["0"]
