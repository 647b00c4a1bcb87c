"""An HTTP request to a loopback service: its status, and what its body holds.

Proxies that the environment names are never asked, for they cannot know this host's loopback, and a redirect that
leaves the loopback is not followed.
"""

from __future__ import annotations

import errno
import http.client
import re
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import SplitResult, urljoin, urlsplit

from lodiag.checks.keys import FAMILY, OffLoopbackError, boolean, choice, shorten, text, whole
from lodiag.checks.kinds.tcp import family_of
from lodiag.checks.outcome import WORDS, Answer, Outcome, Target, combine, point_to_doctor, unresolved
from lodiag.limits import LAST_PORT

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Mapping

    from lodiag.checks.keys import Reading
    from lodiag.system import System

PORTS = {"http": 80, "https": 443}
MOST_REDIRECTS = 5
MOST_BYTES = 1_048_576
"""Bytes of a body that are looked at; what is sought stands near its beginning."""
_PIECE = 65_536
LINGER_S = 0.05
"""How long a body is read of which nothing is asked."""
_MOVED = frozenset({301, 302, 303, 307, 308})


class Url(NamedTuple):
    """A URL that was read: its target, and the parts that a request needs."""

    target: Target
    parts: SplitResult
    reading: Reading

    def __str__(self) -> str:
        """Write it as it was given."""
        return self.parts.geturl()


def url(value: Any, reading: Reading) -> Url:  # noqa: ANN401 - as TOML has it
    """Read a URL such as "http://127.0.0.1:8080/healthz"; "//127.0.0.1:8080" is http."""
    given = text(value, reading)
    if not given.isascii() or not given.isprintable() or " " in given:
        message = f"must be a URL in ASCII without blanks, not {shorten(value)}"
        raise ValueError(message)
    if given.startswith("//"):
        given = f"http:{given}"
    try:
        parts = urlsplit(given)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        message = f"must be a URL, not {shorten(value)}: {error}"
        raise ValueError(message) from error
    if parts.scheme not in PORTS or not host or parts.username is not None:
        message = f"must be a URL as in http://127.0.0.1:8080/healthz, not {shorten(value)}"
        raise ValueError(message)
    addresses, unknown = reading.resolve(host)
    return Url(Target(given, host, PORTS[parts.scheme] if port is None else port, addresses, unknown), parts, reading)


def statuses(value: Any, reading: Reading) -> tuple[int, ...]:  # noqa: ANN401 - as TOML has it
    """Read a status or a list of them."""
    found = value if isinstance(value, list) else [value]
    if not found:
        message = "must not be empty"
        raise ValueError(message)
    return tuple(whole(100, 599)(item, reading) for item in found)


def pattern(value: Any, reading: Reading) -> re.Pattern[bytes]:  # noqa: ANN401 - as TOML has it
    """Read a regular expression."""
    try:
        return re.compile(text(value, reading).encode())
    except (re.error, RecursionError, OverflowError) as error:
        message = f"must be a regular expression, not {shorten(value)}: {error}"
        raise ValueError(message) from error


def headers(value: Any, reading: Reading) -> dict[str, str]:  # noqa: ANN401 - as TOML has it
    """Read a table of headers."""
    if isinstance(value, dict):
        found = {name: text(inner, reading) for name, inner in value.items()}
        if all(re.fullmatch(r"[A-Za-z0-9-]+", n) and v.isprintable() and v.isascii() for n, v in found.items()):
            return found
    message = f"must be a table of headers, not {shorten(value)}"
    raise ValueError(message)


TARGET = "url"
KEYS = {
    "url": url,
    "family": FAMILY,
    "method": choice("GET", "HEAD"),
    "status": statuses,
    "body": text,
    "body_regex": pattern,
    "headers": headers,
    "verify": boolean,
}


def verify(settings: Mapping[str, Any]) -> None:
    """Refuse to look for something in a body that is not asked for, and a port that is none."""
    if settings.get("method") == "HEAD" and ("body" in settings or "body_regex" in settings):
        message = 'body has no meaning with method = "HEAD"'
        raise ValueError(message)
    if not 1 <= settings["url"].target.port <= LAST_PORT:
        message = "url must have a port from 1 to 65535"
        raise ValueError(message)


def attempt(settings: Mapping[str, Any], left_s: float, system: System) -> Outcome:
    """Ask each address, one after the other, as clients of a name do."""
    del system
    asked, family = settings["url"], settings.get("family", "any")
    target = asked.target
    ends = [address for address in target.addresses if family in {"any", "both", family_of(address)}]
    if not ends:
        return unresolved(target, family)
    until_s = time.monotonic() + left_s
    answers = []
    for at, address in enumerate(ends):  # one that hangs must leave the others their share of the time
        now_s = time.monotonic()
        answers.append(_ask(address, settings, now_s + (until_s - now_s) / (len(ends) - at)))
    is_odd = any(answer.error in WORDS and answer.error != "ECONNREFUSED" for answer in answers)
    cause = point_to_doctor(target) if is_odd else f"lodiag who {target.port} tells who has the port"
    hint = f"{cause}, and curl -v shows the whole exchange."
    return combine(answers, family, expected=f"status {_name_statuses(settings)}{_describe(settings)}", hint=hint)


def _name_statuses(settings: Mapping[str, Any]) -> str:
    return " or ".join(map(str, settings["status"])) if "status" in settings else "200 to 299"


def _describe(settings: Mapping[str, Any]) -> str:
    body = f", body with {settings['body']!r:.60}" if "body" in settings else ""
    return body + (f", body like {settings['body_regex'].pattern.decode()!r:.60}" if "body_regex" in settings else "")


def _ask(address: str, settings: Mapping[str, Any], until_s: float) -> Answer:
    began_s = time.perf_counter()
    asked: Url = settings["url"]
    port = asked.target.port
    try:
        status, body = _follow(address, asked, settings, until_s)
    except OSError as error:
        code = errno.errorcode.get(error.errno or 0) or ("ETIMEDOUT" if isinstance(error, TimeoutError) else str(error))
        return Answer(address, port, code)
    except OffLoopbackError as error:
        return Answer(address, port, "redirect", words=str(error))
    except _TlsError as error:
        return Answer(address, port, error.word, words=str(error))
    except (http.client.HTTPException, ValueError) as error:
        return Answer(address, port, "no HTTP", words=f"does not speak HTTP: {type(error).__name__}")
    took_ms = (time.perf_counter() - began_s) * 1000
    wrong = next(_judge(status, body, settings), None)
    told = f"not {_name_statuses(settings)}" if wrong == f"status {status}" else wrong
    return Answer(address, port, wrong, took_ms, f"answered {status}{f', {told}' if told else ''}")


def _judge(status: int, body: bytes, settings: Mapping[str, Any]) -> Iterator[str]:
    good = settings.get("status") or range(200, 300)
    if status not in good:
        yield f"status {status}"
    if "body" in settings and settings["body"].encode() not in body:
        yield f"body without {settings['body'][:40]!r}"
    if "body_regex" in settings and not settings["body_regex"].search(body):
        yield f"body unlike {settings['body_regex'].pattern.decode()[:40]!r}"


def _follow(address: str, asked: Url, settings: Mapping[str, Any], until_s: float) -> tuple[int, bytes]:
    """Ask, and follow redirects that stay on the loopback, unless it is a redirect that is wanted."""
    here = asked
    for _ in range(MOST_REDIRECTS + 1):
        status, location, body = _request(address, here, settings, until_s)
        if status not in _MOVED or status in settings.get("status", ()) or location is None:
            return status, body
        there = location
        try:
            there = urljoin(here.parts.geturl(), location)
            here = url(there, asked.reading)
        except ValueError as error:
            why = "is off the loopback" if isinstance(error, OffLoopbackError) else "is no URL of HTTP"
            message = f"redirects to {there[:80]!r}, which {why}: refused"
            raise OffLoopbackError(message) from error
        same = [found for found in here.target.addresses if family_of(found) == family_of(address)]
        if not same:
            message = f"redirects to {there[:80]}, which has no address of the same family"
            raise OffLoopbackError(message)
        address = address if address in same else same[0]
    message = f"redirects more than {MOST_REDIRECTS} times"
    raise OffLoopbackError(message)


def _request(address: str, asked: Url, settings: Mapping[str, Any], until_s: float) -> tuple[int, str | None, bytes]:
    connection = http.client.HTTPConnection(address, asked.target.port, timeout=_left(until_s))
    parts = asked.parts
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    given = {"Host": parts.netloc, "User-Agent": "lodiag", "Accept": "*/*", "Connection": "close"}
    given |= settings.get("headers", {})
    try:
        connection.connect()
        if parts.scheme == "https":
            connection.sock = _secure(connection.sock, asked.target.host, verify=settings.get("verify", True))
        sock = connection.sock
        connection.request(settings.get("method", "GET"), path, headers=given)
        answer = connection.getresponse()
        if "body" in settings or "body_regex" in settings:
            body = _read_body(answer, sock, until_s)
        else:  # to leave at once would be a broken connection to the service; but a stream of events has no end
            with suppress(TimeoutError):
                _read_body(answer, sock, min(until_s, time.monotonic() + LINGER_S))
            body = b""
        return answer.status, answer.getheader("Location"), body
    finally:
        connection.close()


def _read_body(answer: http.client.HTTPResponse, sock: socket.socket, until_s: float) -> bytes:
    body = b""
    while len(body) < MOST_BYTES and not answer.isclosed():
        sock.settimeout(_left(until_s))
        if not (piece := answer.read1(_PIECE)):
            break
        body += piece
    return body


def _secure(sock: socket.socket, host: str, *, verify: bool) -> socket.socket:
    """Speak TLS, and see that the certificate is of this host, unless that is not wanted."""
    import ssl

    context = ssl.create_default_context()
    if not verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        return context.wrap_socket(sock, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        message = f"has a certificate that is not to be trusted: {error.verify_message}"
        raise _CertificateError(message) from error
    except (ssl.SSLError, ValueError) as error:
        message = f"does not speak TLS: {getattr(error, 'reason', None) or error}"
        raise _TlsError(message) from error


class _TlsError(Exception):
    """TLS could not be had."""

    word = "no TLS"


class _CertificateError(_TlsError):
    """The certificate is not to be trusted."""

    word = "certificate"


def _left(until_s: float) -> float:
    left_s = until_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError(errno.ETIMEDOUT, "its time is over")
    return left_s
