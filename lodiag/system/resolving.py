"""What decides how a name becomes an address: /etc/hosts, nsswitch.conf, resolv.conf, and the resolver's own answers.

Of what is in the files, only lines about the names that were asked for are handed up.
"""

from __future__ import annotations

import errno
import os
import socket
import threading
from time import perf_counter_ns
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

HOSTS, NSSWITCH, RESOLV = "/etc/hosts", "/etc/nsswitch.conf", "/etc/resolv.conf"
LOOKUP_S = 1.5
"""A resolver that has not answered by then is waiting for a name server: for files it takes less than 1 ms."""

STUB_SERVERS = "/run/systemd/resolve/resolv.conf"
DNS_PORT = 53
_QUERY = b"\x6c\x6f\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x09localhost\x00\x00\x01\x00\x01"
"""A question for the address of localhost (RFC 1035 4.1), which a name server answers itself (RFC 6761 6.3)."""
DNS_WAIT_S = 0.8
_LARGEST_FILE = 4 << 20


class HostLine(NamedTuple):
    """A line of the hosts file about a name that was asked for."""

    number: int
    address: str
    name: str


class HostsFile(NamedTuple):
    """The hosts file: lines about the names that were asked for, or the errno that keeps it from being read."""

    lines: tuple[HostLine, ...]
    error: str | None
    is_dangling: bool
    is_ended: bool = True
    """Whether its last line is ended, so that lines can be added."""


class Answer(NamedTuple):
    """What the resolver answers: addresses in its order with repetitions, or the name of its error."""

    addresses: tuple[str, ...]
    error: str | None
    took_ms: float


def read_hosts(wanted: Collection[str]) -> HostsFile:
    """Read lines about the names of ``wanted``, in lower case."""
    try:
        text = _read(HOSTS)
    except OSError as error:
        is_dangling = os.path.lexists(HOSTS) and error.errno == errno.ENOENT
        return HostsFile((), errno.errorcode.get(error.errno or 0, str(error)), is_dangling)
    return HostsFile(tuple(_find_lines(text, wanted)), None, is_dangling=False, is_ended=text[-1:] in {"", "\n"})


def _find_lines(text: str, wanted: Collection[str]) -> Iterator[HostLine]:
    for number, line in enumerate(text.splitlines(), 1):
        address, *names = line.partition("#")[0].split() or [""]
        for name in names:
            if name.lower() in wanted:
                yield HostLine(number, address, name.lower())


def read_host_sources() -> tuple[str, ...] | None:
    """Where glibc looks for hosts, in order (nsswitch.conf(5)); ``None`` where that is not told."""
    try:
        text = _read(NSSWITCH)
    except OSError:
        return None
    for line in text.splitlines():
        key, colon, rest = line.partition("#")[0].partition(":")
        if colon and key.strip() == "hosts":
            return tuple(rest.split())
    return None


def read_name_servers() -> tuple[str, ...]:
    """Addresses of the name servers of resolv.conf(5), of which the resolver asks the first three."""
    try:
        text = _read(RESOLV)
    except OSError:
        return ()
    found = [line.split()[1:2] for line in text.splitlines() if line.split()[:1] == ["nameserver"]]
    return tuple(address for words in found for address in words)[:3]


def has_stub_servers() -> bool:
    """Whether systemd-resolved has written down the name servers that its stub asks (systemd-resolved.service(8))."""
    return os.path.exists(STUB_SERVERS)  # noqa: PTH110 - a Path costs a millisecond


def ask_name_server(address: str) -> str | None:
    """Ask a name server for localhost; ``None`` if it answers, or the errno or ``timeout`` that it met instead."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.settimeout(DNS_WAIT_S)
            sock.connect((address, DNS_PORT))
            sock.send(_QUERY)
            sock.recv(512)
    except TimeoutError:
        return "timeout"
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return None


def look_up(name: str, family: str | None = None, *, addrconfig: bool = False, timeout_s: float = LOOKUP_S) -> Answer:
    """Ask the resolver, but do not wait for it for ever: name servers that are gone keep it for half a minute."""
    families = {None: socket.AF_UNSPEC, "ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}
    flags = socket.AI_ADDRCONFIG if addrconfig else 0
    found: list[Answer] = []
    began_ns = perf_counter_ns()

    def ask() -> None:
        try:
            entries = socket.getaddrinfo(name, None, families[family], socket.SOCK_DGRAM, 0, flags)
        except socket.gaierror as error:
            found.append(Answer((), _name_error(error), _since(began_ns)))
        except (UnicodeError, OSError) as error:
            found.append(Answer((), str(error), _since(began_ns)))
        else:
            found.append(Answer(tuple(str(entry[4][0]) for entry in entries), None, _since(began_ns)))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(timeout_s)
    return found[0] if found else Answer((), "timeout", _since(began_ns))


def _name_error(error: socket.gaierror) -> str:
    """Name an error of getaddrinfo(3) as netdb.h does."""
    for name in ("EAI_AGAIN", "EAI_NONAME", "EAI_FAIL", "EAI_NODATA", "EAI_ADDRFAMILY", "EAI_FAMILY", "EAI_SYSTEM"):
        if getattr(socket, name, None) == error.errno:
            return name
    return str(error)


def _since(began_ns: int) -> float:
    return round((perf_counter_ns() - began_ns) / 1e6, 3)


def read_hostname() -> str:
    """Name of this host, as the kernel has it."""
    return socket.gethostname()


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - a Path costs a millisecond
        return file.read(_LARGEST_FILE)
