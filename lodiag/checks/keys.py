"""Reading the values of a check's keys: each reader gives what an attempt uses, or says what is wrong.

A reader takes the value as TOML has it and a ``Reading``; it raises ``ValueError`` with the end of a sentence that
begins with the key's name, as in "must be a whole number".
"""

from __future__ import annotations

from lodiag.checks.outcome import Target
from lodiag.limits import LAST_PORT, LONGEST_S, UNITS, suggest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from lodiag.system import System

    Reader = Callable[[Any, "Reading"], Any]

LONGEST_TEXT = 4096

MOST_NAMED = 20


class OffLoopbackError(ValueError):
    """A target is not on the loopback."""


class Reading:
    """One reading of checks: each name is resolved once, whatever asks for it."""

    def __init__(self, system: System) -> None:
        """Resolve by this machine."""
        self._system = system
        self._known: dict[str, tuple[tuple[str, ...], str | None]] = {}

    def resolve(self, host: str) -> tuple[tuple[str, ...], str | None]:
        """Loopback addresses of a host, and why it has none; ``OffLoopbackError`` if any is not on the loopback."""
        if host not in self._known:
            self._known[host] = self._resolve(host)
        return self._known[host]

    def _resolve(self, host: str) -> tuple[tuple[str, ...], str | None]:
        from lodiag.errors import TargetError
        from lodiag.targets import resolve_target

        try:
            return resolve_target(host, None, self._system), None
        except TargetError as error:
            if str(error).startswith("cannot resolve"):  # it may be in time: that is for the check to say
                return (), str(error)
            message = f"must be on the loopback: {error}"
            raise OffLoopbackError(message) from error


def seconds(value: Any, _: Reading | None = None) -> float:  # noqa: ANN401 - as TOML has it
    """Read a duration such as "250ms", "2s", "1.5m"; a bare number is refused, for every tool means another unit."""
    if isinstance(value, str):
        for unit, factor in UNITS.items():
            digits = value.removesuffix(unit)
            if digits != value and digits.isascii() and digits.replace(".", "", 1).isdecimal():
                found = float(digits) * factor
                if found <= LONGEST_S:
                    return found
                message = f"must be at most a day, not {value[:40]!r}"
                raise ValueError(message)
    is_bare = isinstance(value, (int, float)) and not isinstance(value, bool)
    why = ": a bare number has no unit" if is_bare else ""
    message = f'must be a duration with a unit, such as "2s" or "250ms", not {shorten(value)}{why}'
    raise ValueError(message)


def pause(value: Any, _: Reading | None = None) -> float:  # noqa: ANN401 - as TOML has it
    """Read a duration of at least a millisecond."""
    found = seconds(value)
    if found < UNITS["ms"]:
        message = "must be at least 1ms"
        raise ValueError(message)
    return found


def choice(*words: str) -> Reader:
    """Make a reader of one of these words."""

    def read(value: Any, _: Reading) -> str:  # noqa: ANN401 - as TOML has it
        if value in words and isinstance(value, str):
            return value
        close = suggest(value, words) if isinstance(value, str) else ""
        message = f"must be one of {', '.join(words)}, not {shorten(value)}{close}"
        raise ValueError(message)

    return read


FAMILY = choice("any", "both", "ipv4", "ipv6")


def boolean(value: Any, _: Reading) -> bool:  # noqa: ANN401 - as TOML has it
    """Read true or false."""
    if isinstance(value, bool):
        return value
    message = f"must be true or false, not {shorten(value)}"
    raise ValueError(message)


def text(value: Any, _: Reading) -> str:  # noqa: ANN401 - as TOML has it
    """Read a text that is not empty."""
    if isinstance(value, str) and 0 < len(value) <= LONGEST_TEXT:
        return value
    message = f"must be a text, not {shorten(value)}"
    raise ValueError(message)


def texts(value: Any, reading: Reading) -> tuple[str, ...]:  # noqa: ANN401 - as TOML has it
    """Read one text or a list of them."""
    found = value if isinstance(value, list) else [value]
    if found:
        return tuple(text(item, reading) for item in found)
    message = "must not be empty"
    raise ValueError(message)


def whole(least: int, most: int) -> Reader:
    """Make a reader of a whole number from ``least`` to ``most``."""

    def read(value: Any, _: Reading) -> int:  # noqa: ANN401 - as TOML has it
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        message = f"must be a whole number from {least} to {most}, not {shorten(value)}"
        raise ValueError(message)

    return read


def port(value: Any, reading: Reading) -> int:  # noqa: ANN401 - as TOML has it
    """Read a port, also from text, as the command line has it."""
    is_digits = isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= len(str(LAST_PORT))
    return int(whole(1, LAST_PORT)(int(value) if is_digits else value, reading))


def endpoint(value: Any, reading: Reading) -> Target:  # noqa: ANN401 - as TOML has it
    """Read where to connect: 8080, "localhost:8080", "127.0.0.2:80", "[::1]:80"."""
    if isinstance(value, int):
        value = str(value) if not isinstance(value, bool) else value
    host, number = split_endpoint(text(value, reading))
    addresses, unknown = reading.resolve(host)
    return Target(value, host, port(number, reading), addresses, unknown)


def split_endpoint(value: str) -> tuple[str, str]:
    """Part a host and a port; without a host it is localhost."""
    host, colon, number = value.removeprefix("//").rpartition(":")
    if not colon:
        host = "localhost"
    elif host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        message = f"must be a host and a port, with an IPv6 address in brackets as in [::1]:80, not {shorten(value)}"
        raise ValueError(message)
    if number.isascii() and number.isdecimal():
        return host or "localhost", number
    message = f"must end with a port, as in localhost:8080, not be {shorten(value)}"
    raise ValueError(message)


def host(value: Any, reading: Reading) -> Target:  # noqa: ANN401 - as TOML has it
    """Read a name or an address."""
    name = text(value, reading)
    addresses, unknown = reading.resolve(name)
    return Target(name, name, 0, addresses, unknown)


def table(keys: Mapping[str, Reader]) -> Reader:
    """Make a reader of an inline table with these keys."""

    def read(value: Any, reading: Reading) -> dict[str, Any]:  # noqa: ANN401 - as TOML has it
        if not isinstance(value, dict) or not value:
            message = f"must be a table of {', '.join(keys)}, not {shorten(value)}"
            raise ValueError(message)
        found = {}
        for key, inner in value.items():
            if key not in keys:
                message = f"has no key {key[:40]!r}{guess(key, keys)}"
                raise ValueError(message)
            try:
                found[key] = keys[key](inner, reading)
            except ValueError as error:
                message = f"{key} {error}"
                raise ValueError(message) from error
        return found

    return read


_BOUNDS = table({"min": whole(0, 2**63 - 1), "max": whole(0, 2**63 - 1)})


def bounds(value: Any, reading: Reading) -> dict[str, int]:  # noqa: ANN401 - as TOML has it
    """Read a number's least and most."""
    found = _BOUNDS(value, reading)
    if found.get("min", 0) > found.get("max", found.get("min", 0)):
        message = f"has a min over its max: {shorten(value)}"
        raise ValueError(message)
    return dict(found)


def is_within(value: int, limits: Mapping[str, int]) -> bool:
    """Whether a number is neither too small nor too large."""
    return limits.get("min", value) <= value <= limits.get("max", value)


def describe_bounds(limits: Mapping[str, int]) -> str:
    """Write bounds."""
    words = {"min": "at least", "max": "at most"}
    return " and ".join(f"{words[name]} {limits[name]}" for name in ("min", "max") if name in limits)


def shorten(value: Any) -> str:  # noqa: ANN401 - as TOML has it
    """Write a value so that it is recognised."""
    try:
        shown = repr(value)
    except (ValueError, RecursionError):  # Python writes no number of more than 4300 digits
        shown = "a very large value"
    return shown if len(shown) <= 60 else f"{shown[:60]}..."  # noqa: PLR2004 - enough to recognise it by


def guess(word: str, known: Mapping[str, Any] | tuple[str, ...]) -> str:
    """Say which word was meant, or which there are."""
    from difflib import get_close_matches

    close = get_close_matches(word[:40], known, n=1) or get_close_matches(word[:40].lower(), known, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    names = [*known]
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"; known: {', '.join(names[:MOST_NAMED])}{more}"


def is_like(word: str, meant: str) -> bool:
    """Whether a word is likely a mistyped one."""
    from difflib import get_close_matches

    return bool(get_close_matches(word[:40].lower(), [meant], n=1))
