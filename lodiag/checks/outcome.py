"""What an attempt found, and how the answers of several addresses become one outcome.

These are plain classes: to load ``dataclasses`` takes longer than a health check should.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

WORDS = {
    "ECONNREFUSED": "refused",
    "ETIMEDOUT": "did not answer in time",
    "EADDRNOTAVAIL": "cannot be used on this machine",
    "EAFNOSUPPORT": "is of a family that this machine does not have",
    "ENETUNREACH": "is unreachable",
    "EHOSTUNREACH": "is unreachable",
    "EPERM": "may not be sent to: a packet filter refuses",
    "EACCES": "may not be connected to: a policy refuses",
    "EMFILE": "was not tried: too many open files",
}
PERMANENT = frozenset({"EACCES", "EPERM", "EAFNOSUPPORT"})
"""Errors that no waiting mends: of a policy, of a packet filter, of the kernel as it was built."""


class Target:
    """Where to connect: what was given, and the loopback addresses that it stands for."""

    __slots__ = ("addresses", "host", "port", "text", "unknown")

    def __init__(self, text: str, host: str, port: int, addresses: Sequence[str], unknown: str | None = None) -> None:
        """Keep them; ``unknown`` says why the host has no address."""
        self.text, self.host, self.port = text, host, port
        self.addresses, self.unknown = tuple(addresses), unknown

    def __str__(self) -> str:
        """Write it as it was given."""
        return self.text


class Answer:
    """What one address answered; ``error`` is ``None`` if it is what should come."""

    __slots__ = ("address", "error", "port", "rtt_ms", "words")

    def __init__(
        self, address: str, port: int | None, error: str | None, rtt_ms: float | None = None, words: str = ""
    ) -> None:
        """Keep them; ``words`` say what came, and are made of the error if there are none."""
        self.address, self.port, self.error, self.rtt_ms = address, port, error, rtt_ms
        self.words = words

    @property
    def family(self) -> str:
        """Family of the address."""
        return "ipv6" if ":" in self.address else "ipv4"

    def __str__(self) -> str:
        """Write what came, and from where."""
        end = self.address if self.port is None else join(self.address, self.port)
        if self.error is None:
            took = "" if self.rtt_ms is None else f" in {self.rtt_ms:.3f} ms"
            return f"{end} {self.words or 'answered'}{took}"
        if self.words:
            return f"{end} {self.words}"
        return f"{end} {WORDS.get(self.error, 'failed')} ({self.error})"


class Outcome:
    """What an attempt found.

    Attributes:
        status: ok, warn, fail, or error if the check could not be run.
        message: What was found, in a sentence without a full stop.
        error: The same in a word or two, for the history; ``None`` if it is well.
        is_permanent: Whether no waiting mends it.
        answers: What each address answered.
        observed: What was found, as a value.
        expected: What should have been found.
        hint: What to try next.

    """

    __slots__ = ("answers", "error", "expected", "hint", "is_permanent", "message", "observed", "status")

    def __init__(  # noqa: PLR0913 - what an attempt can find
        self,
        status: str,
        message: str,
        *,
        error: str | None = None,
        is_permanent: bool = False,
        answers: Sequence[Answer] = (),
        observed: str | None = None,
        expected: str | None = None,
        hint: str | None = None,
    ) -> None:
        """Keep what was found."""
        self.status, self.message, self.error = status, message, error
        self.is_permanent, self.answers = is_permanent, tuple(answers)
        self.observed, self.expected, self.hint = observed, expected, hint

    @property
    def is_pass(self) -> bool:
        """Whether the check passed, be it in part."""
        return self.status in {"ok", "warn"}


def point_to_doctor(target: Target) -> str:
    """Say which command looks for the cause: doctor asks about a service only where one is named."""
    end = target.port if target.host == "localhost" else join(target.host, target.port)
    return f"lodiag doctor {end} looks for the cause"


def join(address: str, port: int) -> str:
    """Write an address and a port as URLs have them."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def unresolved(target: Target, family: str) -> Outcome:
    """Say that there is no address to ask: the name is unknown, or has none of this family."""
    if target.unknown:
        return Outcome("fail", target.unknown, error="unknown name", is_permanent=True, hint="See /etc/hosts.")
    message = f"{target.host} has no {family.replace('ip', 'IP')} address"
    return Outcome("fail", message, error="no address", is_permanent=True, hint="See /etc/hosts.")


def combine(answers: Sequence[Answer], family: str, *, expected: str, hint: str) -> Outcome:
    """Make one outcome of what each address answered.

    With ``any`` one good answer is enough, and others that are not are a warning: clients that try those first fail.
    With ``both`` each family must have an answer, and all must be good.
    """
    bad = [answer for answer in answers if answer.error is not None]
    message = "; ".join(map(str, answers))
    observed = ", ".join(f"{answer.address} {answer.error or 'ok'}" for answer in answers)
    if not bad:
        lacks = {"ipv4", "ipv6"} - {answer.family for answer in answers} if family == "both" else ()
        if not lacks:
            return Outcome("ok", message, answers=answers, observed=observed, expected=expected)
        lacking = " and ".join(sorted(lacks)).replace("ip", "IP")
        message = f"{message}; there is no {lacking} address"
        return Outcome("fail", message, error="no address", answers=answers, observed=observed, expected=expected)
    if len(bad) < len(answers) and family != "both":
        message = f"{message}: clients that try {bad[0].address} first will fail"
        return Outcome("warn", message, answers=answers, observed=observed, expected=expected)
    error = " ".join(dict.fromkeys(str(answer.error) for answer in bad))
    is_permanent = all(answer.error in PERMANENT for answer in bad)
    return Outcome(
        "fail",
        message,
        error=error,
        is_permanent=is_permanent,
        answers=answers,
        observed=observed,
        expected=expected,
        hint=hint,
    )
