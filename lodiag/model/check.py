"""Records of ``check``."""

from __future__ import annotations

from lodiag.dataclass import dataclass
from lodiag.model import FAMILIES, detail, fact, label, metric

CHECK_STATUSES = ("fail", "timeout", "error", "interrupted", "warn", "skipped", "ok")
"""Worst first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckAddress:
    """What one address answered, in the last attempt."""

    address: str = label("Address that was asked.")
    port: int | None = label("Port that was asked; null if none was.")
    family: str = label("Its family.", FAMILIES)
    answered: bool = metric("Whether the address answered as it should.")
    error: str | None = fact("Why it did not: the system's own word, or what came instead; null if it did.")
    rtt_ms: float | None = metric("Time until it answered.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckTries:
    """Attempts in succession that ended alike."""

    error: str = fact("How they ended; ok if well.")
    count: int = fact("How many they were.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRecord:
    """What became of one check."""

    id: str = label("Name of the check.")
    kind: str = label("What kind of check it is: its type in the file.")
    target: str | None = fact("What was checked; null where the kind says it all.")
    status: str = fact(
        "ok; warn: it passed in part, or failed and need not pass; fail; timeout: it failed until its time was over; "
        "error: it could not be run; skipped: what it needs failed; interrupted.",
        CHECK_STATUSES,
    )
    success: bool | None = metric("Whether it passed; null if it was not tried to the end.")
    message: str = fact("What was found, in a sentence.")
    attempts: int = metric("How often it was tried.")
    elapsed_ms: float | None = metric("Time from its first attempt to its result; null if it was not tried.")
    addresses: tuple[CheckAddress, ...] = detail("What each address answered, in the last attempt.")
    observed: str | None = fact("What was found, as a value; null if nothing was.")
    expected: str | None = fact("What should have been found.")
    history: tuple[CheckTries, ...] = detail("How the attempts ended, those alike in succession as one.")
    hint: str | None = fact("What to do or to try next, in words.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSummary:
    """What became of all checks."""

    verdict: str = fact("The result in a sentence.")
    file: str | None = fact("File that the checks were read from; null if they were given otherwise.")
    checks: int = metric("Checks.")
    passed: int = metric("Checks that passed, those with a warning among them.")
    warned: int = metric("Checks with a warning: those that passed in part, and failures that may be.")
    failed: int = metric("Checks that failed, those that timed out or could not be run among them.")
    timed_out: int = metric("Checks that failed until their time was over.")
    errors: int = metric("Checks that could not be run.")
    skipped: int = metric("Checks that were skipped, because what they need failed.")


RECORD, SUMMARY = CheckRecord, CheckSummary
