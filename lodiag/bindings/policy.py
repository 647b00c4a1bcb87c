"""What a policy expects of the sockets of this machine: from options such as ``5432=loopback``, and from a file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from lodiag.checks.keys import Reading, choice, guess, shorten, text, texts
from lodiag.checks.source import Source, read_document, read_source, read_table
from lodiag.errors import ConfigError
from lodiag.limits import LAST_PORT, suggest
from lodiag.model import PROTOS
from lodiag.model.audit import EXPOSURES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lodiag.checks.keys import Reader
    from lodiag.system import System

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
_PORTS = re.compile(r"(\d{1,6})(?:-(\d{1,6}))?", re.ASCII)
_WORDS = {"port": "the port", "expect": "the class", "proto": "the protocol"}
_HINT = "Write it as PORT[-PORT][/tcp|/udp]=CLASS[,CLASS], such as 5432=loopback, 443/tcp=wildcard or any=loopback."
_TABLE_HINT = 'Write [[audit]] with port and expect, as in port = 5432 and expect = "loopback".'


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


def read_expectations(
    words: Sequence[str], file: str | None, *, has_baseline: bool, system: System
) -> list[Expectation]:
    """Read what is expected by options and by a file; ``ConfigError`` if that is not understood, or said twice."""
    found = [
        *(parse_expectation(word, system) for word in words),
        *(read_policy(file, system) if file is not None else ()),
    ]
    names: set[str] = set()
    for item in found:
        if item.name in names:
            message = f"{item.name[:40]!r} is expected twice"
            raise ConfigError(message, "Give all classes that are allowed at once, as in 5432=loopback,none.")
        names.add(item.name)
        if item.selector == NEW and not has_baseline:
            message = "what is new cannot be told without a baseline"
            raise ConfigError(message, "Give an earlier report: --baseline FILE.")
    return found


def parse_expectation(word: str, system: System) -> Expectation:
    """Read an expectation as an option has it; ``ConfigError`` if it is none."""
    selector, _, classes = word.partition("=")
    port, slash, proto = selector.strip().partition("/")
    given: dict[str, Any] = {"port": port, "expect": classes.split(","), **({"proto": proto} if slash else {})}
    values = {}
    for key, value in given.items():
        try:
            values[key] = KEYS[key](value, Reading(system))
        except ValueError as error:
            message = f"{word[:80]!r} is not an expectation: {_WORDS[key]} {error}"
            raise ConfigError(message, _HINT) from error
    return _make(values)


def read_policy(file: str, system: System) -> tuple[Expectation, ...]:
    """Read the ``[[audit]]`` tables of a file; ``ConfigError`` if it cannot be read, or says what is not understood."""
    source = read_source(file)
    document = read_document(source)
    tables = _list_tables(source, document)
    if not tables:
        message = f"{source.name} has no [[audit]] table"
        raise ConfigError(message, _TABLE_HINT)
    severity = document.get("defaults", {}).get("severity", "error")
    found = [_read_table(source, at, table, severity, Reading(system)) for at, table in enumerate(tables)]
    names: set[str] = set()
    for at, item in enumerate(found):
        if item.name in names:
            source.refuse(f"the id {item.name[:40]!r} is that of another table", "audit", at, hint=_TABLE_HINT)
        names.add(item.name)
    return tuple(found)


def has_policy(file: str) -> bool:
    """Whether a file has any ``[[audit]]`` table; ``ConfigError`` if it cannot be read."""
    source = read_source(file)
    return bool(_list_tables(source, read_document(source)))


def _list_tables(source: Source, document: Mapping[str, Any]) -> list[dict[str, Any]]:
    tables = document.get("audit", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        source.refuse("audit must be an array of tables: write [[audit]]", "audit", hint=_TABLE_HINT)
    return tables


def _read_table(source: Source, at: int, table: Mapping[str, Any], severity: str, reading: Reading) -> Expectation:
    values = {"severity": severity, **read_table(source, ("audit", at), table, KEYS, reading)}
    for key in ("port", "expect"):
        if key not in values:
            source.refuse(f"the table has no {key}", "audit", at, hint=_TABLE_HINT)
    return _make(values)


def _make(values: Mapping[str, Any]) -> Expectation:
    selector, proto, words = values["port"], values.get("proto"), values["expect"]
    return Expectation(
        name=values.get("id") or f"{selector}{f'/{proto}' if proto else ''}",
        selector=selector,
        ports=None if selector in {ANY, NEW} else _to_range(selector),
        proto=proto,
        words=words,
        allowed=frozenset().union(*(CLASSES[word] for word in words)),
        severity=SEVERITIES.get(values.get("severity", "error"), "fail"),
        owner=values.get("owner"),
        unit=values.get("unit"),
    )


def _read_port(value: Any, _: Reading) -> str:  # noqa: ANN401 - as TOML has it
    """Read a port, a range of them, ``any`` or ``new``."""
    name = str(value).strip() if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
    if name in {ANY, NEW}:
        return name
    ports = _to_range(name) if _PORTS.fullmatch(name) else range(0)
    if ports and ports.start >= 1 and ports.stop - 1 <= LAST_PORT:
        return name
    close = suggest(name, (ANY, NEW))
    message = f'must be from 1 to {LAST_PORT}, a range as "8000-8099", "any" or "new", not {shorten(value)}{close}'
    raise ValueError(message)


def _to_range(name: str) -> range:
    first, _, last = name.partition("-")
    return range(int(first), int(last or first) + 1)


def _read_classes(value: Any, reading: Reading) -> tuple[str, ...]:  # noqa: ANN401 - as TOML has it
    """Read one class or several."""
    words = tuple(word.strip() for word in texts(value, reading))
    for word in words:
        if word not in CLASSES:
            message = f"must be a way to be bound, not {shorten(word)}{guess(word, CLASSES)}"
            raise ValueError(message)
    return words


KEYS: dict[str, Reader] = {
    "id": text,
    "port": _read_port,
    "proto": choice(*PROTOS),
    "expect": _read_classes,
    "owner": text,
    "unit": text,
    "severity": choice(*SEVERITIES),
}
