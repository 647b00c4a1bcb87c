"""Tests that need a service: a fixture starts it, and waits until it answers rather than for some seconds."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lodiag import run_checks

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_S = 30.0


def find_free_port() -> int:
    """Find a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def service() -> Iterator[int]:
    """Start the service, and give its port once it answers there, and nowhere but on the loopback."""
    port = find_free_port()
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:  # noqa: S603
        try:
            report = run_checks(
                f"http://127.0.0.1:{port}/",
                f"listen:{port}",
                changes=[f"listen:{port}.exposed=false"],
                wait_s=PATIENCE_S,
                interval_s=0.05,
            )
            if report.exit_status:
                pytest.fail(report.summary.verdict)
            yield port
        finally:
            process.terminate()


def test_the_service_answers(service: int) -> None:
    """It is there at once: the fixture has waited."""
    connection = http.client.HTTPConnection("127.0.0.1", service, timeout=10)
    connection.request("GET", "/")
    assert connection.getresponse().status == http.HTTPStatus.OK  # noqa: S101 - a test
    connection.close()
