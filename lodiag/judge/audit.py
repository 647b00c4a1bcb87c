"""What the bindings of sockets mean: who may reach what, what is new, and whether that was expected."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lodiag.judge.expectations import judge_expectations
from lodiag.judge.exposure import group_services, judge_exposure, judge_other_loopback, list_ends, tell_exposure
from lodiag.judge.openings import judge_forwards, judge_openings
from lodiag.judge.snapshot import count, name_end, name_owners
from lodiag.model import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lodiag.bindings.policy import Expectation
    from lodiag.model.audit import AuditRecord
    from lodiag.system.facts import Forward, Opening

MOST_NAMED = 3
LONGEST_NAME = 60


class Audit(NamedTuple):
    """What is judged: the sockets, what was expected of them, and what opens the loopback to neighbours."""

    records: Sequence[AuditRecord]
    expectations: Sequence[Expectation]
    openings: Sequence[Opening]
    forwards: Sequence[Forward]
    source: str


class Verdict(NamedTuple):
    """Findings, and the names of the expectations that do not hold."""

    findings: list[Finding]
    unmet: list[str]


def judge_audit(audit: Audit) -> Verdict:
    """Judge the sockets; how those are bound of which an expectation speaks is judged by that alone."""
    expected = judge_expectations(audit.records, audit.expectations, audit.forwards, audit.source)
    rest = [record for record in audit.records if id(record) not in expected.covered]
    findings = [
        *expected.findings,
        *judge_exposure(rest, audit.source),
        *judge_other_loopback(rest, audit.records, audit.source),
        *_judge_news(audit),
        *judge_openings(audit.records, audit.openings, audit.source),
        *judge_forwards(audit.forwards, audit.openings),
    ]
    return Verdict(findings, expected.unmet)


def tell_verdict(records: Sequence[AuditRecord], expectations: int, unmet: Sequence[str]) -> str:
    """Say in one sentence how many sockets are exposed, and before that which expectations do not hold."""
    exposed = sum(record.exposed for record in records)
    found = f"{count(len(records), 'socket')}, {exposed} exposed and {len(records) - exposed} on the loopback alone"
    if not expectations:
        return found
    if not unmet:
        return f"ok: {count(expectations, 'expectation')} met by {found}"
    named = ", ".join(name[:LONGEST_NAME] for name in unmet[:MOST_NAMED])
    more = f" and {len(unmet) - MOST_NAMED} more" if len(unmet) > MOST_NAMED else ""
    return f"{len(unmet)} of {count(expectations, 'expectation')} not met by {found}: {named}{more}"


def _judge_news(audit: Audit) -> Iterator[Finding]:
    """Find what the baseline does not have, told once for each service."""
    for code, news, words, hint in _NEWS:
        found = [record for record in audit.records if record.since_baseline == news]
        for own in group_services(found):
            is_open = any(record.exposed for record in own)
            yield Finding(
                code=code,
                severity="warn" if is_open else "info",
                subject=f"{own[0].proto} {name_end(own[0].local, own[0].interface)}",
                message=words.format(who=name_owners(own[0]), ends=list_ends(own)),
                evidence=tell_exposure(own, audit.source),
                hint=hint,
                fix=None,
                see=(),
            )


_SAVE = "If that is meant, save a new baseline: lodiag audit --json --output FILE."
_NEWS = (
    ("new-listener", "new", "{who} listens at {ends}, where the baseline has nothing", _SAVE),
    ("newly-exposed", "wider", "{who} can be reached at {ends} by more hosts than in the baseline", _SAVE),
    ("owner-changed", "other-owner", "{ends} is now held by {who}, and in the baseline by another program", _SAVE),
)
"""Code, word of the record, and what is said of it."""
