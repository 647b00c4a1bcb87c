"""Putting a report together: what every command's report says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag import __version__
from lodiag.clock import rfc3339, to_ms
from lodiag.model import SCHEMA, SEVERITIES, Records, Report

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lodiag.model import Finding, Missing, RecordT, SummaryT
    from lodiag.system import System


class ReportMaker:
    """Begins when a command begins, and makes its report when it ends."""

    def __init__(self, command: str, system: System) -> None:
        """Note when it began."""
        self._command, self._system = command, system
        self.started_wall_ns = system.wall_ns()
        self.started_ns = system.monotonic_ns()

    def instant(self, monotonic_ns: int) -> str:
        """Wall-clock time of a monotonic one: a clock that is set meanwhile does not reorder what was seen."""
        return rfc3339(self.started_wall_ns + monotonic_ns - self.started_ns)

    def make(
        self,
        *,
        source: str | None,
        summary: SummaryT,
        records: Sequence[RecordT],
        findings: Iterable[Finding] = (),
        missing: Sequence[Missing] = (),
    ) -> Report[RecordT, SummaryT]:
        """Make the report; findings come worst first, each completed by what this machine offers against it.

        Of findings that say the same of the same, such as two addresses that one interface keeps silent, the worst
        is kept.
        """
        judged: dict[tuple[str, str, str], Finding] = {}
        for finding in sorted(findings, key=lambda found: SEVERITIES.index(found.severity)):
            judged.setdefault((finding.code, finding.subject, finding.message), finding)
        return Report(
            schema=SCHEMA,
            command=self._command,
            version=__version__,
            started_at=rfc3339(self.started_wall_ns),
            duration_ms=to_ms(self._system.monotonic_ns() - self.started_ns),
            host=self._system.describe_host(),
            source=source,
            complete=not missing,
            missing=tuple(missing),
            summary=summary,
            findings=tuple(self._system.complete(found) for found in judged.values()),
            records=records if isinstance(records, Records) else tuple(records),
        )
