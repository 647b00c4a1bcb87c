"""``bench --against``: services made for real, each with another way to end an answer."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from running import assert_refused, require_loopback, run_json, run_lodiag

from lodiag import bench_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lodiag.model import Report
    from lodiag.model.bench import BenchRecord, BenchSummary

PIECE = 65_536


def serve(listener: socket.socket, answer: Callable[[bytes], bytes | None], *, closes: bool) -> None:
    """Answer what comes, connection after connection; ``None`` is no answer."""
    while True:
        try:
            sock, _ = listener.accept()
        except OSError:  # closed
            return
        with sock:
            try:
                while asked := sock.recv(PIECE):
                    told = answer(asked)
                    if told is None:
                        continue
                    sock.sendall(told)
                    if closes:
                        break
            except OSError:
                continue


@pytest.fixture
def service() -> Iterator[Callable[..., int]]:
    """Start services that answer as they are told; gives their ports."""
    opened: list[tuple[socket.socket, threading.Thread]] = []

    def start(answer: Callable[[bytes], bytes | None], *, closes: bool = False, address: str = "127.0.0.1") -> int:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listener = socket.create_server((address, 0), family=family)
        thread = threading.Thread(target=serve, args=(listener, answer), kwargs={"closes": closes}, daemon=True)
        thread.start()
        opened.append((listener, thread))
        return int(listener.getsockname()[1])

    yield start
    for listener, thread in opened:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def measure(port: int, request: str = "auto", address: str = "127.0.0.1") -> Report[BenchRecord, BenchSummary]:
    """Measure a service for a moment."""
    name = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    return bench_loopback(against=name, request=request, time_s=0.04, quick=True)


def find(report: Report[BenchRecord, BenchSummary], test: str, port: int | None) -> BenchRecord | None:
    """Give the record of a test, of the service or with ``None`` of the stack."""
    return next((record for record in report.records if (record.test, record.port) == (test, port)), None)


PAGES: dict[str, tuple[bytes, bool]] = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", False),
    "chunked": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", False),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", False),
    "closed": (b"HTTP/1.0 200 OK\r\n\r\nhello", True),
    "close": (b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", True),
    "large": (b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + bytes(300_000), False),
}


@pytest.mark.parametrize("name", PAGES)
def test_http_is_read_to_its_end(name: str, service: Callable[..., int]) -> None:
    page, closes = PAGES[name]
    port = service(lambda _: page, closes=closes)
    report = measure(port)
    assert report.exit_status == 0
    request, stack = find(report, "request", port), find(report, "request", None)
    assert request is not None
    assert stack is not None
    assert (request.error, request.status_line) == (None, page.partition(b"\r\n")[0].decode())
    assert request.transactions
    assert stack.transactions
    assert stack.size_bytes == request.size_bytes
    assert report.summary.verdict is not None
    connect = find(report, "connect", port)
    assert connect is not None
    assert connect.transactions


@pytest.mark.parametrize("request_kind", ["auto", "echo"])
def test_echo(request_kind: str, service: Callable[..., int]) -> None:
    port = service(lambda asked: asked)
    report = measure(port, request_kind)
    request = find(report, "request", port)
    assert request is not None
    assert (request.status_line, request.error) == ("echo", None)


@pytest.mark.parametrize("answer", [lambda _: b"-ERR unknown\r\n", lambda _: b"*"])
def test_another_protocol_is_connected_to_alone(
    answer: Callable[[bytes], bytes | None], service: Callable[..., int]
) -> None:
    port = service(answer, closes=True)
    report = measure(port)
    assert {record.test for record in report.records} == {"connect"}
    assert "take a connection" in (report.summary.verdict or "")
    assert {record.test for record in measure(port, "none").records} == {"connect"}


def test_a_service_that_keeps_silent_is_told(service: Callable[..., int]) -> None:
    port = service(lambda _: None)
    report = measure(port, "http")
    request = find(report, "request", port)
    assert request is not None
    assert request.error == "timeout"
    assert [f.code for f in report.findings if f.severity == "fail"] == ["service-unanswering"]


def test_over_ipv6(service: Callable[..., int]) -> None:
    require_loopback("::1")
    port = service(lambda asked: asked, address="::1")
    report = measure(port, address="::1")
    assert {record.address for record in report.records} == {"::1"}
    assert report.exit_status == 0


def test_the_service_itself_does_not_interfere() -> None:
    busy = """if True:
        import http.server, threading
        threading.Thread(target=lambda: all(iter(lambda: True, False)), daemon=True).start()
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
        print(server.server_port)
        server.serve_forever()
    """
    words = [sys.executable, "-uc", busy]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            report = run_json("bench", "--against", str(port), "-t", "0.2")
        finally:
            server.kill()
    assert report["records"]
    assert server.pid not in {item["pid"] for item in report["summary"]["interference"]}


def test_where_nothing_listens() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        report = measure(port)
    assert report.exit_status == 1
    codes = {finding.code for finding in report.findings if finding.severity == "fail"}
    assert codes == {"service-unanswering"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--against", "192.0.2.1:80"], "not on the loopback"),
        (["--against", "x"], "is not a port"),
        (["--against", "80", "-P", "2", "stream"], "one at a time"),
        (["--against", "80", "--baseline", "x"], "one at a time"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: list[str], words: str) -> None:
    assert_refused(run_lodiag("bench", *arguments), words)
