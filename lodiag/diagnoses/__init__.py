"""Diagnoses of ``doctor``: each looks at one thing, by one signature, and says what it found.

A diagnosis is a function that takes the ``Survey`` of this machine and gives what it has ``Seen``: in short what was
measured, and what is wrong with it. It raises ``SkipError`` with the reason where it cannot look. It does not
care what others find: ``causes`` says which findings are consequences of which.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lodiag.model import FAMILIES, Evidence
from lodiag.model.doctor import Diagnosed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lodiag.diagnoses.survey import Survey
    from lodiag.model.doctor import Repair
    from lodiag.system.attempts import Met
    from lodiag.system.facts import Setting

BOTH = frozenset(FAMILIES)
WORDS = {"ipv4": "IPv4", "ipv6": "IPv6"}


class SkipError(Exception):
    """A diagnosis cannot look; the message says why."""


class Found(NamedTuple):
    """A finding, the families that it is about, and the processes, if it is about some."""

    finding: Diagnosed
    families: frozenset[str]
    pids: frozenset[int] = frozenset()


class Seen(NamedTuple):
    """What a diagnosis saw: in short what it measured, and what is wrong."""

    measured: str
    found: tuple[Found, ...] = ()


class Diagnosis(NamedTuple):
    """A diagnosis: where it belongs, what it looks at, in words, and the function that does."""

    group: str
    name: str
    purpose: str
    codes: tuple[str, ...]
    look: Callable[[Survey], Seen]


def find(  # noqa: PLR0913 - the parts of a finding
    code: str,
    severity: str,
    subject: str,
    message: str,
    evidence: Iterable[Evidence],
    *,
    hint: str | None = None,
    impact: str | None = None,
    confidence: str = "certain",
    families: Iterable[str] = BOTH,
    pids: Iterable[int] = (),
    fix: Repair | None = None,
    see: tuple[str, ...] = (),
) -> Found:
    """Make a finding; what it explains is told later, when all are known."""
    finding = Diagnosed(
        code=code,
        severity=severity,
        subject=subject,
        message=message,
        evidence=tuple(evidence),
        hint=hint,
        fix=fix,
        see=see,
        confidence=confidence,
        explains=(),
        impact=impact,
    )
    return Found(finding, frozenset(families), frozenset(pids))


def told(name: str, value: str | float | None, source: str) -> Evidence:
    """Give a measured value as evidence."""
    return Evidence(name=name, value=value, source=source)


def tell(setting: Setting) -> Evidence:
    """Give a kernel parameter as evidence."""
    return told(setting.name, setting.value, "kernel parameter")


def tell_met(met: Met) -> Evidence:
    """Give what a probe of the canary met as evidence."""
    value = "answered" if met.error is None else f"{met.error} at {met.stage}" if met.stage else met.error
    return told(f"{met.proto} {met.address}", value, f"canary, {met.took_ms:g} ms")
