"""What it means that one method reaches an address and another does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.judge.silence import LOOK_AT_RULES, make_finding, tell
from lodiag.model import Evidence, Finding
from lodiag.targets import family_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lodiag.hops.options import TraceOptions
    from lodiag.judge.silence import Surroundings
    from lodiag.model.trace import TraceMethod, TraceSummary

_FILTERS = {
    "ICMP": "a filter drops echo requests, or the replies",
    "UDP": "a filter drops UDP, or the ICMP errors by which a closed port answers",
    "TCP": "a filter drops TCP",
}


_OF_SERVICES = {
    "UDP": "what listens on port {port} may take probes without an answer, or a filter drops UDP",
    "TCP": "what listens on port {port} may have a full accept queue, or a filter drops TCP",
}
"""Where a service was asked."""

NOT_ASKED = frozenset({"too-many-open-files", "send-failed", "no-buffer-space", "interrupted"})
"""What keeps a method from being tried, and so tells nothing of the way."""

_IGNORED = "the kernel is set to ignore echo requests"


def is_echo_ignored(method: str, family: str, around: Surroundings) -> bool:
    """Whether the kernel is set not to answer this method's probes."""
    return method.startswith("icmp") and around.settings[f"echo-ignored-{family}"].value == "1"


def judge_methods(summary: TraceSummary, options: TraceOptions, around: Surroundings) -> Iterator[Finding]:
    """Judge how several methods differ; one alone differs from nothing."""
    blocked = [found for found in summary.methods if not found.reached and found.error not in NOT_ASKED]
    passing = [found for found in summary.methods if found.reached]
    if blocked and passing:
        yield from _judge_blocked(summary.address, blocked, passing, options, around)
    elif len({found.hops for found in passing}) > 1:
        ways = ", ".join(f"{_name(found)} at hop {found.hops}" for found in passing)
        message = f"{summary.address} is reached by {ways}: some of its traffic is led another way"
        yield _differ("warn", summary.address, message, _tell_methods(passing))


def _judge_blocked(
    address: str,
    blocked: Sequence[TraceMethod],
    passing: Sequence[TraceMethod],
    options: TraceOptions,
    around: Surroundings,
) -> Iterator[Finding]:
    family = family_of(address)
    setting = around.settings[f"echo-ignored-{family}"]
    causes, evidence = [], [*_tell_methods((*blocked, *passing))]
    for found in blocked:
        cause = (_FILTERS if options.port is None else _FILTERS | _OF_SERVICES)[_name(found)].format(port=found.port)
        if found.error != "timeout":
            cause = make_finding(found.error or "send-failed", "fail", address, ()).message
        elif found.method.startswith("icmp"):
            evidence.append(tell(setting))
            if setting.value == "1":
                cause = _IGNORED
                yield make_finding("icmp-ignored", "fail", address, (tell(setting),), setting.name)
            elif setting.value is None:
                cause = f"{cause}, or {setting.name} is set"
        causes.append(cause)
    if set(causes) == {_FILTERS["ICMP"], _FILTERS["UDP"]}:
        causes = ["a filter drops ICMP, by which a closed UDP port answers as well"]
    verdict = f"{_list(blocked)} {'is' if len(blocked) == 1 else 'are'} blocked"
    rest = f"{_list(passing)} {'passes' if len(passing) == 1 else 'pass'}"
    hint = None if all(cause == _IGNORED for cause in causes) else LOOK_AT_RULES
    yield _differ("fail", address, f"{verdict} on the way to {address}, {rest}: {'; '.join(causes)}", evidence, hint)


def _differ(
    severity: str, address: str, message: str, evidence: Sequence[Evidence], hint: str | None = LOOK_AT_RULES
) -> Finding:
    return Finding(
        code="methods-differ",
        severity=severity,
        subject=address,
        message=message,
        evidence=tuple(evidence),
        hint=hint,
        fix=None,
        see=(),
    )


def _tell_methods(methods: Sequence[TraceMethod]) -> list[Evidence]:
    return [
        Evidence(
            name=_name(found),
            value=found.error if found.hops is None else f"reached at hop {found.hops}",
            source=f"{found.method} probe",
        )
        for found in methods
    ]


def _name(found: TraceMethod) -> str:
    return found.method.partition("-")[0].upper()


def _list(methods: Sequence[TraceMethod]) -> str:
    return " and ".join(_name(found) for found in methods)
