"""Checking values that a caller gave: one clear sentence for each that is out of range."""

from __future__ import annotations

from lodiag.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

SOURCES = {"sock_diag": "netlink", "proc": "procnet", "psutil": "portable"}
"""Where sockets are read, best first: Linux's netlink, Linux's /proc/net, and what every system has. The name of each,
and the module of ``lodiag.system`` whose ``list_sockets`` does."""
LAST_PORT = 65_535
UNITS = {"us": 1e-6, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
"""What may follow a number of time, in seconds."""

SHORT = 3
"""Letters of a word of which one may be wrong for more than its likeness says."""

LONGEST_S = 86_400.0
"""The longest that any wait may be asked to last: a day."""


def require_between(name: str, value: float, least: float, most: float, unit: str = "") -> None:
    """Raise ``ConfigError`` unless ``value`` is a number from ``least`` to ``most``; nan is in no range."""
    _require_number(name, value, float)
    if least <= value <= most:
        return
    suffix = f" {unit}" if unit else ""
    message = f"{name} must be from {_shorten(least)} to {_shorten(most)}{suffix}, not {_shorten(value)}"
    raise ConfigError(message)


def require_seconds(name: str, value: float, *, least: float = 0, or_zero: bool = False) -> None:
    """Raise ``ConfigError`` unless ``value`` is more than 0, from ``least`` to a day; or 0, where that is allowed."""
    _require_number(name, value, float)
    if (value > 0 and least <= value <= LONGEST_S) or (or_zero and value == 0):
        return
    bounds = f"from {least:g} to" if least else "more than 0 and at most"
    message = f"{name} must be {'0, or ' if or_zero else ''}{bounds} {LONGEST_S:g} seconds, not {_shorten(value)}"
    raise ConfigError(message)


def require_whole(name: str, value: int, least: int, most: int, unit: str = "") -> None:
    """Raise ``ConfigError`` unless ``value`` is a whole number from ``least`` to ``most``."""
    _require_number(name, value, int)
    require_between(name, value, least, most, unit)


def _require_number(name: str, value: float, kind: type[int | float]) -> None:
    """Raise ``ConfigError`` for what only a caller without a type checker can pass."""
    if isinstance(value, bool) or not isinstance(value, (int, kind)):
        words = "a whole number" if kind is int else "a number"
        message = f"{name} must be {words}, not {value!r:.40}"
        raise ConfigError(message)


def require_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise ``ConfigError`` unless ``value`` is one of ``choices``."""
    if value not in choices:
        message = f"{name} must be one of {', '.join(choices)}, not {value!r}{suggest(value, choices)}"
        raise ConfigError(message)


def suggest(text: str, known: Iterable[str]) -> str:
    """Ask for what is likely meant by ``text``, if anything known is like it; to be put at the end of a complaint."""
    from difflib import get_close_matches

    words = list(known)
    cutoff = 0.6 if len(text) >= SHORT else 0.5  # one letter of two is half of it
    found = (get_close_matches(word, words, 1, cutoff) for word in (text[:40], text[:40].lower()))
    close = next(filter(None, found), None)
    return f"; did you mean {close[0]}?" if close else ""


def _shorten(value: float) -> str:
    digits = str(value).removesuffix(".0")
    return digits if len(digits) <= 20 else f"{digits[:20]}..."  # noqa: PLR2004 - enough to recognise it by
