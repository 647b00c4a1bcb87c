"""What is broken on the loopback, why, and the command that repairs it."""

from __future__ import annotations

import threading
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

from lodiag.clock import NS_PER_S, to_ms
from lodiag.diagnoses import Seen, SkipError, find, told
from lodiag.diagnoses.catalogue import CODES, DIAGNOSES, GROUPS, UNLOOKED
from lodiag.diagnoses.causes import fold, unite
from lodiag.diagnoses.survey import Service, Survey
from lodiag.errors import ConfigError
from lodiag.limits import suggest
from lodiag.model import SEVERITIES, Missing
from lodiag.model.doctor import STATUSES, DiagnosisGroup, DiagnosisRecord, DoctorSummary
from lodiag.report import ReportMaker
from lodiag.system import System
from lodiag.targets import ADDRESSES, resolve_target, split_target

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from lodiag.diagnoses import Diagnosis, Found
    from lodiag.model import Report
    from lodiag.model.doctor import Applied, Diagnosed

DEADLINE_S = 4.5
"""A diagnosis that has not ended by then is told as one that failed; a healthy machine takes a fraction of a second."""
PLENTY = 128
"""Descriptors with which all diagnoses may go side by side; with fewer they would take them from each other."""
MOST_TOLD, MOST_TOLD_LENGTH = 3, 58
"""Of a group, in short: a line of a terminal has 80 columns; each diagnosis has its own in full."""


class _Result(NamedTuple):
    """What became of a diagnosis."""

    diagnosis: Diagnosis
    seen: Seen | None
    skipped: str | None
    failure: str | None
    took_ns: int


def diagnose(
    *asked: str,
    service: str | int | None = None,
    deadline_s: float = DEADLINE_S,
    repairs: tuple[Applied, ...] = (),
    progress: Callable[[], object] | None = None,
    system: System | None = None,
) -> Report[DiagnosisRecord, DoctorSummary]:
    """Find what is wrong with the loopback, or why a service on it does not answer; nothing is changed.

    Args:
        asked: Groups of diagnoses, or codes of findings, to look for alone; without any, all.
        service: A port, or an address or name and a port, of a service that does not answer.
        deadline_s: Seconds after which what has not ended is given up.
        repairs: What was done before, to be told in the summary.
        progress: Called when a diagnosis has ended.
        system: The machine; a test's own stands in for it.

    Returns:
        A report with one ``DiagnosisRecord`` per diagnosis. Findings are root causes, each with what it explains.

    Raises:
        ConfigError: A group or code is unknown, or the port is out of range.
        TargetError: The service is malformed, unknown, or not on the loopback.

    """
    machine = system or System()
    maker = ReportMaker("doctor", machine)
    chosen = choose(asked, with_service=service is not None)
    survey = Survey(machine, None if service is None else _find_service(service, machine))
    results = _run(chosen, survey, deadline_s, progress or (lambda: None))
    kept = fold(unite([found for result in results for found in (result.seen.found if result.seen else ())]))
    wanted = set(asked) - set(GROUPS)
    kept = [item for item in kept if not wanted or wanted & {item.finding.code, *item.finding.explains}]
    records = [_describe(result, kept) for result in results]
    findings = [*_merge(kept), *_judge_unlooked(records)]
    return maker.make(
        source=None,
        summary=_summarise(records, findings, survey, repairs),
        records=records,
        findings=findings,
        missing=[
            Missing(what=f"what {record.group} {record.diagnosis} looks at", count=None, why=record.why or "it failed")
            for record in records
            if record.status == "error"
        ],
    )


def _guess(word: str) -> str:
    """Say what was likely meant: a group, a code, or the group of a diagnosis of that name."""
    for diagnosis in DIAGNOSES:
        if diagnosis.name == word:
            return f", but a diagnosis of the group {diagnosis.group}"
    return suggest(word, (*GROUPS, *CODES))


def choose(asked: Collection[str], *, with_service: bool) -> list[Diagnosis]:
    """Choose diagnoses by groups and codes; the others, by which causes are found, go with the codes."""
    unknown = [name for name in asked if name not in GROUPS and name not in CODES]
    if unknown:
        message = f"{unknown[0][:40]!r} is neither a group of diagnoses nor a code{_guess(unknown[0])}"
        raise ConfigError(message, "lodiag doctor --list has all.")
    groups = {name for name in asked if name in GROUPS}
    codes = set(asked) - groups
    if with_service:
        groups |= {"service"} if groups else set()
    return [
        diagnosis
        for diagnosis in DIAGNOSES
        if (with_service or diagnosis.group != "service" or "service" in groups)
        and (not groups or codes or diagnosis.group in groups)
    ]


def _find_service(target: str | int, machine: System) -> Service:
    host, port = split_target(target)
    if host is None:
        answer = machine.look_up_name("localhost")
        named = tuple(dict.fromkeys(address for address in answer.addresses if address in ADDRESSES.values()))
        return Service(None, port, named or (ADDRESSES["ipv4"],))
    return Service(host, port, tuple(dict.fromkeys(resolve_target(host, None, machine))))


def _run(
    chosen: Sequence[Diagnosis], survey: Survey, deadline_s: float, progress: Callable[[], object]
) -> list[_Result]:
    """Run diagnoses side by side; the canary goes first, so that no other traffic is taken for its own."""
    machine = survey.system
    end_ns = machine.monotonic_ns() + round(deadline_s * NS_PER_S)
    done: SimpleQueue[tuple[int, _Result]] = SimpleQueue()
    with suppress(Exception):  # whoever needs it will meet the failure
        _ = survey.confinement  # the summary tells it, whatever comes
        survey.settle()
        _ = survey.canary
    _start(chosen, survey, done)
    found: dict[int, _Result] = {}
    while len(found) < len(chosen):
        left_s = (end_ns - machine.monotonic_ns()) / NS_PER_S
        if left_s <= 0:
            break
        with suppress(Empty):
            at, result = done.get(timeout=min(left_s, 0.1))
            found[at] = result
            progress()
    late = f"it did not end within {deadline_s:g} s"
    took_ns = round(deadline_s * NS_PER_S)
    return [found.get(at) or _Result(item, None, None, late, took_ns) for at, item in enumerate(chosen)]


def _start(chosen: Sequence[Diagnosis], survey: Survey, done: SimpleQueue[tuple[int, _Result]]) -> None:
    """Begin with all of them, as far as this process may have threads and descriptors; without any thread, end too."""
    left = iter(list(enumerate(chosen)))

    def work() -> None:
        for at, diagnosis in left:
            _look(at, diagnosis, survey, done)

    limit = survey.system.limit_descriptors()
    lanes = len(chosen) if limit is None or limit >= PLENTY else 1
    try:
        for _ in range(lanes):
            threading.Thread(target=work, daemon=True).start()
    except (RuntimeError, MemoryError):  # no more can be started: those that were take all
        work()


def _look(at: int, diagnosis: Diagnosis, survey: Survey, done: SimpleQueue[tuple[int, _Result]]) -> None:
    """Run one diagnosis; that it crashes is a result as well."""
    began_ns = survey.system.monotonic_ns()
    seen, skipped, failure = None, None, None
    try:
        seen = diagnosis.look(survey)
    except SkipError as skip:
        skipped = str(skip)
    except Exception as error:  # noqa: BLE001 - the others go on
        failure = f"{type(error).__name__}: {error}"
    done.put((at, _Result(diagnosis, seen, skipped, failure, survey.system.monotonic_ns() - began_ns)))


def _describe(result: _Result, kept: Sequence[Found]) -> DiagnosisRecord:
    own = result.seen.found if result.seen else ()
    codes = {item.finding.code for item in own}
    roots = [item.finding.severity for item in kept if item.finding.code in codes]
    status = "error" if result.failure else "skipped" if result.skipped else "finding" if own else "ok"
    return DiagnosisRecord(
        group=result.diagnosis.group,
        diagnosis=result.diagnosis.name,
        status=status,
        finding_count=len(own),
        severity=min(roots, key=SEVERITIES.index, default=None),
        measured=result.seen.measured if result.seen else None,
        why=result.failure or result.skipped,
        elapsed_ms=to_ms(result.took_ns),
    )


def _merge(kept: Sequence[Found]) -> list[Diagnosed]:
    """Leave of two findings of one code and subject the first; what is the same in both families is told once."""
    merged: dict[tuple[str, str], Diagnosed] = {}
    for item in kept:
        merged.setdefault((item.finding.code, item.finding.subject), item.finding)
    return list(merged.values())


def _judge_unlooked(records: Sequence[DiagnosisRecord]) -> Iterator[Diagnosed]:
    """Find that diagnoses failed themselves: whoever asks whether all is well must not hear that it is."""
    unlooked = [record for record in records if record.status == "error"]
    if unlooked:
        named = f"{unlooked[0].group} {unlooked[0].diagnosis}"
        more = f" and {len(unlooked) - 1} more" if len(unlooked) > 1 else ""
        yield find(
            UNLOOKED,
            "fail",
            named if not more else "diagnoses",
            f"not all was looked at: {named}{more} failed",
            [told(f"{record.group} {record.diagnosis}", record.why, "doctor") for record in unlooked],
            hint="On a machine that is busy, run it again. If it fails once more, that is a defect of lodiag.",
        ).finding


def _summarise(
    records: Sequence[DiagnosisRecord], findings: Sequence[Diagnosed], survey: Survey, repairs: tuple[Applied, ...]
) -> DoctorSummary:
    counts = {severity: sum(finding.severity == severity for finding in findings) for severity in SEVERITIES}
    statuses = {status: sum(record.status == status for record in records) for status in STATUSES}
    name = survey.service.name if survey.service else None
    return DoctorSummary(
        verdict=_tell_verdict(findings, statuses, name),
        service=name,
        failed=counts["fail"],
        warned=counts["warn"],
        ok=statuses["ok"],
        found=statuses["finding"],
        skipped=statuses["skipped"],
        errors=statuses["error"],
        capabilities=survey.confinement.capabilities,
        groups=tuple(_group(records)),
        repairs=repairs,
    )


def _tell_verdict(findings: Sequence[Diagnosed], statuses: dict[str, int], service: str | None) -> str:
    bad = [finding for finding in findings if finding.severity in {"fail", "warn"} and finding.code != UNLOOKED]
    bad.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    subject = service or "the loopback"
    blind = f" ({_count(statuses['skipped'])} could not look)" if statuses["skipped"] else ""
    blind += f" ({statuses['error']} failed themselves)" if statuses["error"] else ""
    if not bad and statuses["error"]:
        return f"nothing was found to be wrong with {subject}, but not all was looked at{blind}"
    if not bad:
        return f"nothing is wrong with {subject}: {_count(sum(statuses.values()))}{blind}"
    more = f", and {len(bad) - 1} more" if len(bad) > 1 else ""
    works = "works, but" if bad[0].severity == "warn" else "is broken:"
    return f"{subject} {works} {bad[0].message}{more}{blind}"


def _count(number: int) -> str:
    return "1 diagnosis" if number == 1 else f"{number} diagnoses"


def _group(records: Sequence[DiagnosisRecord]) -> Iterator[DiagnosisGroup]:
    for group in dict.fromkeys(record.group for record in records):
        own = [record for record in records if record.group == group]
        status = min((record.status for record in own), key=STATUSES.index)
        severities = [record.severity for record in own if record.severity]
        yield DiagnosisGroup(
            group=group,
            status=status,
            severity=min(severities, key=SEVERITIES.index, default=None),
            diagnoses=len(own),
            told=_tell(own),
        )


def _tell(records: Sequence[DiagnosisRecord]) -> str:
    """Tell of a group what it found, or else why it could not look, or else what it measured."""
    found = [record.measured for record in records if record.status == "finding" and record.measured]
    measured = [record.measured for record in records if record.measured]
    unseen = [f"{record.diagnosis}: {record.why}" for record in records if record.status in {"error", "skipped"}]
    chosen = found or unseen[:1] or measured[:MOST_TOLD]
    shown = chosen[0]
    for piece in chosen[1:]:
        if len(shown) + len("; ") + len(piece) > MOST_TOLD_LENGTH:
            break
        shown = f"{shown}; {piece}"
    return shown if len(shown) <= MOST_TOLD_LENGTH else f"{shown[: MOST_TOLD_LENGTH - 3].rstrip()}..."
