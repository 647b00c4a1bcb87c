"""What is wrong with many addresses in the same way is said once."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from lodiag.dataclass import replace
from lodiag.model import Evidence, Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MOST_ALIKE = 16
"""Findings of one kind that somebody still reads one by one."""


def fold_alike(findings: Iterable[Finding], most: int = MOST_ALIKE) -> Iterator[Finding]:
    """Yield findings; of more than ``most`` of one code and severity the first, with the subjects of all."""
    kinds: defaultdict[tuple[str, str], list[Finding]] = defaultdict(list)
    for finding in findings:
        kinds[finding.code, finding.severity].append(finding)
    for alike in kinds.values():
        subjects = list(dict.fromkeys(finding.subject for finding in alike))
        if len(subjects) <= most:
            yield from alike
            continue
        first = alike[0]
        yield replace(
            first,
            subject=f"{len(subjects)} addresses",
            message=f"{first.message}; {len(subjects) - 1} more likewise, from {subjects[1]} to {subjects[-1]}",
            evidence=(*first.evidence, Evidence(name="alike", value=" ".join(subjects), source="ping")),
        )
