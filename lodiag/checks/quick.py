"""Checks of open TCP ports that pass at once: the case for which a container's health check runs every few seconds.

What does not pass at once, is not of that form, or is asked for in another way, is left to the command itself: that
does all of it, and all of it again. What is printed here is what would be printed there. Nothing is loaded here that
takes milliseconds.
"""

from __future__ import annotations

import sys
from time import perf_counter_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lodiag.checks.outcome import Outcome

_FAMILIES = {"tcp": "any", "tcp4": "ipv4", "tcp6": "ipv6"}
_DURATIONS = ("--wait", "--interval", "--timeout")
NS_PER_MS = 1_000_000
PATIENCE_S = 0.05
"""The loopback decides a connection before connect(2) returns; what takes longer is for the command to wait for."""


class _Line:
    """What is shown of a check that passed."""

    def __init__(self, name: str, outcome: Outcome) -> None:
        self.id, self.status, self.message = name, outcome.status, outcome.message
        self.hint: str | None = None


def check_quickly(arguments: Sequence[str]) -> tuple[str, list[str]] | None:
    """Text to print and command to run, if these arguments of ``check`` are plain and all pass; or ``None``."""
    began_ns = perf_counter_ns()
    at = arguments.index("--") if "--" in arguments else len(arguments)
    words = _read([*arguments[:at]])
    if not words or at == len(arguments) - 1:
        return None
    plans = [_plan(word) for word in words]  # all are read before anything is sent
    lines = []
    for word, plan in zip(words, plans, strict=True):
        if plan is None or None in plans:
            return None
        outcome = plan()
        if not outcome.is_pass:
            return None
        lines.append(_Line(word, outcome))
    from lodiag.checks.words import tell_verdict
    from lodiag.render.verdict import render

    warned = sum(line.status == "warn" for line in lines)
    took_ms = (perf_counter_ns() - began_ns) / NS_PER_MS
    verdict = tell_verdict(len(lines), failed=(), warned=warned, skipped=0, elapsed_ms=took_ms)
    return render(verdict, lines), [*arguments[at + 1 :]]


def _read(arguments: list[str]) -> list[str] | None:
    """Names of checks, if nothing else was given but durations, which what passes at once does not need."""
    from lodiag.checks.keys import pause, seconds

    words: list[str] = []
    while arguments:
        word = arguments.pop(0)
        if word in _DURATIONS and arguments:
            try:
                (seconds if word == "--wait" else pause)(arguments.pop(0))
            except ValueError:
                return None
        elif word.startswith("-") or word in words:
            return None
        else:
            words.append(word)
    return words


def _plan(word: str) -> Callable[[], Outcome] | None:
    """Read a check of the form tcp:[HOST:]PORT with a host that is plainly this one; ``None`` if it is another."""
    from lodiag.checks.keys import split_endpoint
    from lodiag.checks.kinds.tcp import attempt
    from lodiag.checks.outcome import Target
    from lodiag.limits import LAST_PORT
    from lodiag.system import System
    from lodiag.system.connect import resolve_localhost

    kind, _, rest = word.partition(":")
    if kind not in _FAMILIES:
        return None
    try:
        host, digits = split_endpoint(rest)
    except ValueError:
        return None
    if len(digits) > len(str(LAST_PORT)) or not 1 <= int(digits) <= LAST_PORT:
        return None
    addresses = resolve_localhost() if host == "localhost" else (host,)
    if not all(map(_is_plainly_loopback, addresses)):
        return None
    target = Target(rest, host, int(digits), addresses)
    return lambda: attempt({"target": target, "family": _FAMILIES[kind]}, PATIENCE_S, System())


def _is_plainly_loopback(address: str) -> bool:
    """Whether it is ::1, or an address in 127.0.0.0/8 written in full, and not its last, which is the broadcast's."""
    if address == "::1":
        return True
    parts = address.split(".")
    is_whole = len(parts) == 4 and all(part.isascii() and part.isdecimal() and str(int(part)) == part for part in parts)  # noqa: PLR2004 - octets
    return is_whole and parts[0] == "127" and all(int(part) <= 255 for part in parts) and parts[1:] != ["255"] * 3  # noqa: PLR2004


def main(arguments: list[str]) -> int | None:
    """Print and return the exit status, if it was that quick."""
    found = check_quickly(arguments)
    if found is None or sys.stdout is None or sys.stderr is None:
        return None
    text, command = found
    stream = sys.stderr if command else sys.stdout
    try:
        stream.write(text.encode("ascii", "backslashreplace").decode("ascii"))
        stream.flush()
    except (OSError, ValueError):  # the command tells what is wrong with it
        return None
    if command:
        from lodiag.system.handover import hand_over

        return hand_over(command, _tell)
    return 0


def _tell(line: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(line.encode("ascii", "backslashreplace").decode() + "\n")
