"""Sockets and services: what ``conns`` finds wrong with them, and the processes that keep others waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.diagnoses import BOTH, Diagnosis, Found, Seen, SkipError, find, told
from lodiag.diagnoses.knocks import view
from lodiag.model.doctor import Diagnosed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lodiag.diagnoses.survey import Survey
    from lodiag.model import Finding
    from lodiag.model.conns import ConnRecord, Owner
    from lodiag.model.who import WhoOwner, WhoSocket

GROUP = "services"
TOLD_BY_SERVICE = {"family-mismatch", "only-at-another-address"}
"""Findings about where a service listens: without a client that misses it they are no fault."""
FAMILIES = {"ipv4": frozenset({"ipv4"}), "ipv6": frozenset({"ipv6"})}


def look(survey: Survey) -> Seen:
    """Find what ``lodiag conns --findings`` finds; where a service is asked about, what concerns its port."""
    report = survey.conns
    chosen = [finding for finding in report.findings if _concerns(finding, survey)]
    measured = f"sockets: {report.summary.sockets}"
    return Seen(measured, tuple(_adopt(finding) for finding in chosen))


def _concerns(finding: Finding, survey: Survey) -> bool:
    if finding.code in TOLD_BY_SERVICE and survey.service is not None:
        return False
    return survey.service is None or finding.subject.endswith(f":{survey.service.port}")


def _adopt(finding: Finding) -> Found:
    pids = [int(item.value) for item in finding.evidence if item.name == "pid" and isinstance(item.value, int)]
    adopted = Diagnosed(
        code=finding.code,
        severity="info" if finding.code in TOLD_BY_SERVICE else finding.severity,
        subject=finding.subject,
        message=finding.message,
        evidence=finding.evidence,
        hint=finding.hint,
        fix=None,
        see=finding.see,
        confidence="certain",
        explains=(),
        impact=None,
    )
    is_wide = finding.subject.startswith(("localhost", "tcp", "udp")) or finding.code.startswith("ephemeral-")
    families = BOTH if is_wide else FAMILIES[_family_of(finding)]
    return Found(adopted, families, frozenset(pids))


def _family_of(finding: Finding) -> str:
    return "ipv6" if finding.subject.startswith("[") else "ipv4"


def look_at_processes(survey: Survey) -> Seen:
    """Find processes that keep others waiting because they are stopped, or may open no more files."""
    waiting: dict[int, tuple[Owner | WhoOwner, ConnRecord | WhoSocket]] = {}
    hidden = 0
    for record in _list_waiting(survey):
        hidden += record.owners is None
        for owner in record.owners or ():
            waiting.setdefault(owner.pid, (owner, record))
    if not waiting and hidden:
        reason = f"the processes of {hidden} sockets that keep others waiting may not be seen by this user"
        raise SkipError(reason)
    found = [item for owner, record in waiting.values() for item in _judge(survey, owner, record)]
    return Seen(f"processes with something waiting: {len(waiting)}", tuple(found))


def _keeps_waiting(record: ConnRecord) -> bool:
    return bool(record.accept_queue or (record.recv_q_bytes and record.state in {"established", "unconnected"}))


def _list_waiting(survey: Survey) -> Iterator[ConnRecord | WhoSocket]:
    """List sockets at which somebody waits: of the service that is asked about, those that do not take a knock."""
    if survey.service is None:
        yield from filter(_keeps_waiting, survey.conns.records)
        return
    seen = view(survey)
    unanswered = any(knock.waited or knock.error == "timeout" for knock in seen.knocks)
    yield from seen.listeners if unanswered else ()


def _judge(survey: Survey, owner: Owner | WhoOwner, record: ConnRecord | WhoSocket) -> Iterator[Found]:
    condition = survey.system.describe_condition(owner.pid)
    end = (
        f"{record.local.address}:{record.local.port}"
        if ":" not in record.local.address
        else (f"[{record.local.address}]:{record.local.port}")
    )
    waiting = (
        told("accept_queue", record.accept_queue, survey.conns.source or "socket table"),
        told("pid", owner.pid, "process table"),
    )
    name = f"{owner.process or 'a process'}[{owner.pid}]"
    if condition.is_stopped:
        yield find(
            "service-stopped",
            "fail",
            name,
            f"{name} is stopped, and {end} waits for it",
            (told("state of the process", "stopped", "process table"), *waiting),
            impact="Clients are connected by the kernel, and get no answer.",
            hint="It was stopped by a signal (SIGSTOP, Ctrl-Z) or a debugger.",
            pids={owner.pid},
            fix=survey.system.prescribe("continue", pid=owner.pid),
            see=("kill(1)",),
        )
        return
    files = survey.system.count_files(owner.pid)
    if (
        record.state == "listen"
        and files is not None
        and condition.most_files is not None
        and files >= condition.most_files
    ):
        yield find(
            "files-exhausted",
            "fail",
            name,
            f"{name} has all {condition.most_files} files open that it may: it can accept nobody at {end}",
            (
                told("open files", files, "process table"),
                told("limit on open files", condition.most_files, "process table"),
                *waiting,
            ),
            impact="Clients are connected by the kernel, and get no answer.",
            hint="It leaks descriptors, or its limit is too small for its clients.",
            pids={owner.pid},
            fix=survey.system.prescribe(
                "more-files", pid=owner.pid, wanted=max(4096, 2 * condition.most_files), limit=condition.most_files
            ),
            see=("prlimit(1)", "accept(2)"),
        )


DIAGNOSES = (
    Diagnosis(
        GROUP,
        "sockets",
        "what does lodiag conns --findings find",
        (
            *("accept-queue-full", "accept-queue-overflow", "never-accepted", "syn-sent-lasting", "segments-lost"),
            *("udp-drops", "close-wait-leak", "stuck-receiver", "self-connection", "ephemeral-exhausted"),
            *("ephemeral-low", "reuseport-strangers", "specific-shadows-wildcard", "two-services-on-one-port"),
            *("family-mismatch", "only-at-another-address", "port-held", "dead-listener-clients"),
        ),
        look,
    ),
    Diagnosis(
        GROUP,
        "processes",
        "do stopped or exhausted processes keep clients waiting",
        ("service-stopped", "files-exhausted"),
        look_at_processes,
    ),
)
