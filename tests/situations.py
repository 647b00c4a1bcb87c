"""Taking snapshots of sockets that a test has opened, and finding what was judged of them."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from running import environment

from lodiag.sockets.options import ConnsOptions
from lodiag.sockets.snapshot import take_snapshot
from lodiag.system import System
from lodiag.system.sources import SourceRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import ExitStack

    from lodiag.judge.snapshot import Judgement, Snapshot
    from lodiag.model import Finding
    from lodiag.system.facts import Question, SocketTable

TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM
THIS = os.getpid()
ABORT, ORDERLY = struct.pack("ii", 1, 0), struct.pack("ii", 0, 0)
PATIENCE_S = 20


class Between(System):
    """This machine, on which something happens between the two readings."""

    def __init__(self, act: Callable[[], object]) -> None:
        """``act`` is called once, before the second reading."""
        self._act, self._readings = act, 0

    def list_sockets(self, source: str | None = None, question: Question | None = None) -> SocketTable:
        """Let it happen, if this is the second time."""
        self._readings += 1
        if self._readings > 1:
            self._act()
        return super().list_sockets(source, question)


def take(between: Callable[[], object] | None = None) -> Snapshot:
    """Take a snapshot of this machine, by sock_diag; skip the test where there is none."""
    try:
        System().look_up_socket("tcp", ("127.0.0.1", 1), ("127.0.0.1", 0))
    except SourceRefusedError as refusal:
        pytest.skip(f"this machine has no sock_diag: {refusal}")
    return take_snapshot(System() if between is None else Between(between), ConnsOptions(with_tcp=True)).snapshot


def pick(judgements: Iterable[Judgement], *ports: int) -> list[Finding]:
    """Pick the findings about sockets of which this end has one of these ports."""
    return [j.finding for j in judgements if any(record.local.port in ports for record in j.sockets)]


def told(finding: Finding) -> dict[str, Any]:
    """Give the evidence of a finding by name."""
    return {item.name: item.value for item in finding.evidence}


def bind(opened: ExitStack, address: str = "127.0.0.1", port: int = 0, *, kind: int = TCP, **options: int) -> Any:
    """Bind a socket, with these options of its own level set; skip the test where there is no such address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = opened.enter_context(closing(socket.socket(family, kind)))
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, options.pop("v6only", 1))
    for name, value in options.items():
        sock.setsockopt(socket.SOL_SOCKET, getattr(socket, f"SO_{name.upper()}"), value)
    try:
        sock.bind((address, port))
    except OSError as error:
        pytest.skip(f"no socket at {address} port {port}: {error}")
    return sock


def listen(opened: ExitStack, address: str = "127.0.0.1", port: int = 0, backlog: int = 16, **options: int) -> Any:
    """Bind and listen."""
    sock = bind(opened, address, port, **options)
    sock.listen(backlog)
    return sock


def knock(opened: ExitStack, server: socket.socket, times: int = 1) -> list[socket.socket]:
    """Begin connections to a listener and wait for none; closed, they leave nothing behind."""
    clients = []
    for _ in range(times):
        sock = opened.enter_context(closing(socket.socket(server.family)))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
        sock.settimeout(0)
        sock.connect_ex(server.getsockname())
        clients.append(sock)
    return clients


def connect(opened: ExitStack, server: socket.socket) -> tuple[socket.socket, socket.socket]:
    """Connect to a listener: the client's end and the server's. Closed, they leave nothing behind."""
    client = opened.enter_context(closing(socket.socket(server.family)))
    client.connect(server.getsockname())
    accepted, _ = server.accept()
    for sock in (client, accepted):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
    return client, opened.enter_context(closing(accepted))


def close_orderly(sock: socket.socket) -> None:
    """Close with a FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ORDERLY)
    sock.close()


def fill(sock: socket.socket) -> None:
    """Send until there is no room left at either end."""
    sock.settimeout(0)
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < 0.3:
        try:
            sock.send(bytes(65536))
            quiet_since = time.monotonic()
        except BlockingIOError:
            time.sleep(0.01)


def port_of(sock: socket.socket) -> int:
    """Port of this end."""
    return int(sock.getsockname()[1])


def settle(judge: Callable[[Snapshot], Iterable[Judgement]], *ports: int) -> list[Finding]:
    """Take snapshots until something is found about these ports, or patience ends."""
    patience = time.monotonic() + PATIENCE_S
    while True:
        found = pick(judge(take()), *ports)
        if found or time.monotonic() > patience:
            return found


LISTENER = """
import socket, sys
address, port, reuse = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
if sock.family == socket.AF_INET6:
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
if reuse:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
sock.bind((address, port))
sock.listen()
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def other_service(address: str, port: int, *, reuse: bool = False, remark: str = "") -> Iterator[int]:
    """Let another process listen, of a program that ``remark`` makes a different one; its pid."""
    command = [sys.executable, "-c", f"{LISTENER}\n# {remark}", address, str(port), str(int(reuse))]
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )
    try:
        ready = child.stdout.readline() if child.stdout else ""
        if not ready:
            pytest.skip(f"no other service at {address}: {child.communicate()[1].splitlines()[-1]}")
        yield child.pid
    finally:
        child.communicate()
