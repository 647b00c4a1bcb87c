"""Whether sockets are bound as a policy expects."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lodiag.judge.exposure import advise, group_services, is_of_loopback, list_ends, tell_exposure
from lodiag.judge.snapshot import name_owners
from lodiag.model import Evidence, Finding
from lodiag.targets import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lodiag.bindings.policy import Expectation
    from lodiag.model.audit import AuditRecord
    from lodiag.system.facts import Forward

NEW, NONE = "new", "none"
"""Words of a policy."""
MOST_SERVICES = 4
"""Services that a sentence names."""
ABSENT = "nothing listens there"
_MAY_BE_ABSENT = "Where nothing need listen, allow none as well."


class Problem(NamedTuple):
    """What is not as expected, and of which sockets."""

    what: str
    sockets: Sequence[AuditRecord] = ()


class Judged(NamedTuple):
    """Findings, names of the expectations that do not hold, and which records any spoke of, by id()."""

    findings: list[Finding]
    unmet: list[str]
    covered: frozenset[int]


def judge_expectations(
    records: Sequence[AuditRecord], wanted: Sequence[Expectation], forwards: Sequence[Forward], source: str
) -> Judged:
    """Judge each expectation by the sockets that it speaks of; ``any`` speaks of those that no port or range names.

    A port that is not to be exposed must not be forwarded to somewhere else either.
    """
    by_port = {id(r) for r in records for item in wanted if item.ports is not None and _is_named(r, item)}
    findings: list[Finding] = []
    covered: set[int] = set()
    unmet: list[str] = []
    for item in wanted:
        chosen = [r for r in records if _is_named(r, item) and (item.ports is not None or _is_left(r, item, by_port))]
        problems = [*_find_problems(item, chosen), *_find_forwards(item, forwards)]
        unmet += [item.name] if problems else []
        covered |= set(map(id, chosen))
        findings.append(_tell(item, chosen, problems, source))
    return Judged(findings, unmet, frozenset(covered))


def _is_named(record: AuditRecord, item: Expectation) -> bool:
    return item.proto in {None, record.proto} and (item.ports is None or record.local.port in item.ports)


def _is_left(record: AuditRecord, item: Expectation, by_port: set[int]) -> bool:
    return record.since_baseline == NEW if item.selector == NEW else id(record) not in by_port


def _find_problems(item: Expectation, chosen: Sequence[AuditRecord]) -> Iterator[Problem]:
    """Say what does not hold, and of which sockets."""
    if not chosen and item.ports is not None and NONE not in item.allowed:
        yield Problem(ABSENT)
    wrong = [record for record in chosen if record.exposure not in item.allowed]
    if wrong:
        yield Problem(_tell_services(wrong), wrong)
    if item.owner is not None:
        wrong = [record for record in chosen if not _is_owned(record, item.owner)]
        if wrong:
            yield Problem(f"{list_ends(wrong)} is held by {_name_all(wrong)}, not by {item.owner}", wrong)
    if item.unit is not None:
        wrong = [
            record for record in chosen if record.unit is None or item.unit not in {record.unit, _stem(record.unit)}
        ]
        if wrong:
            units = ", ".join(dict.fromkeys(record.unit or "no unit" for record in wrong))
            yield Problem(f"{list_ends(wrong)} is of {units}, not of {item.unit}", wrong)


def _tell_services(records: Sequence[AuditRecord]) -> str:
    """Say how each service is bound."""
    services = group_services(records)
    told = [
        f"{name_owners(own[0])} at {list_ends(own)} is {', '.join(dict.fromkeys(record.exposure for record in own))}"
        for own in services[:MOST_SERVICES]
    ]
    more = len(services) - MOST_SERVICES
    return ", ".join(told) + (f", and {more} more" if more > 0 else "")


def _find_forwards(item: Expectation, forwards: Sequence[Forward]) -> Iterator[Problem]:
    """Say by which rules of the packet filter other hosts reach something at ports that are not to be exposed."""
    if item.ports is None or not all(name == NONE or is_of_loopback(name) for name in item.allowed):
        return
    for rule in forwards:
        is_for_others = rule.at is None or not is_loopback(rule.at)
        is_meant = None in {rule.proto, item.proto} or rule.proto == item.proto
        if is_for_others and is_meant and any(_overlap(item.ports, ports) for ports in _read_ports(rule.ports)):
            yield Problem(f"the packet filter forwards it: {rule.rule}")


def _overlap(some: range, others: range) -> bool:
    return max(some.start, others.start) < min(some.stop, others.stop)


def _read_ports(text: str | None) -> list[range]:
    """Read ports as a rule has them: 80, 90-99, or several of those; none where it names services, or none."""
    parts = [part.partition("-") for part in (text or "").split(",")]
    numbers = [(first, last or first) for first, _, last in parts]
    return [range(int(first), int(last) + 1) for first, last in numbers if first.isdecimal() and last.isdecimal()]


def _name_all(records: Sequence[AuditRecord]) -> str:
    return ", ".join(dict.fromkeys(map(name_owners, records)))


def _is_owned(record: AuditRecord, owner: str) -> bool:
    return bool(record.owners) and all(found.process == owner for found in record.owners or ())


def _stem(unit: str) -> str:
    return unit.rpartition(".")[0]


def _tell(item: Expectation, chosen: Sequence[AuditRecord], problems: Sequence[Problem], source: str) -> Finding:
    """Say whether an expectation holds; the code is one, so that what follows it finds it again."""
    own = _name_expectation(item)
    found = f"{_name_all(chosen)} at {list_ends(chosen)}" if chosen else ABSENT
    wrong = problems[0].sockets if problems else ()
    shown = wrong or chosen
    is_too_open = any(record.exposed and record.exposure not in item.allowed for record in wrong)
    return Finding(
        code="expectation",
        severity=item.severity if problems else "ok",
        subject=item.name,
        message=f"{own} does not hold: {'; '.join(p.what for p in problems)}" if problems else f"{own} holds: {found}",
        evidence=(
            Evidence(name="expected", value=", ".join(item.words), source="policy"),
            Evidence(name="sockets", value=len(chosen), source=source),
            *(tell_exposure(shown, source) if shown else ()),
        ),
        hint=advise(wrong[0]) if is_too_open else _MAY_BE_ABSENT if problems and not chosen else None,
        fix=None,
        see=(),
    )


def _name_expectation(item: Expectation) -> str:
    own = f"{item.selector}{'' if item.proto is None else f'/{item.proto}'}"
    name = "" if item.name == own else f"{item.name}: "
    return f"{name}{own}={','.join(item.words)}"
