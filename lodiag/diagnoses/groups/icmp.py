"""ICMP: whether pings are answered, may be sent, and errors come back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.diagnoses import Diagnosis, Found, Seen, SkipError, find, tell, tell_met, told
from lodiag.diagnoses.culprits import blame
from lodiag.targets import ADDRESSES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lodiag.diagnoses.survey import Survey

GROUP = "icmp"
DENIED = {"EACCES", "EPERM"}
_STOPPED = {
    ("icmp", "icmp-error"): "echo requests and errors of ICMP do",
    ("icmp",): "echo requests of ICMP, or their replies, do",
    ("icmp-error",): "errors of ICMP do",
}
_IMPACTS = {
    "icmp": "ping fails.",
    "icmp-error": "What is sent to a closed UDP port is met by silence instead of a refusal.",
}


def look_at_echo(survey: Survey) -> Seen:
    """Find that pings are not answered: because the kernel ignores them, or because they do not arrive."""
    found = [item for family in ADDRESSES for item in _judge(survey, family)]
    all_met = {address: survey.canary["icmp", family] for family, address in ADDRESSES.items()}
    measured = ", ".join(f"{address} {met.error or f'{met.took_ms:g} ms'}" for address, met in all_met.items())
    if not found and None not in {met.error for met in all_met.values()}:
        if "timeout" not in {met.error for met in all_met.values()}:
            reason = f"no ping can be sent: {measured}"
            raise SkipError(reason)
        if not any(map(survey.answers, ADDRESSES)):
            reason = f"nothing is answered, by TCP and UDP neither: {measured}"
            raise SkipError(reason)
    return Seen(measured, tuple(found))


def _judge(survey: Survey, family: str) -> Iterator[Found]:
    setting = survey.settings.get(f"echo-ignored-{family}")
    met, error = survey.canary["icmp", family], survey.canary["icmp-error", family]
    is_ignored = setting is not None and setting.value not in {None, "0"}
    if is_ignored and setting is not None and met.error is not None:
        yield find(
            "icmp-ignored",
            "warn",
            setting.name,
            f"the kernel is set to ignore echo requests, so {ADDRESSES[family]} does not answer pings",
            (tell(setting), tell_met(met)),
            impact="ping fails; TCP and UDP are not touched.",
            families={family},
            fix=survey.system.prescribe("sysctl-0", parameter=setting.name, value=setting.value),
            see=("icmp(7)",),
        )
    is_silent = (met.error == "timeout" and not is_ignored) or (met.error == "EPERM" and met.stage == "send")
    suspected = {"icmp": is_silent, "icmp-error": error.error == "timeout"}
    silent = [
        proto
        for proto, is_so in suspected.items()
        if is_so and survey.answers(family) and survey.is_icmp_silent(family, proto)
    ]
    if silent:
        blamed = blame(survey, ("input", "prerouting", "output", "postrouting", "ingress"), family, "icmp")
        yield find(
            "fw-icmp",
            "warn",
            ADDRESSES[family],
            f"{_STOPPED[tuple(silent)]} not pass at {ADDRESSES[family]}, though TCP and UDP do: a filter stops them",
            (tell_met(met), tell_met(error), *blamed.evidence),
            impact=" ".join(_IMPACTS[proto] for proto in silent),
            hint=blamed.hint,
            confidence=blamed.confidence,
            families={family},
            fix=blamed.fix,
            see=("nft(8)",),
        )


def look_at_permission(survey: Survey) -> Seen:
    """Find that this user may not ping."""
    met = survey.canary["icmp", "ipv4"]
    if met.stage != "socket" or met.error not in DENIED:
        return Seen("ICMP sockets are to be had")
    setting = survey.settings["icmp-groups"]
    found = find(
        "icmp-denied",
        "info",
        setting.name,
        "this user may not open ICMP sockets: ping_group_range leaves its groups out, and it lacks CAP_NET_RAW",
        (tell(setting), told("ICMP socket", met.error, "socket(2)")),
        impact="ping is not possible for this user; lodiag ping --method udp is. The network is not at fault.",
        fix=survey.system.prescribe("icmp-groups", parameter=setting.name, value=setting.value),
        see=("icmp(7)",),
    )
    return Seen("ICMP sockets are refused", (found,))


DIAGNOSES = (
    Diagnosis(GROUP, "echo", "are pings answered, and do errors come back", ("icmp-ignored", "fw-icmp"), look_at_echo),
    Diagnosis(GROUP, "permission", "may this user ping", ("icmp-denied",), look_at_permission),
)
