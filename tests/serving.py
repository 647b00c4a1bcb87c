"""Real services from Debian's packages, started by the tests as their own children and ended by their pid."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PATIENCE_S = 30
ATTEMPTS = 3
OTHER_USER = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
"""PostgreSQL refuses to run as root."""


def find(program: str, *folders: str) -> str:
    """Find a program, or skip the test."""
    places = [str(path) for folder in folders for path in sorted(Path("/").glob(folder.lstrip("/")))]
    found = shutil.which(program) or shutil.which(program, path=os.pathsep.join(["/usr/sbin", *places]))
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


def free_port() -> int:
    """Find a port that nobody has at any address; a service that finds it taken meanwhile is started at another."""
    with socket.socket() as probe:
        probe.bind(("0.0.0.0", 0))
        return int(probe.getsockname()[1])


def answers(address: str, port: int) -> bool:
    """Whether something accepts connections."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.settimeout(1)
        return probe.connect_ex((address, port)) == 0


@contextmanager
def run(command: Sequence[str], folder: Path, address: str, port: int) -> Iterator[int]:
    """Run a service until the end of the context; its pid, once it answers."""
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        patience = time.monotonic() + PATIENCE_S
        while not answers(address, port):
            if child.poll() is not None or time.monotonic() > patience:
                raise RuntimeError((folder / "log").read_text(errors="replace")[-2000:])
            time.sleep(0.02)
        yield child.pid
    finally:
        child.terminate()
        try:
            child.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def make_redis(folder: Path, bound: Sequence[str], port: int) -> list[str]:
    """Write the command of a Redis that keeps nothing."""
    del folder
    return [
        find("redis-server"),
        *("--port", str(port), "--bind", *bound, "--save", "", "--appendonly", "no", "--daemonize", "no"),
    ]


def make_nginx(folder: Path, bound: Sequence[str], port: int) -> list[str]:
    """Write the configuration of an nginx with two workers, and its command."""
    listens = "".join(f"listen {f'[{address}]' if ':' in address else address}:{port};" for address in bound)
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"worker_processes 2; daemon off; pid {folder}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {paths} server {{ {listens} return 200 'well\\n'; }} }}\n"
    )
    return [find("nginx"), "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")]


def make_postgres(folder: Path, bound: Sequence[str], port: int) -> list[str]:
    """Make a cluster of databases, and the command of its PostgreSQL."""
    server, init = (find(name, "/usr/lib/postgresql/*/bin") for name in ("postgres", "initdb"))
    prefix: tuple[str, ...] = ()
    if os.geteuid() == 0:
        find("setpriv")
        prefix = OTHER_USER
        os.chown(folder, 65534, 65534)
    data = folder / "data"
    if not data.exists():
        made = subprocess.run(
            [*prefix, init, "-D", str(data), "-A", "trust", "-U", "postgres", "--no-sync", "--no-locale", "-E", "UTF8"],
            check=False,
            capture_output=True,
            text=True,
            cwd=folder,
        )
        assert made.returncode == 0, made.stderr
    options = {"listen_addresses": ",".join(bound), "unix_socket_directories": "", "fsync": "off"}
    settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    return [*prefix, server, "-D", str(data), "-p", str(port), *settings]


MAKERS = {"redis": make_redis, "nginx": make_nginx, "postgres": make_postgres}


@contextmanager
def serve(name: str, *bound: str, at: str = "127.0.0.1") -> Iterator[tuple[int, int]]:
    """Serve ``name`` at addresses until the end of the context; its port and its pid, once it answers ``at``."""
    # Not pytest's folder, which another user may not enter.
    with TemporaryDirectory(prefix="lodiag-") as own, ExitStack() as stack:
        folder = Path(own)
        for attempt in range(ATTEMPTS):
            port = free_port()
            try:
                pid = stack.enter_context(run(MAKERS[name](folder, bound, port), folder, at, port))
            except RuntimeError as error:
                if "in use" not in str(error) or attempt + 1 == ATTEMPTS:
                    raise
            else:
                yield port, pid
                return
