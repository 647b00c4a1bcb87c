"""What a policy expects of the sockets of this machine: from options such as ``5432=loopback``, and from a file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from lodiag.errors import ConfigError
from lodiag.limits import suggest
from lodiag.model import PROTOS
from lodiag.model.audit import EXPOSURES
from lodiag.options import LAST_PORT

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

USUAL_FILE = "lodiag.toml"
STDIN = "-"
MOST_BYTES = 1 << 20
"""A policy of 10 000 tables has that; more is no policy."""

NONE = "none"
"""Expected of a port on which nothing may listen."""
_LOOPBACK = frozenset(name for name in EXPOSURES if name.startswith("loopback"))
CLASSES = {
    "loopback": _LOOPBACK,
    "wildcard": frozenset(name for name in EXPOSURES if name.startswith("wildcard")),
    "exposed": frozenset(EXPOSURES) - _LOOPBACK,
    NONE: frozenset({NONE}),
    **{name: frozenset({name}) for name in EXPOSURES if name != "wildcard"},
}
"""Words of an expectation, and the exposures that each allows."""

ANY, NEW = "any", "new"
"""Instead of a port: those that no other expectation names; those that the baseline does not have."""
SEVERITIES = {"error": "fail", "warning": "warn"}
KEYS = ("id", "port", "proto", "expect", "owner", "unit", "severity")
_TABLE = re.compile(r"^[ \t]*\[\[[ \t]*audit[ \t]*\]\]", re.MULTILINE)
_HINT = "Write it as PORT[-PORT][/tcp|/udp]=CLASS[,CLASS], such as 5432=loopback, 443/tcp=wildcard or any=loopback."


class Expectation(NamedTuple):
    """What is expected of the sockets on some ports.

    ``ports`` is ``None`` for ``any`` and ``new``, which ``selector`` tells apart. ``allowed`` are exposures, and
    ``none``; ``words`` are how they were written. ``owner`` and ``unit`` are names that each socket must have.
    """

    name: str
    selector: str
    ports: range | None
    proto: str | None
    words: tuple[str, ...]
    allowed: frozenset[str]
    severity: str = "fail"
    owner: str | None = None
    unit: str | None = None


def parse_expectation(text: str) -> Expectation:
    """Read an expectation as an option has it; ``ConfigError`` if it is none."""
    selector, separator, classes = text.partition("=")
    if not separator or not selector.strip():
        message = f"{text[:80]!r} is not an expectation"
        raise ConfigError(message, _HINT)
    try:
        port, _, proto = selector.strip().partition("/")
        return _make(name=selector.strip(), port=port, proto=proto or None, expect=classes.split(","))
    except _WrongError as error:
        message = f"{text[:80]!r} is not an expectation: {error}"
        raise ConfigError(message, _HINT) from None


def read_policy(path: str) -> tuple[Expectation, ...]:
    """Read the ``[[audit]]`` tables of a file; ``ConfigError`` if it cannot be read, or says what is not understood."""
    text = _read(path)
    tables = _parse(path, text).get("audit", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        _refuse(path, 1, "audit must be tables: [[audit]]")
    if not tables:
        _refuse(path, None, "it has no [[audit]] table")
    starts = [text.count("\n", 0, match.end()) + 1 for match in _TABLE.finditer(text)]
    found = []
    for at, table in enumerate(tables):
        line = starts[at] if at < len(starts) else 1
        try:
            found.append(_read_table(table))
        except _WrongError as error:
            _refuse(path, line, str(error))
    names = [item.name for item in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        _refuse(path, 1, f"two tables of audit have the id {twice!r:.60}")
    return tuple(found)


def find_usual() -> str | None:
    """Find the usual file in the working directory; ``None`` if there is none, or it has no table for ``audit``."""
    import os

    if not os.path.isfile(USUAL_FILE):  # noqa: PTH113 - a Path costs a millisecond
        return None
    return USUAL_FILE if _TABLE.search(_read(USUAL_FILE)) else None


class _WrongError(Exception):
    """What is wrong with an expectation."""


def _object(why: str) -> NoReturn:
    raise _WrongError(why)


def _read(path: str) -> str:
    import sys
    from pathlib import Path

    try:
        if path == STDIN:
            raw = sys.stdin.buffer.read(MOST_BYTES + 1)
        else:
            with Path(path).open("rb") as file:
                raw = file.read(MOST_BYTES + 1)
        if len(raw) > MOST_BYTES:
            _refuse(path, None, f"it is longer than {MOST_BYTES} bytes")
        return raw.decode("utf-8")
    except (OSError, ValueError) as error:
        _refuse(path, None, getattr(error, "strerror", None) or str(error))


def _parse(path: str, text: str) -> Mapping[str, Any]:
    import tomllib

    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        _refuse(path, None, str(error) or "it is nested too deeply")


def _refuse(path: str, line: int | None, why: str) -> NoReturn:
    place = f"{path[:200]!r}" + ("" if line is None else f", line {line}")
    message = f"the policy {place} cannot be used: {why[:300]}"
    raise ConfigError(message, "Tables are [[audit]] with port and expect, as in port = 5432 and expect = 'loopback'.")


def _read_table(table: Mapping[str, Any]) -> Expectation:
    for key in table:
        if key not in KEYS:
            _object(f"{key[:40]!r} is no key of audit{suggest(key, KEYS)}")
    for key in ("port", "expect"):
        if key not in table:
            _object(f"an audit table has no {key}")
    port, expect = table["port"], table["expect"]
    if isinstance(port, bool) or not isinstance(port, (int, str)):
        _object("port must be a number, a range such as '8000-8099', 'any' or 'new'")
    words = [expect] if isinstance(expect, str) else expect
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        _object("expect must be a word or a list of words")
    texts = {key: table[key] for key in ("id", "proto", "owner", "unit", "severity") if key in table}
    for key, value in texts.items():
        if not isinstance(value, str) or not value:
            _object(f"{key} must be a text")
    severity = texts.get("severity", "error")
    _require_word("severity", severity, SEVERITIES)
    proto = texts.get("proto")
    found = _make(
        name=texts.get("id") or f"{port}{'' if proto is None else f'/{proto}'}",
        port=str(port),
        proto=proto,
        expect=words,
    )
    return found._replace(severity=SEVERITIES[severity], owner=texts.get("owner"), unit=texts.get("unit"))


def _make(*, name: str, port: str, proto: str | None, expect: Sequence[str]) -> Expectation:
    if proto is not None:
        _require_word("the protocol", proto, PROTOS)
    words = tuple(word.strip() for word in expect)
    if not words:
        _object("nothing is expected")
    for word in words:
        _require_word("the class", word, CLASSES)
    allowed = frozenset().union(*(CLASSES[word] for word in words))
    ports = None if port in {ANY, NEW} else _read_ports(port)
    return Expectation(name, port, ports, proto, words, allowed)


def _read_ports(text: str) -> range:
    match = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", text, re.ASCII)
    if match is None:
        _object(f"{text[:40]!r} is not a port, a range of ports, any or new")
    first, last = int(match[1]), int(match[2] or match[1])
    if not 1 <= first <= last <= LAST_PORT:
        _object(f"ports are from 1 to {LAST_PORT}, not {text[:40]}")
    return range(first, last + 1)


def _require_word(name: str, word: str, words: Collection[str]) -> None:
    if word not in words:
        _object(f"{name} {word[:40]!r} is none of {', '.join(words)}{suggest(word, words)}")
