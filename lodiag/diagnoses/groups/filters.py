"""The packet filter: told by what probes met and by which counters moved; its rules are read only to name the one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.diagnoses import WORDS, Diagnosis, Found, Seen, SkipError, find, tell_met, told
from lodiag.diagnoses.culprits import blame
from lodiag.targets import ADDRESSES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lodiag.diagnoses.survey import Survey
    from lodiag.model import Evidence

GROUP = "filter"
INPUT, OUTPUT = ("input", "prerouting", "ingress"), ("output", "postrouting", "egress")
REJECTIONS = {"EHOSTUNREACH", "ENETUNREACH", "ENOPROTOOPT", "EHOSTDOWN", "EACCES"}
HALF = 0.5


def look(survey: Survey) -> Seen:
    """Find that something stops what is sent to oneself though there is a way."""
    found = [item for family in ADDRESSES for item in _judge(survey, family)]
    return Seen("what is sent to oneself passes" if not found else "what is sent to oneself is stopped", tuple(found))


def _judge(survey: Survey, family: str) -> Iterator[Found]:
    tcp, udp = survey.meets(family)
    if tcp is None and udp is None:
        return
    route = survey.route(ADDRESSES[family])
    has_way = route is None or route.type == "local"
    if tcp == "EPERM":
        yield _make(survey, family, "xfrm-policy", "an IPsec policy refuses connections to oneself", ())
    elif udp == "EPERM" and not survey.train(family).arrived:
        yield _make(survey, family, "fw-output", "a packet filter does not let out what is sent to oneself", OUTPUT)
    elif tcp == "ECONNREFUSED" and udp in {None, "timeout"}:
        yield _make(survey, family, "fw-reset", "a packet filter refuses connections to a listener", (*INPUT, *OUTPUT))
    elif has_way and (tcp in REJECTIONS or udp in REJECTIONS | {"ECONNREFUSED"}) and not _is_barred(survey, family):
        yield _make(survey, family, "fw-reject", "a packet filter rejects what is sent to oneself", (*INPUT, *OUTPUT))
    elif udp != "EPERM" and "timeout" in (tcp, udp) and not _passes_now_and_then(survey, family):
        yield _judge_silence(survey, family)


def _is_barred(survey: Survey, family: str) -> bool:
    """Whether EACCES comes from this machine's policy, and not from an ICMP error that a filter sends."""
    return survey.meets(family, "tcp") == ("EACCES",) and not survey.is_rejected(family)


def _passes_now_and_then(survey: Survey, family: str) -> bool:
    """Whether some of many arrive: then they are lost or limited on the way, which is told by the train."""
    tcp, udp = survey.meets(family)
    has_some = udp is None or bool(survey.train(family).arrived)
    if udp == "timeout" and has_some:
        return True
    return tcp == "timeout" and any(met.error is None for met in survey.connects(family))


def _judge_silence(survey: Survey, family: str) -> Found:
    passed = survey.passed(family) if survey.meets(family, "udp") == ("timeout",) else {}
    where, hooks = _locate(passed, family)
    protos = [proto for proto in ("tcp", "udp") if survey.meets(family, proto) == ("timeout",)]
    what = "what is sent to oneself" if len(protos) > 1 else f"what is sent to oneself by {protos[0].upper()}"
    place = (told("dropped", where, "kernel counters"),) if where else ()
    counters = place + tuple(
        told(f"{family} {kind}", passed[f"{family} {kind}"], "kernel counters, over a train")
        for kind in ("out", "in", "delivered")
        if f"{family} {kind}" in passed
    )
    return _make(survey, family, "fw-input", f"a packet filter drops {what}", hooks, counters=counters)


def _locate(passed: Mapping[str, int], family: str) -> tuple[str, tuple[str, ...]]:
    """Tell by the counters how far a train came; those of a busy machine tell nothing."""
    sent, received = passed.get(f"{family} out", 0), passed.get(f"{family} in", 0)
    delivered = passed.get(f"{family} delivered", 0)
    if not sent:
        return "", (*INPUT, *OUTPUT)
    if received < sent * HALF:
        return "before it comes to IP", (*INPUT, *OUTPUT)
    if delivered < received * HALF:
        return "on its way in", INPUT
    return "", (*INPUT, *OUTPUT)


def _make(  # noqa: PLR0913 - what a finding is made of
    survey: Survey,
    family: str,
    code: str,
    what: str,
    hooks: tuple[str, ...],
    *,
    counters: tuple[Evidence, ...] = (),
) -> Found:
    met = [survey.canary[proto, family] for proto in ("tcp", "udp")]
    first = next(item.proto for item in met if item.error is not None)
    blamed = blame(survey, hooks, family, first) if hooks else None
    return find(
        code,
        "fail",
        ADDRESSES[family],
        f"{what} at {ADDRESSES[family]}",
        (*map(tell_met, met), *counters, *(blamed.evidence if blamed else ())),
        impact=f"{WORDS[family]} does not work over the loopback.",
        hint=blamed.hint if blamed else "See: ip xfrm policy",
        confidence=blamed.confidence if blamed else "likely",
        families={family},
        fix=blamed.fix if blamed else survey.system.prescribe("xfrm"),
        see=("nft(8)",) if blamed else ("ip-xfrm(8)",),
    )


def look_at_rules(survey: Survey) -> Seen:
    """Read the rules, for those that judge silence."""
    from lodiag.system.probe import MethodRefusedError

    try:
        chains = survey.ruleset
    except MethodRefusedError as refusal:
        reason = f"{refusal}: the packet filter is inferred from what probes meet, and from counters"
        raise SkipError(reason) from refusal
    return Seen(f"{len(chains)} chain{'' if len(chains) == 1 else 's'} of nftables")


DIAGNOSES = (
    Diagnosis(
        GROUP,
        "silence",
        "does something stop what is sent to oneself",
        ("fw-input", "fw-output", "fw-reset", "fw-reject", "xfrm-policy"),
        look,
    ),
    Diagnosis(GROUP, "rules", "which rules are there", (), look_at_rules),
)
