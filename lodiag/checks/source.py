"""Reading a file of checks: its text, its tables, and the line of whatever is wrong in it."""

from __future__ import annotations

import sys
import tomllib
from typing import TYPE_CHECKING, Any, NoReturn

from lodiag.checks.keys import guess, shorten
from lodiag.checks.lines import find_line
from lodiag.errors import ConfigError, LodiagError, TargetError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lodiag.checks.keys import Reader, Reading

VERSION = 1
USUAL_FILE = "lodiag.toml"
TABLES = ("schema", "defaults", "check", "audit")
"""What a file may hold; ``audit`` is read by the command of that name."""

MOST_BYTES = 16_777_216
"""As large as a file of checks may be: what is larger is none."""

HINT = "lodiag check --init writes a file that is right."


def read_source(file: str) -> Source:
    """Read a file of checks, or standard input; ``ConfigError`` if that cannot be done."""
    name = "standard input" if file == "-" else file
    try:
        if file == "-":
            data = sys.stdin.buffer.read(MOST_BYTES + 1) if sys.stdin else b""
        else:
            with open(file, "rb") as opened:  # noqa: PTH123 - a Path costs a millisecond
                data = opened.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            message = f"{name[:200]!r} is larger than {MOST_BYTES} bytes"
            raise ConfigError(message, "Give a file of checks.")
        return Source(name, data.decode("utf-8-sig").replace("\r\n", "\n"))
    except UnicodeDecodeError as error:
        message = f"{name[:200]!r} is not text in UTF-8"
        raise ConfigError(message, "TOML is written in UTF-8.") from error
    except (OSError, ValueError) as error:
        message = f"cannot read {name[:200]!r}: {getattr(error, 'strerror', None) or error}"
        raise ConfigError(message, "lodiag check --init writes such a file.") from error


class Source:
    """Where checks come from: a name for messages, and the text to find lines in."""

    def __init__(self, name: str, text: str) -> None:
        """Keep both."""
        self.name, self.text = name, text

    def refuse(
        self, message: str, *place: str | int, hint: str | None = None, cause: Exception | None = None
    ) -> NoReturn:
        """Raise ``ConfigError`` about a place: names of tables, places in arrays of them, and a key."""
        line = find_line(self.text, place) if self.text else None
        where = f"{self.name}, line {line}" if line else self.name
        told = f"{where}: {message}"
        raise ConfigError(told, hint) from cause


def read_document(source: Source) -> dict[str, Any]:
    """Read a file of checks as TOML, and see that it holds nothing that is unknown."""
    try:
        document = tomllib.loads(source.text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        message = f"{source.name} is not TOML: {error or 'it is nested too deeply'}"
        raise ConfigError(message, HINT) from error
    for name in document:
        if name not in TABLES:
            message = f"unknown table or key {name[:40]!r}{guess(name, TABLES)}"
            source.refuse(message, name, hint=HINT)
    version = document.get("schema", VERSION)
    if version != VERSION or isinstance(version, (bool, float)):
        message = f"schema must be {VERSION}, not {shorten(version)}"
        source.refuse(message, "schema", hint="Another version of lodiag wrote this file.")
    return document


def read_table(
    source: Source, place: tuple[str | int, ...], table: Mapping[str, Any], keys: Mapping[str, Reader], reading: Reading
) -> dict[str, Any]:
    """Read the values of a table; ``ConfigError`` for a key that is unknown, or has a value that is not right."""
    found = {}
    for key, value in table.items():
        if key not in keys:
            source.refuse(f"unknown key {key[:40]!r}{guess(key, tuple(keys))}", *place, key)
        try:
            found[key] = keys[key](value, reading)
        except (ValueError, LodiagError) as error:
            is_target = isinstance(error, TargetError)
            hint = error.hint if isinstance(error, LodiagError) else None
            message = f"{key} {'is wrong: ' if is_target else ''}{error}"
            source.refuse(message, *place, key, hint=hint or "Nothing was sent.", cause=error)
    return found
