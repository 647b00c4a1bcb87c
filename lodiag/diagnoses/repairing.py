"""Repairing what ``doctor`` found: what is on the allow-list, command by command, once it is agreed to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.model.doctor import Applied, Diagnosed, Repair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lodiag.model import Finding, Report
    from lodiag.system import System


def list_repairs(report: Report[object, object]) -> list[tuple[Diagnosed, Repair]]:
    """Findings that are no mere remarks, with the repairs that doctor may make by itself."""
    return [
        (finding, finding.fix)
        for finding in report.findings
        if isinstance(finding, Diagnosed) and isinstance(finding.fix, Repair)
        if finding.fix.automatic and finding.severity in {"fail", "warn"}
    ]


def repair(
    report: Report[object, object], agree: Callable[[Finding, Sequence[str]], bool], system: System
) -> tuple[Applied, ...]:
    """Run the commands of what is agreed to; of one repair, those after a command that fails are not run."""
    done: list[Applied] = []
    for finding, fix in list_repairs(report):
        if agree(finding, fix.commands):
            done += _apply(finding, fix, system)
    return tuple(done)


def _apply(finding: Diagnosed, fix: Repair, system: System) -> Iterator[Applied]:
    undo = fix.undo
    for command in fix.commands:
        failure = system.run_command(command)
        yield Applied(code=finding.code, command=command, failure=failure, undo=undo if failure is None else ())
        undo = ()  # it takes back the whole, and is told once
        if failure is not None:
            return
