"""Reading checks: from a file, from words of the command line, with changes on top; nothing is sent.

Whatever is wrong is a ``ConfigError`` that names the line, and what was probably meant.
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

from lodiag.checks.keys import Reading, choice, guess, is_like, pause, seconds, shorten, text, texts, whole
from lodiag.checks.kinds import KINDS, SHORT, load_kind
from lodiag.checks.source import HINT, Source, read_document, read_table
from lodiag.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import ModuleType

    from lodiag.checks.keys import Reader
    from lodiag.system import System

MOST_STABLE = 1000
DEFAULT_TIMEOUT_S = 2.0
DEFAULT_INTERVAL_S = 0.25
SEVERITIES = {"error": "fail", "warning": "warn"}
"""Words of the file, and of the model."""

_DEFAULTS: dict[str, Reader] = {
    "timeout": pause,
    "wait": seconds,
    "interval": pause,
    "severity": choice(*SEVERITIES),
}
_COMMON: dict[str, Reader] = {**_DEFAULTS, "id": text, "type": text, "stable": whole(1, MOST_STABLE), "needs": texts}


class Check:
    """One check, read and found to be well-formed.

    Attributes:
        id: Its name.
        kind: Name of its kind.
        target: What it checks, as it was given; ``None`` where the kind says it all.
        settings: Values of its kind's keys.
        timeout_s: Seconds that one attempt may take.
        wait_s: Seconds that it may fail before that counts; 0 for one attempt.
        interval_s: Seconds between two attempts.
        severity: ``fail``, or ``warn`` if it need not pass.
        stable: How many times in succession it must pass.
        needs: Names of the checks that must pass before.

    """

    def __init__(self, kind: str, given: Mapping[str, Any], settings: dict[str, Any], target: str | None) -> None:
        """Keep what was read."""
        self.kind, self.settings, self.target = kind, settings, target
        self.id: str = given["id"]
        self.timeout_s: float = given["timeout"]
        self.wait_s: float = given["wait"]
        self.interval_s: float = given["interval"]
        self.severity = SEVERITIES[given["severity"]]
        self.stable: int = given["stable"]
        self.needs: tuple[str, ...] = given["needs"]


def read_checks(
    source: Source | None,
    words: Sequence[str] = (),
    *,
    changes: Sequence[str] = (),
    defaults: Mapping[str, float] | None = None,
    system: System,
) -> list[Check]:
    """Read the checks of a file and those of the command line.

    ``changes`` are ``id.key=value``; ``defaults`` are seconds for what no check says itself.
    """
    document = read_document(source) if source else {}
    tables = _list_tables(source, document) if source else []
    short = [_read_word(word) for word in words]
    taken = Source("the command line", "")
    entries = [(source or taken, at, table) for at, table in enumerate(tables)]
    entries += [(taken, at, table) for at, table in enumerate(short)]
    fallback = document.get("defaults", {})
    if not isinstance(fallback, dict):
        (source or taken).refuse("defaults must be a table", "defaults", hint=HINT)
    _change(entries, fallback, changes)
    read = read_table(source or taken, ("defaults",), fallback, _DEFAULTS, Reading(system))
    common = {"timeout": None, "wait": 0.0, "interval": DEFAULT_INTERVAL_S, "severity": "error", **read}
    common |= defaults or {}
    if not entries:
        message = f"{source.name if source else 'the command line'} holds no check"
        raise ConfigError(message, "Add a [[check]], or give one: lodiag check tcp:8080")
    reading = Reading(system)
    checks = [_read_check(where, at, table, common, reading) for where, at, table in entries]
    _require_different_ids(checks, entries)
    _require_needs(checks, entries)
    return checks


def _list_tables(source: Source, document: Mapping[str, Any]) -> list[dict[str, Any]]:
    tables = document.get("check", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        source.refuse("check must be an array of tables: write [[check]]", "check", hint=HINT)
    return tables


def _read_word(word: str) -> dict[str, Any]:
    """Read a check of the command line: KIND:TARGET, a URL, or KIND alone."""
    kind, colon, rest = word.partition(":")
    if kind in {"http", "https"} and rest.startswith("//"):
        return {"id": word, "type": "http", "url": word}
    name, further = SHORT.get(kind, (kind, {}))
    if name not in KINDS:
        is_port = word.rpartition(":")[2].isdecimal() and not any(is_like(kind, known) for known in (*KINDS, *SHORT))
        meant = f"; did you mean {f'tcp:{word[:40]}'!r}?" if is_port else guess(kind, (*KINDS, *SHORT))
        message = f"{word[:40]!r} is not a check{meant}"
        raise ConfigError(message, "Give it as tcp:8080, tcp:127.0.0.1:5432, http://127.0.0.1:8080/, listen:5432 ...")
    found = {"id": word, "type": name, **further}
    key = load_kind(name).TARGET
    if colon and key is None:
        message = f"{kind} has nothing behind a colon, as {word[:40]!r} has"
        raise ConfigError(message, f"Give it as {kind}, and its keys with --set {kind}.KEY=VALUE.")
    if colon:
        found[key] = rest
    return found


def _change(
    entries: Iterable[tuple[Source, int, dict[str, Any]]], defaults: dict[str, Any], changes: Sequence[str]
) -> None:
    """Set keys of checks, and of the defaults, by ``id.key=value``."""
    named = {str(table.get("id")): table for _, _, table in entries} | {"defaults": defaults}
    for change in changes:
        known = max((name for name in named if change.startswith(f"{name}.")), key=len, default=None)
        if known is not None:  # it may hold dots and equals signs itself, as a URL does
            name, dot, (key, equals, value) = known, ".", change[len(known) + 1 :].partition("=")
        else:
            place, equals, value = change.partition("=")
            name, dot, key = place.rpartition(".")
        if not (equals and dot and key):
            message = f"{change[:60]!r} is not of the form id.key=value"
            raise ConfigError(message, "Give it as --set api-port.wait=30s")
        if name not in named:
            message = f"there is no check {name[:40]!r} to set {key[:40]} of{guess(name, tuple(named))}"
            raise ConfigError(message)
        named[name][key] = _read_value(value)


def _read_value(value: str) -> Any:  # noqa: ANN401 - whatever TOML has
    """Read a value as TOML has it, or as plain text."""
    try:
        return tomllib.loads(f"value = {value}")["value"] if "\n" not in value else value
    except (tomllib.TOMLDecodeError, RecursionError, ValueError, KeyError):
        return value


def _read_check(source: Source, at: int, table: dict[str, Any], common: Mapping[str, Any], reading: Reading) -> Check:
    place = ("check", at)
    for key in ("id", "type"):
        if key not in table:
            near = [name for name in table if name not in _COMMON and is_like(name, key)]
            words = f"; is that what {near[0][:40]!r} should be?" if near else ""
            source.refuse(f"the check has no {key}{words}", *place, *near[:1], hint=HINT)
    kind = table["type"]
    if kind not in KINDS:
        words = guess(kind, KINDS) if isinstance(kind, str) else ""
        source.refuse(f"unknown type {shorten(kind)}{words}", *place, "type", hint=HINT)
    module = load_kind(kind)
    keys = {**_COMMON, **module.KEYS}
    read = {"stable": 1, "needs": (), **common, **read_table(source, place, table, keys, reading)}
    if read["timeout"] is None:
        read["timeout"] = getattr(module, "TIMEOUT_S", DEFAULT_TIMEOUT_S)
    settings = {key: read[key] for key in module.KEYS if key in read}
    _require_complete(source, place, module, settings)
    target = table.get(module.TARGET) if module.TARGET else None
    return Check(kind, read, settings, None if target is None else str(target))


def _require_complete(source: Source, place: tuple[str | int, ...], module: ModuleType, settings: Any) -> None:  # noqa: ANN401
    kind = module.__name__.rpartition(".")[2]
    for key in (*([module.TARGET] if module.TARGET else []), *getattr(module, "REQUIRED", ())):
        if key not in settings:
            source.refuse(f"a check of type {kind} needs {key}", *place, hint=HINT)
    if hasattr(module, "verify"):
        try:
            module.verify(settings)
        except ValueError as error:
            source.refuse(str(error), *place, hint=HINT, cause=error)


def _require_different_ids(checks: Sequence[Check], entries: Sequence[tuple[Source, int, Any]]) -> None:
    seen: dict[str, int] = {}
    for check, (source, at, _) in zip(checks, entries, strict=True):
        if check.id in seen:
            message = f"the id {check.id[:40]!r} is that of another check"
            source.refuse(message, "check", at, "id", hint="Give each check an id of its own.")
        seen[check.id] = at


def _require_needs(checks: Sequence[Check], entries: Sequence[tuple[Source, int, Any]]) -> None:
    """Refuse needs that do not exist, or that need each other."""
    by_id = {check.id: check for check in checks}
    for check, (source, at, _) in zip(checks, entries, strict=True):
        for name in check.needs:
            if name not in by_id:
                message = f"needs names {name[:40]!r}, which is not a check{guess(name, tuple(by_id))}"
                source.refuse(message, "check", at, "needs")
    done: set[str] = set()
    for check, (source, at, _) in zip(checks, entries, strict=True):
        trail, queue = {check.id}, [*check.needs]
        while queue and check.id not in done:
            name = queue.pop()
            if name == check.id:
                source.refuse(f"{check.id[:40]!r} needs itself in the end", "check", at, "needs")
            if name not in trail and name not in done:
                trail.add(name)
                queue += by_id[name].needs
        done.add(check.id)
