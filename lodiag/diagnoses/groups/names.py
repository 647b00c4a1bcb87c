"""Names: what localhost and this host's name lead to, and the files that decide it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from lodiag.diagnoses import Diagnosis, Found, Seen, SkipError, find, told
from lodiag.diagnoses.localhost import is_well, tell_localhost
from lodiag.targets import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lodiag.diagnoses.survey import Survey
    from lodiag.model import Evidence
    from lodiag.model.doctor import Repair
    from lodiag.system.resolving import HostLine

GROUP = "names"
HOSTS, NSSWITCH = "/etc/hosts", "/etc/nsswitch.conf"
LOCAL_SOURCES = {"files", "myhostname", "resolve"}
"""Sources of nsswitch.conf(5) that know localhost by themselves."""
USUAL = ("127.0.0.1", "::1")


def _lines(survey: Survey, name: str = "localhost") -> list[HostLine]:
    return [line for line in survey.hosts.lines if line.name == name]


def _tell_lines(lines: Sequence[HostLine]) -> tuple[Evidence, ...]:
    return tuple(told(f"line {line.number}", f"{line.address} {line.name}", HOSTS) for line in lines[:4])


def look_at_file(survey: Survey) -> Seen:
    """Find that the hosts file cannot be read, or does not know localhost."""
    hosts = survey.hosts
    severity = "info" if is_well(survey) else "fail"
    if hosts.error is not None:
        is_missing = hosts.error == "ENOENT"
        why = "is a link to nothing" if hosts.is_dangling else "does not exist"
        found = find(
            "hosts-missing" if is_missing else "hosts-unreadable",
            severity,
            HOSTS,
            f"{HOSTS} {why if is_missing else 'may not be read by this user'}",
            (told(HOSTS, hosts.error, "open(2)"), tell_localhost(survey)),
            impact="The name localhost is asked of name servers." if severity == "fail" else None,
            fix=survey.system.prescribe("hosts-new" if is_missing else "hosts-readable"),
            see=("hosts(5)",),
        )
        return Seen(hosts.error, (found,))
    lines = _lines(survey)
    if lines:
        return Seen(f"hosts file {' '.join(dict.fromkeys(line.address for line in lines))}")
    found = find(
        "hosts-no-localhost",
        severity,
        HOSTS,
        f"{HOSTS} does not know the name localhost",
        (told("lines about localhost", 0, HOSTS), tell_localhost(survey)),
        impact="Whoever asks for localhost depends on name servers." if severity == "fail" else None,
        fix=_add_lines(survey),
        see=("hosts(5)", "RFC 6761 6.3"),
    )
    return Seen("no localhost", (found,))


def _add_lines(survey: Survey) -> Repair | None:
    has_six = survey.canary["udp", "ipv6"].error is None and survey.service is None  # which may not listen at ::1
    six = "::1\\tlocalhost\\n" if has_six else ""
    return _add(survey, f"127.0.0.1\\tlocalhost\\n{six}")


def _add(survey: Survey, lines: str) -> Repair | None:
    return survey.system.prescribe("hosts-add", lines=lines if survey.hosts.is_ended else f"\\n{lines}")


def look_at_sources(survey: Survey) -> Seen:
    """Find that the resolver does not look into the hosts file, or not first."""
    sources = survey.system.read_host_sources()
    if sources is None:
        reason = f"{NSSWITCH} does not say: the resolver has its own default"
        raise SkipError(reason)
    shown = " ".join(sources)
    measured = f"order {shown}"
    if any(source in LOCAL_SOURCES for source in sources) and is_well(survey):
        return Seen(measured)
    if "files" in sources and not _is_before(sources, "dns", "files"):
        return Seen(measured)
    found = find(
        "nss-no-files",
        "info" if is_well(survey) else "fail",
        NSSWITCH,
        f"{NSSWITCH} {'asks name servers before' if 'files' in sources else 'does not have the resolver read'} {HOSTS}",
        (told("hosts", shown, NSSWITCH), tell_localhost(survey)),
        impact="localhost and all other names of the hosts file are asked of name servers.",
        fix=survey.system.prescribe("nsswitch"),
        see=("nsswitch.conf(5)",),
    )
    return Seen(measured, (found,))


def _is_before(sources: Sequence[str], first: str, then: str) -> bool:
    return first in sources and then in sources and sources.index(first) < sources.index(then)


def look_at_localhost(survey: Survey) -> Seen:
    """Find that localhost leads nowhere, elsewhere, or to half of the loopback."""
    answer = survey.localhost
    addresses = tuple(dict.fromkeys(answer.addresses))
    measured = f"localhost {answer.error or ' '.join(addresses)}"
    return Seen(measured, tuple(_judge_localhost(survey, addresses)))


def _judge_localhost(survey: Survey, addresses: tuple[str, ...]) -> Iterator[Found]:
    lines = _lines(survey)
    evidence = (tell_localhost(survey), *_tell_lines(lines))
    if not addresses:
        yield find(
            "localhost-unresolved",
            "fail",
            "localhost",
            f"the name localhost cannot be resolved: {survey.localhost.error}",
            evidence,
            impact="Whoever asks for localhost fails.",
            confidence="possible",
            fix=None if lines else _add_lines(survey),
            see=("RFC 6761 6.3",),
        )
        return
    foreign = [address for address in addresses if not is_loopback(address)]
    other = [address for address in addresses if is_loopback(address) and address not in USUAL]
    if foreign:
        yield find(
            "hosts-foreign",
            "fail",
            "localhost",
            f"the name localhost leads to {' and '.join(foreign)}, which is not the loopback",
            evidence,
            impact="What is meant for this machine alone is sent to another, or nowhere.",
            fix=_replace(survey, foreign) or _add_lines(survey),
            see=("RFC 6761 6.3", "hosts(5)"),
        )
    elif other and "127.0.0.1" not in addresses:
        yield find(
            "hosts-other-loopback",
            "warn",
            "localhost",
            f"the name localhost leads to {' and '.join(other)} instead of 127.0.0.1",
            evidence,
            impact="A service that is bound to 127.0.0.1 is not found by that name.",
            fix=_replace(survey, other),
            see=("hosts(5)",),
        )
    elif addresses == ("::1",):
        yield _judge_v6_only(survey, evidence)
    if "::1" in addresses and survey.canary["tcp", "ipv6"].error is not None and len(addresses) > 1:
        yield find(
            "localhost-v6-dead",
            "warn",
            "localhost",
            "the name localhost leads to ::1 as well, which does not answer",
            (*evidence, told("tcp ::1", survey.canary["tcp", "ipv6"].error, "canary")),
            impact="Clients that try ::1 first, or alone, fail.",
            families={"ipv6"},
            see=("RFC 6724",),
        )


def _judge_v6_only(survey: Survey, evidence: tuple[Evidence, ...]) -> Found:
    is_dead = survey.canary["tcp", "ipv6"].error is not None
    return find(
        "hosts-v6-only",
        "fail" if is_dead else "warn",
        "localhost",
        f"the name localhost leads to ::1 only{', which does not answer' if is_dead else ''}",
        (*evidence, told("tcp ::1", survey.canary["tcp", "ipv6"].error or "answered", "canary")),
        impact="Services that are bound to 127.0.0.1 are not found by that name.",
        fix=_add(survey, "127.0.0.1\\tlocalhost\\n"),
        see=("hosts(5)", "RFC 6724"),
    )


def _replace(survey: Survey, addresses: Sequence[str]) -> Repair | None:
    """Have the lines of localhost that lead elsewhere lead to the loopback."""
    wrong = [line for line in _lines(survey) if line.address in addresses]
    repairs = tuple(
        survey.system.prescribe(
            "hosts-replace", numbers=str(line.number), address="::1" if ":" in line.address else "127.0.0.1"
        )
        for line in wrong
    )
    return survey.system.join_repairs(repairs)


def look_at_repetitions(survey: Survey) -> Seen:
    """Find that a name has one address twice."""
    lines = _lines(survey)
    twice = [address for address, count in Counter(line.address for line in lines).items() if count > 1]
    if not twice:
        return Seen("each address once")
    found = find(
        "hosts-dup",
        "info",
        "localhost",
        f"{HOSTS} gives localhost the address {' and '.join(twice)} more than once",
        _tell_lines(lines),
        impact="A service that binds each address of localhost finds the second one in use.",
        see=("hosts(5)",),
    )
    return Seen("an address twice", (found,))


def look_at_hostname(survey: Survey) -> Seen:
    """Find that the name of this host leads to an address of the loopback that others cannot use."""
    name = survey.hostname
    lines = _lines(survey, name.lower())
    addresses = list(dict.fromkeys(line.address for line in lines))
    measured = f"the host's own name is {' '.join(addresses) or 'not in the hosts file'}"
    if "127.0.1.1" not in addresses:
        return Seen(measured)
    found = find(
        "hostname-127-0-1-1",
        "info",
        name,
        f"the name of this host, {name}, leads to 127.0.1.1",
        _tell_lines(lines),
        impact="A service that binds the address of this host's name is reached there only, and from no other machine.",
        hint="Debian's installer writes that line for machines without a permanent address.",
        see=("hosts(5)",),
    )
    return Seen(measured, (found,))


DIAGNOSES = (
    Diagnosis(
        GROUP,
        "hosts",
        "does the hosts file know localhost",
        ("hosts-missing", "hosts-unreadable", "hosts-no-localhost"),
        look_at_file,
    ),
    Diagnosis(GROUP, "nsswitch", "does the resolver look into it", ("nss-no-files",), look_at_sources),
    Diagnosis(
        GROUP,
        "localhost",
        "does localhost lead to the loopback",
        ("localhost-unresolved", "hosts-foreign", "hosts-other-loopback", "hosts-v6-only", "localhost-v6-dead"),
        look_at_localhost,
    ),
    Diagnosis(GROUP, "repetitions", "has localhost each address once", ("hosts-dup",), look_at_repetitions),
    Diagnosis(GROUP, "hostname", "where does this host's name lead", ("hostname-127-0-1-1",), look_at_hostname),
)
