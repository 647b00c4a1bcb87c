"""Real services, of Debian's packages: how they are bound, who they are, and what becomes of them when they end."""

from __future__ import annotations

import os
import signal
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest
from serving import PATIENCE_S, answers, serve

from lodiag.audit import audit_bindings
from lodiag.conns import list_connections
from lodiag.who import find_answerer

if TYPE_CHECKING:
    from lodiag.model import Report

PROCESSES = {"redis": "redis-server", "nginx": "nginx", "postgres": "postgres"}
SOFTWARE = {"redis": "Redis", "nginx": "nginx", "postgres": "PostgreSQL"}
LOOPBACK, WILDCARD = "127.0.0.1", "0.0.0.0"
SETTINGS = {"redis": "bind 127.0.0.1", "nginx": "listen 127.0.0.1:PORT", "postgres": "listen_addresses = 'localhost'"}


@pytest.fixture(params=PROCESSES)
def name(request: pytest.FixtureRequest) -> str:
    """Name each of the services."""
    return str(request.param)


def of_port(report: Report[Any, Any], port: int) -> list[Any]:
    return [row for row in report.records if row.local.port == port]


def names(row: Any) -> set[str | None]:
    return {owner.process for owner in row.owners}


def test_on_the_loopback(name: str) -> None:
    """It is recognised and kept to the loopback; and once it is stopped, nothing is left that answers."""
    with serve(name, LOOPBACK) as (port, pid):
        report = audit_bindings(expect=[f"{port}=loopback"])
        (row,) = of_port(report, port)
        assert (row.exposure, row.software, row.identified_by) == ("loopback-ipv4", SOFTWARE[name], "process")
        assert pid in {owner.pid for owner in row.owners}
        assert report.exit_status == 0

        found = find_answerer(port, proto="tcp")
        answering = {row.address: row for row in found.records if row.answered}
        assert set(answering) == {LOOPBACK}
        assert names(answering[LOOPBACK].socket) == {PROCESSES[name]}
        (row,) = of_port(list_connections(states={"listen"}), port)
        assert names(row) == {PROCESSES[name]}

    report = audit_bindings(expect=[f"{port}=loopback"])
    assert of_port(report, port) == []
    (finding,) = [found for found in report.findings if found.subject == str(port)]
    assert (finding.code, finding.severity, report.exit_status) == ("expectation", "fail", 1)
    assert "nothing listens there" in finding.message
    assert find_answerer(port, proto="tcp").exit_status == 1


def test_on_every_address(name: str) -> None:
    with serve(name, WILDCARD) as (port, _):
        report = audit_bindings(expect=[f"{port}=loopback"])
        (row,) = of_port(report, port)
        assert (row.exposure, row.exposed, row.software) == ("wildcard-ipv4", True, SOFTWARE[name])
        (finding,) = [found for found in report.findings if found.subject == str(port)]
        assert (finding.code, finding.severity) == ("expectation", "fail")
        assert SETTINGS[name] in (finding.hint or "")

        report = audit_bindings()
        (finding,) = [found for found in report.findings if f":{port}" in found.subject]
        expected = ("exposed-without-authentication", "warn") if name == "redis" else ("exposed", "info")
        assert (finding.code, finding.severity) == expected
        assert SETTINGS[name] in (finding.hint or "")


def test_workers_share_a_socket() -> None:
    """All are told, once they have begun; the master answers before that."""
    with serve("nginx", LOOPBACK) as (port, pid):
        pids: list[int] = []
        patience = time.monotonic() + PATIENCE_S
        while len(pids) < 3 and time.monotonic() < patience:
            (row,) = of_port(audit_bindings(), port)
            pids = [owner.pid for owner in row.owners]
        assert len(pids) == 3
        assert pids[0] == pid


def test_one_that_is_killed_while_a_client_talks_to_it() -> None:
    """Its listener is gone at once, and the client's end is told to wait for its process."""
    with serve("redis", LOOPBACK) as (port, pid), socket.create_connection((LOOPBACK, port)) as client:
        client.sendall(b"PING\r\n")
        assert client.recv(7) == b"+PONG\r\n"
        (row,) = of_port(audit_bindings(), port)
        assert (row.peers, row.local_peers) == (1, 1)
        os.kill(pid, signal.SIGKILL)
        assert client.recv(1) == b""
        while answers(LOOPBACK, port):
            pass
        own = client.getsockname()[1]
        (end,) = [row for row in of_port(list_connections(), own) if row.remote]
        assert end.state == "close-wait"
        assert {owner.pid for owner in end.owners} == {os.getpid()}
        assert find_answerer(port, proto="tcp").exit_status == 1
