"""Words that the judgements of ``bench`` share, and what they are told of the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.dataclass import dataclass, field
from lodiag.model import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lodiag.benches.aside import Idle, Tracking
    from lodiag.model import Evidence
    from lodiag.model.bench import BenchRecord
    from lodiag.system.facts import Interface, Setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What was read of the machine, and what a baseline has."""

    interfaces: Sequence[Interface] | None
    settings: Mapping[str, Setting]
    interface: str | None
    changes: Sequence[tuple[str, object, object]] = ()
    limits: Mapping[str, float] = field(default_factory=dict)
    idle: Idle | None = None
    tracking: Tracking | None = None


def describe(record: BenchRecord) -> str:
    """Name a test and its path."""
    where = record.address or "AF_UNIX"
    back = " towards the client" if record.direction == "to-client" else ""
    return f"{record.test} over {record.proto} to {where}, {record.placement.replace('-', ' ')}{back}".replace(
        " over unix to AF_UNIX", " over AF_UNIX"
    )


def make(  # noqa: PLR0913, PLR0917 - what a finding has
    code: str, severity: str, subject: str, message: str, evidence: tuple[Evidence, ...], hint: str | None = None
) -> Finding:
    """Make a finding."""
    return Finding(
        code=code, severity=severity, subject=subject, message=message, evidence=evidence, hint=hint, fix=None, see=()
    )
