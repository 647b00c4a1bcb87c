"""Checking values that a caller gave: one clear sentence for each that is out of range."""

from __future__ import annotations

from lodiag.errors import ConfigError

LONGEST_S = 86_400.0
"""The longest that any wait may be asked to last: a day."""


def require_between(name: str, value: float, least: float, most: float, unit: str = "") -> None:
    """Raise ``ConfigError`` unless ``value`` is a number from ``least`` to ``most``; nan is in no range."""
    if least <= value <= most:
        return
    suffix = f" {unit}" if unit else ""
    message = f"{name} must be from {least} to {most}{suffix}, not {_shorten(value)}"
    raise ConfigError(message)


def require_seconds(name: str, value: float, *, or_zero: bool = False) -> None:
    """Raise ``ConfigError`` unless ``value`` is more than 0 (or 0, where that is allowed) and at most a day."""
    if 0 < value <= LONGEST_S or (or_zero and value == 0):
        return
    least = "0 or more" if or_zero else "more than 0"
    message = f"{name} must be {least} and at most {LONGEST_S:g} seconds, not {_shorten(value)}"
    raise ConfigError(message)


def require_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise ``ConfigError`` unless ``value`` is one of ``choices``."""
    if value not in choices:
        message = f"{name} must be one of {', '.join(choices)}, not {value!r}"
        raise ConfigError(message)


def _shorten(value: float) -> str:
    digits = str(value)
    return digits if len(digits) <= 20 else f"{digits[:20]}..."  # noqa: PLR2004 - enough to recognise it by
