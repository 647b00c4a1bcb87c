"""Running lodiag as its users do, and building broken worlds for it in network namespaces."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOBODY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--bounding-set=-all")
UNPRIVILEGED_HERE = ("setpriv", "--bounding-set=-all")
LO_UP = "ip link set lo up"
_GROUPS = "/proc/sys/net/ipv4/ping_group_range"
ALLOW_ICMP_DATAGRAM = f"{{ echo 0 2147483647 > {_GROUPS} || echo 0 0 > {_GROUPS}; }} 2>/dev/null\n"
"""Shell line that lets every group open ICMP datagram sockets; a user namespace may know group 0 only."""
CANNOT_SET_UP = 77
REQUIRE_WORLDS = "LODIAG_TEST_REQUIRE_WORLDS"
"""Set by CI where it is root on Linux: a test that needs a namespace then fails instead of being skipped."""

SECCOMP = """
import ctypes, os, platform, struct, sys
calls = {"netlink": {"x86_64": 41, "aarch64": 198}, "stamps": {"x86_64": 54, "aarch64": 208}}      # socket, setsockopt
wanted = {"netlink": [(16, 16)], "stamps": [(24, 1), (32, 37)]}    # AF_NETLINK; SOL_SOCKET, SO_TIMESTAMPING
refused = sys.argv.pop(1)
compared = [(0, calls[refused][platform.machine()]), *wanted[refused]]
program = []
for at, (offset, value) in enumerate(compared):
    program.append((0x20, 0, 0, offset))                               # load the call's number, or an argument
    program.append((0x15, 0, 2 * (len(compared) - at) - 1, value))     # another value: allow
program.append((0x06, 0, 0, 0x00050000 | 1))                           # SECCOMP_RET_ERRNO, EPERM
program.append((0x06, 0, 0, 0x7FFF0000))                               # SECCOMP_RET_ALLOW
code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in program))
libc = ctypes.CDLL(None, use_errno=True)
filter = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(code)))
assert libc.prctl(38, 1, 0, 0, 0) == 0                              # PR_SET_NO_NEW_PRIVS
assert libc.prctl(22, 2, ctypes.byref(filter), 0, 0) == 0           # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
os.execv(sys.executable, [sys.executable, "-m", "lodiag", *sys.argv[1:]])
"""
"""Run lodiag where a sandbox refuses netlink, as those of containers may, or the kernel's timestamps."""

Done = subprocess.CompletedProcess[str]


def environment(**changes: str) -> dict[str, str]:
    """Environment for a run: this checkout first, nothing that changes Python's behaviour."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **changes}


def run_lodiag(*arguments: str, timeout_s: float = 30, env: dict[str, str] | None = None) -> Done:
    """Run ``lodiag`` with these arguments in a process of its own."""
    return _run([sys.executable, "-m", "lodiag", *arguments], timeout_s, env)


def run_json(*arguments: str) -> dict[str, Any]:
    """Run ``lodiag ... --json`` and parse what it prints, whatever its exit status."""
    done = run_lodiag(*arguments, "--json")
    return parse(done)


def parse(done: Done) -> dict[str, Any]:
    """Parse the report that a run printed; nothing else may be on standard output."""
    assert done.returncode in {0, 1}, done.stderr
    assert done.stdout, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def run_in_world(
    setup: str, *arguments: str, as_nobody: bool = False, timeout_s: float = 30, command: tuple[str, ...] | None = None
) -> Done:
    """Run lodiag (or ``command``) in a fresh network namespace, after the shell lines of ``setup``.

    In a fresh namespace ``lo`` is down and there is nothing else. ``as_nobody`` drops every capability, and
    the user too where we are root. Skips the test, with the reason, where the machine has no such namespaces.
    """
    for program in ("unshare", "ip", *(["nft"] if "nft " in setup else []), *(["setpriv"] if as_nobody else [])):
        if shutil.which(program) is None:
            skip_world(f"{program} is not installed")
    reason = why_no_namespaces()
    if reason:
        skip_world(reason)
    wanted = command or (sys.executable, "-m", "lodiag", *arguments)
    if as_nobody:
        if os.geteuid() == 0:
            require_readable_python()
        wanted = (*(NOBODY if os.geteuid() == 0 else UNPRIVILEGED_HERE), *wanted)
    script = f"set -e\ntrap 'exit {CANNOT_SET_UP}' EXIT\n{setup}\nexec {shlex.join(wanted)}"
    done = _run([*_unshare(), "sh", "-c", script], timeout_s, None)
    if done.returncode == CANNOT_SET_UP:
        skip_world(f"this world cannot be had here: {done.stderr.strip()}")
    return done


def rules(hook: str, *matches: str, family: str = "inet") -> str:
    """Bring lo up and filter at this hook of netfilter."""
    chain = f"nft 'add table {family} t; add chain {family} t c {{ type filter hook {hook} priority 0; }}'"
    return "\n".join([LO_UP, chain, *(f"nft 'add rule {family} t c {match}'" for match in matches)])


def require_loopback(address: str) -> None:
    """Skip the test where this machine has no such address, as containers often have no ::1."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((address, 0))
        except OSError as error:
            pytest.skip(f"this machine has no {address}: {error.strerror}")


def assert_refused(done: Done, words: str) -> None:
    """Exit 2, nothing on stdout, and on stderr one sentence, between a usage line and a hint at most."""
    lines = done.stderr.splitlines()
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert [line for line in lines if ": error [" in line and words in line], done.stderr
    assert all(line.startswith(("usage: ", "lodiag ", "hint: ")) for line in lines), done.stderr
    assert sum(": error [" in line for line in lines) == 1
    assert sum(line.startswith("hint: ") for line in lines) <= 1
    assert "\x1b" not in done.stderr


def run_as_nobody(*arguments: str, timeout_s: float = 30) -> Done:
    """Run lodiag without any capability, and as another user where we are root."""
    if shutil.which("setpriv") is None:
        skip_world("setpriv is not installed")
    if os.geteuid() == 0:
        require_readable_python()
    prefix = NOBODY if os.geteuid() == 0 else ()
    return _run([*prefix, sys.executable, "-m", "lodiag", *arguments], timeout_s, None)


def run_without_netlink(*arguments: str) -> Done:
    """Run lodiag under a sandbox that refuses netlink."""
    return _run_without("netlink", *arguments)


def run_without_stamps(*arguments: str) -> Done:
    """Run lodiag under a sandbox that refuses the kernel's timestamps."""
    return _run_without("stamps", *arguments)


def _run_without(refused: str, *arguments: str) -> Done:
    if sys.platform != "linux" or os.uname().machine not in {"x86_64", "aarch64"}:
        pytest.skip("the sandbox is written for Linux on two kinds of machines")
    return _run([sys.executable, "-c", SECCOMP, refused, *arguments], 30, None)


def skip_world(reason: str) -> None:
    """Skip the test, or fail it where CI says that nothing may be skipped."""
    if os.environ.get(REQUIRE_WORLDS):
        pytest.fail(f"must run here, but: {reason}")
    pytest.skip(reason)


@cache
def why_no_namespaces() -> str | None:
    """Why no network namespace can be made here; ``None`` if one can."""
    done = subprocess.run([*_unshare(), "sh", "-c", LO_UP], capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else f"no network namespace: {done.stderr.strip()}"


@cache
def _can_nobody_run_python() -> bool:
    command = [*NOBODY, sys.executable, "-c", "import lodiag, psutil"]
    return subprocess.run(command, capture_output=True, env=environment(), check=False).returncode == 0


def require_readable_python() -> None:
    """Skip the test if another user cannot run this Python or read this checkout."""
    if not _can_nobody_run_python():
        skip_world(f"uid 65534 cannot run {sys.executable} or read {ROOT}")


def _unshare() -> tuple[str, ...]:
    return ("unshare", "-n") if os.geteuid() == 0 else ("unshare", "-Urn")


def _run(command: list[str], timeout_s: float, env: dict[str, str] | None) -> Done:
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env=env or environment(),
        stdin=subprocess.DEVNULL,
        cwd="/",
        check=False,
    )
