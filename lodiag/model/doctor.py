"""Records of ``doctor``, and what its findings have beyond those of other commands."""

from __future__ import annotations

from lodiag.dataclass import dataclass
from lodiag.model import SEVERITIES, Finding, Fix, fact, label, metric

STATUSES = ("finding", "error", "skipped", "ok")
"""Worst first."""

CONFIDENCES = ("certain", "likely", "possible")


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair(Fix):
    """The commands that repair what was found, now and after the next start."""

    persistent: tuple[str, ...] = fact("What makes the repair last beyond a restart; empty where it does anyway.")
    automatic: bool = fact("Whether doctor --fix may run the commands.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosed(Finding):
    """A judgement of doctor: a cause, and what it explains."""

    fix: Repair | Fix | None = fact("Commands that repair it on this machine, where they are known.")
    confidence: str = fact(
        "certain: the cause itself was read; likely: only it fits all that was measured; possible: others fit as well.",
        CONFIDENCES,
    )
    explains: tuple[str, ...] = fact("Codes of findings that are consequences of this one, and are not told apart.")
    impact: str | None = fact("What does not work because of it.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnosisRecord:
    """What became of one diagnosis."""

    group: str = label("Group of diagnoses.")
    diagnosis: str = label("Name of the diagnosis.")
    status: str = fact(
        "ok: nothing was found; finding: something was; skipped: it could not look; error: it failed itself.", STATUSES
    )
    finding_count: int = metric("How many findings it made, those that others explain among them.")
    severity: str | None = fact(
        "The worst of its findings that no other one explains; null if there is none.", SEVERITIES
    )
    measured: str | None = fact("What was measured, in short; null if nothing was.")
    why: str | None = fact("Why it could not look, or how it failed; null if it did neither.")
    elapsed_ms: float = metric("How long it took, in milliseconds.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnosisGroup:
    """What became of one group of diagnoses."""

    group: str = label("Group of diagnoses.")
    status: str = fact("The worst status of its diagnoses.", STATUSES)
    severity: str | None = fact(
        "The worst of its findings that no other one explains; null if there is none.", SEVERITIES
    )
    diagnoses: int = metric("How many diagnoses it has.")
    told: str = fact("What was found, or else what was measured, in short.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """A command that doctor --fix ran."""

    code: str = fact("Code of the finding that it is to repair.")
    command: str = fact("The command.")
    failure: str | None = fact("What it said when it failed; null if it succeeded.")
    undo: tuple[str, ...] = fact("Commands that take it back, with those of the same repair that follow it.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorSummary:
    """What became of the examination as a whole."""

    verdict: str = fact("The result in a sentence.")
    service: str | None = label("The service that was asked about; null if the loopback as a whole was.")
    failed: int = metric("Findings of severity fail.")
    warned: int = metric("Findings of severity warn.")
    ok: int = metric("Diagnoses that found nothing.")
    found: int = metric("Diagnoses that found something.")
    skipped: int = metric("Diagnoses that could not look.")
    errors: int = metric("Diagnoses that failed themselves.")
    capabilities: tuple[str, ...] | None = fact("Effective capabilities of lodiag; null where the system has none.")
    groups: tuple[DiagnosisGroup, ...] = fact("Groups of diagnoses.")
    repairs: tuple[Applied, ...] = fact("What doctor --fix did before this was found; empty if it was not asked to.")


RECORD, SUMMARY, FINDING = DiagnosisRecord, DoctorSummary, Diagnosed
