"""What a name resolves to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lodiag.checks.keys import choice, shorten, text, texts
from lodiag.checks.outcome import Outcome
from lodiag.errors import TargetError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lodiag.checks.keys import Reading
    from lodiag.system import System


def addresses(value: Any, reading: Reading) -> tuple[str, ...]:  # noqa: ANN401 - as TOML has it
    """Read addresses, as text or as a list."""
    from ipaddress import ip_address

    try:
        return tuple(str(ip_address(item)) for item in texts(value, reading))
    except ValueError as error:
        message = f"must be addresses, not {shorten(value)}"
        raise ValueError(message) from error


TARGET = "name"
KEYS = {"name": text, "expect": addresses, "match": choice("subset", "exact", "any")}


def verify(settings: Mapping[str, Any]) -> None:
    """Refuse to compare with nothing."""
    if "match" in settings and "expect" not in settings:
        message = "match has no meaning without expect"
        raise ValueError(message)


def attempt(settings: Mapping[str, Any], left_s: float, system: System) -> Outcome:
    """Ask the resolver; without ``expect``, any addresses will do as long as all are on the loopback."""
    from lodiag.targets import is_loopback

    del left_s
    name, wanted = settings["name"], set(settings.get("expect", ()))
    try:
        found = system.resolve(name, None)
    except TargetError as error:
        return Outcome("fail", str(error), error="unknown name", hint=error.hint)
    has = set(found)
    match = settings.get("match", "subset")
    if not wanted:
        bad, words = [address for address in found if not is_loopback(address)], "addresses on the loopback"
    elif match == "any":
        bad, words = [] if wanted & has else sorted(wanted), f"one of {', '.join(settings['expect'])}"
    else:
        bad = sorted(wanted - has) + (sorted(has - wanted) if match == "exact" else [])
        words = f"{'exactly ' if match == 'exact' else ''}{', '.join(settings['expect'])}"
    message = f"{name} resolves to {', '.join(found)}"
    if not bad:
        return Outcome("ok", message, observed=", ".join(found), expected=words)
    return Outcome(
        "fail",
        f"{message}, not to {words}",
        error="other addresses",
        observed=", ".join(found),
        expected=words,
        hint="See /etc/hosts.",
    )
