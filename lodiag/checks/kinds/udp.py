"""A datagram to a UDP port: that it is not refused, that it is answered, or that it is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lodiag.checks.keys import FAMILY, choice, endpoint, text
from lodiag.checks.kinds.tcp import family_of
from lodiag.checks.outcome import Answer, combine, unresolved
from lodiag.system.exchange import exchange

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lodiag.checks.outcome import Outcome
    from lodiag.system import System

TARGET = "target"
KEYS = {"target": endpoint, "family": FAMILY, "state": choice("open", "refused"), "send": text, "expect": text}

SILENCE_S = 0.1
"""How long silence is listened to where no answer is asked for: the loopback refuses before send() returns."""


def verify(settings: Mapping[str, Any]) -> None:
    """Refuse to expect an answer of what should refuse."""
    if settings.get("state") == "refused" and "expect" in settings:
        message = 'expect has no meaning with state = "refused"'
        raise ValueError(message)


def attempt(settings: Mapping[str, Any], left_s: float, system: System) -> Outcome:
    """Send one datagram to each address; what does not refuse it is taken for open."""
    del system
    target, family, state = settings["target"], settings.get("family", "any"), settings.get("state", "open")
    wanted = settings.get("expect")
    ends = [address for address in target.addresses if family in {"any", "both", family_of(address)}]
    if not ends:
        return unresolved(target, family)
    patience_s = left_s if wanted else min(left_s, SILENCE_S)
    data = settings.get("send", "").encode()
    answers = []
    for address, error, reply, rtt_ms in exchange(ends, target.port, data, patience_s):
        answer = Answer(address, target.port, error, rtt_ms)
        if state == "refused":
            answer.words = "refused" if error else "did not refuse"
            answer.error = None if error == "ECONNREFUSED" else error or "open"
        elif error is None and reply is None:
            answer.error = "ETIMEDOUT" if wanted else None
            answer.words = "" if wanted else "did not refuse"
        elif reply is not None and wanted and wanted.encode() not in reply:
            answer.error, answer.words = "other answer", f"answered without {wanted[:40]!r}"
        answers.append(answer)
    hint = f"lodiag who -u {target.port} tells who has the port."
    return combine(answers, family, expected=f"answer with {wanted!r}" if wanted else state, hint=hint)
