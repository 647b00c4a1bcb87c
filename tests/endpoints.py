"""Services that tests of ``check`` ask: real ones, on loopback ports that nobody else has."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator


@contextmanager
def listening(address: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """Listen on a port, and give it; nobody accepts what comes."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, port), family=family, backlog=64) as server:
        yield server.getsockname()[1]


@contextmanager
def reserved(address: str = "127.0.0.1", kind: int = socket.SOCK_STREAM) -> Iterator[socket.socket]:
    """Hold a port on which nothing listens, so that no one else takes it; ``listen`` opens it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, kind) as sock:
        sock.bind((address, 0))
        yield sock


def port_of(sock: socket.socket) -> int:
    """Port of a socket."""
    return int(sock.getsockname()[1])


@contextmanager
def answering(respond: Callable[[bytes], bytes]) -> Iterator[int]:
    """Answer datagrams on a port, and give it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(0.05)
        is_over = threading.Event()

        def answer() -> None:
            while not is_over.is_set():
                try:
                    data, peer = sock.recvfrom(4096)
                except TimeoutError:
                    continue
                sock.sendto(respond(data), peer)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield port_of(sock)
        finally:
            is_over.set()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.seen.append((self.path, dict(self.headers)))  # type: ignore[attr-defined]
        status, headers, body = self.server.pages.get(self.path, (404, {}, b""))  # type: ignore[attr-defined]
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 - likewise

    def log_message(self, *_: object) -> None:
        """Say nothing."""


Pages = dict[str, tuple[int, dict[str, str], bytes]]
Seen = list[tuple[str, dict[str, str]]]


CERTIFICATE = """
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgzXUU7uBGn7b3v9t0
26+hRyD5AgWeTSBF/W2CGz2DD9GhRANCAATaZwqHU2ECmJEjcqc55L2ZhbTzdR/U
XhFrb6YwVo0T3FldklJrWrJhpkyto+NctsTd1JJERscPns2I8Z+mjBrb
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBmzCCAUGgAwIBAgIUG4QK5eoSBeZGFa4a1z4wY5EliJUwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyNDE1MzAyMFoYDzIxMjYxMDMx
MTUzMDIwWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAATaZwqHU2ECmJEjcqc55L2ZhbTzdR/UXhFrb6YwVo0T3FldklJrWrJh
pkyto+NctsTd1JJERscPns2I8Z+mjBrbo28wbTAdBgNVHQ4EFgQU2fio8xKDtbIZ
QTBEszjskvy2PS4wHwYDVR0jBBgwFoAU2fio8xKDtbIZQTBEszjskvy2PS4wDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDSAAwRQIhANS+G0QOmBKu9L4UxjsfVDff08PnkQKXxV/CGRmNMGlkAiAT
KE3Vfp/uu5RijECPvAEoeAaU1rrQGDfPD4vhk6erDQ==
-----END CERTIFICATE-----
"""
"""Of localhost and 127.0.0.1, signed by itself, with its key; made for these tests."""


@contextmanager
def serving(pages: Pages, context: ssl.SSLContext | None = None) -> Iterator[tuple[int, Seen]]:
    """Serve pages by HTTP, with a context by HTTPS; give the port, and the list of requests that came."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.pages, server.seen = pages, []  # type: ignore[attr-defined]
        server.daemon_threads = True
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server.server_address[1], server.seen  # type: ignore[attr-defined]
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def mute() -> Iterator[int]:
    """Accept connections on a port, and send nothing, ever."""
    with lasting(b"") as port:
        yield port


@contextmanager
def lasting(greeting: bytes, server: socket.socket | None = None) -> Iterator[int]:
    """Accept connections on a port, send a greeting to each, and nothing more, ever."""
    kept: list[socket.socket] = []
    with server or socket.create_server(("127.0.0.1", 0)) as opened:

        def accept() -> None:
            while True:
                try:
                    kept.append(opened.accept()[0])
                    kept[-1].sendall(greeting)
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield opened.getsockname()[1]
        finally:
            opened.shutdown(socket.SHUT_RDWR)
            for sock in kept:
                sock.close()


def wait_until(is_so: Callable[[], bool], patience_s: float = 20.0) -> None:
    """Wait for a condition, for so long at most."""
    until = time.monotonic() + patience_s
    while not is_so():
        assert time.monotonic() < until, "what was waited for did not come"
        time.sleep(0.01)


def has_threads(pid: int) -> bool:
    """Whether a ``lodiag check`` has begun to attempt."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:  # noqa: PTH123 - one line
            return any(line.startswith("Threads:") and int(line.split()[1]) > 1 for line in file)
    except OSError:
        return False
