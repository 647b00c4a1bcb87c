"""How packets travel: a short train of datagrams and some connections at once tell loss, limits, doubles, delay."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

from lodiag.diagnoses import BOTH, Diagnosis, Found, Seen, SkipError, find, told
from lodiag.diagnoses.culprits import blame
from lodiag.system.train import WAGONS
from lodiag.targets import ADDRESSES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lodiag.diagnoses.survey import Survey
    from lodiag.model import Evidence
    from lodiag.system.train import Train

GROUP = "timing"
DELAY_MS = 5.0
"""The quickest of a train takes some hundredths of a millisecond, on a machine that is busy, too."""
LEAST_HEAD, REST = 2, 0.25
"""Of a train whose rate is limited, the head that passes, and the share of the rest that time lets pass as well."""
REFUSED_IN_PART = {"EPERM", "ENOBUFS"}
"""What send(2) says where a filter drops what is sent, or a queue is full: of some, it is a loss."""
LEAST_REORDERED = 3
"""A process that moves from one processor to another may once overtake itself."""
HOOKS = ("input", "prerouting", "ingress", "output", "postrouting", "egress")


def look(family: str, survey: Survey) -> Seen:
    """Find what is lost, doubled, out of order, damaged or late in a train of datagrams."""
    met = survey.canary["udp", family]
    if met.error not in {None, "timeout", *REFUSED_IN_PART}:
        reason = f"no datagram can be sent to {met.address}: {met.error}"
        raise SkipError(reason)
    train = survey.train(family)
    if not train.arrived and not train.damaged:
        reason = f"no datagram arrives at {met.address}"
        raise SkipError(reason)
    least = min(train.delays_ms, default=0.0)
    measured = f"{met.address} {len(set(train.arrived))}/{train.sent} in {least:g} ms"
    return Seen(measured, tuple(_judge(survey, train, least)))


def _judge(survey: Survey, train: Train, least_ms: float) -> Iterator[Found]:
    first_seen = list(dict.fromkeys(train.arrived))
    evidence = [told("sent", train.sent, "train"), told("arrived", len(first_seen), "train")]
    unsent = [error for error in train.refused if error in REFUSED_IN_PART]
    lost = train.sent - len(first_seen) - train.damaged + len(unsent)
    if unsent:
        evidence.append(told("refused", f"{len(unsent)} ({' '.join(dict.fromkeys(unsent))})", "train"))
    checksums = survey.passed(train.family).get("udp checksum errors", 0) if lost else 0
    if train.damaged or (lost and checksums):
        evidence.append(told("damaged", train.damaged, "train"))
        evidence.append(told("checksum errors", checksums, "kernel counters"))
        yield _make(survey, train.family, "corrupted", "packets to oneself are damaged on the way", evidence)
        lost -= checksums
    if lost > 0 and _is_limited(survey, train):
        what = "only the first packets of a burst to oneself arrive: their rate is limited"
        yield _make(survey, train.family, "fw-limit", what, evidence)
    elif lost > 0:
        yield _make(survey, train.family, "loss", "packets to oneself are lost on the way", evidence)
    doubled = len(train.arrived) - len(first_seen)
    if doubled:
        evidence.append(told("doubled", doubled, "train"))
        yield _make(survey, train.family, "duplicates", "packets to oneself arrive twice", evidence)
    behind = sum(after < before for before, after in pairwise(first_seen))
    if behind >= LEAST_REORDERED:
        evidence.append(told("out of order", behind, "train"))
        yield _make(survey, train.family, "reordered", "packets to oneself overtake each other", evidence)
    if least_ms >= DELAY_MS:
        evidence.append(told("shortest way", f"{least_ms:g} ms", "train"))
        yield _make(survey, train.family, "long-delay", "packets to oneself take milliseconds", evidence)


def _is_limited(survey: Survey, train: Train) -> bool:
    """Whether a rate is limited: only the head of the train arrived, or of the other one, and all but the end of this.

    A rule of both families lets so many packets through in all, and the second train may lose no more than its last.
    """
    seen = list(dict.fromkeys(train.arrived))
    if _is_prefix(seen, train.sent):
        return True
    (other,) = BOTH - {train.family}
    if sorted(seen) != list(range(len(seen))) or survey.canary["udp", other].error is not None:
        return False
    second = survey.train(other)
    return _is_prefix(list(dict.fromkeys(second.arrived)), second.sent)


def _is_prefix(arrived: Sequence[int], sent: int) -> bool:
    """Whether what arrived is the head of the train, and little of the rest: chance does not lose so."""
    seen = set(arrived)
    head = next(number for number in range(sent + 1) if number not in seen)
    rest = sent - head
    return head >= LEAST_HEAD and rest >= sent * REST and len(seen) - head <= rest * REST


def _make(  # noqa: PLR0913 - what a finding is made of
    survey: Survey, family: str, code: str, what: str, evidence: Sequence[Evidence], *, proto: str = "udp"
) -> Found:
    blamed = blame(survey, HOOKS, family, proto)
    return find(
        code,
        "fail",
        ADDRESSES[family],
        f"{what} ({ADDRESSES[family]})",
        (*evidence, *blamed.evidence),
        impact="Requests hang for seconds, again and again." if code in {"loss", "fw-limit"} else None,
        hint=blamed.hint,
        confidence="likely",
        families={family},
        fix=blamed.fix,
        see=("nft(8)", "tc(8)"),
    )


def look_at_connects(family: str, survey: Survey) -> Seen:
    """Find that some connections to oneself are made and others are not."""
    first = survey.canary["tcp", family]
    if first.error not in {None, "timeout"}:
        reason = f"no connection can be made to {first.address}: {first.error}"
        raise SkipError(reason)
    met = survey.connects(family)
    good = [item.error is None for item in met]
    measured = f"{first.address} {sum(good)}/{len(met)} connected"
    errors = {item.error for item in met if item.error is not None}
    if all(good) or errors - {"timeout", "ECONNREFUSED"} or (not any(good) and first.error is not None):
        return Seen(measured)
    evidence = (
        told("connections at once", len(met), "connect(2)"),
        told("connected", sum(good), "connect(2)"),
    )
    if survey.canary["udp", family].error is not None or len(set(survey.train(family).arrived)) < WAGONS:
        return Seen(f"{measured}, as datagrams are lost too")
    if good != sorted(good, reverse=True):
        found = _make(survey, family, "loss", "connections to oneself are made now and then", evidence, proto="tcp")
    else:
        what = "only the first of several connections to oneself are made: their rate or number is limited"
        found = _make(survey, family, "fw-limit", what, evidence, proto="tcp")
    return Seen(measured, (found,))


DIAGNOSES = tuple(
    Diagnosis(GROUP, f"{name}-{family}", f"{purpose} {address}", codes, partial(function, family))
    for name, purpose, codes, function in (
        (
            "train",
            "does a train of datagrams arrive whole, once, in order and at once at",
            ("loss", "fw-limit", "duplicates", "reordered", "corrupted", "long-delay"),
            look,
        ),
        ("connects", "are several connections at once made to", ("fw-limit", "loss"), look_at_connects),
    )
    for family, address in ADDRESSES.items()
)
