"""What it means who answers a port, who does not, and who holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.dataclass import replace
from lodiag.judge.services import is_full
from lodiag.judge.silence import Silence, judge_silence
from lodiag.judge.snapshot import name_end
from lodiag.judge.who_holds import judge_holders
from lodiag.judge.who_shares import judge_sharing
from lodiag.judge.who_words import name_owners, sockets_of, tell_record, tell_socket
from lodiag.model import Evidence, Finding
from lodiag.model.conns import Endpoint
from lodiag.targets import BROADCAST, family_of, is_loopback, is_wildcard

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lodiag.judge.silence import Surroundings
    from lodiag.model.who import WhoRecord, WhoSocket, WhoSummary
    from lodiag.system.facts import Condition

V4, V6 = "127.0.0.1", "::1"
LOOK = "See what listens: lodiag conns -l"


def judge_who(
    summary: WhoSummary, records: Sequence[WhoRecord], around: Surroundings, processes: Mapping[int, Condition]
) -> Iterator[Finding]:
    """Judge what a client meets: nobody, one of two families, two services, a full queue; and who holds the port.

    ``processes`` are the owners of what listens, if that is more than one socket.
    """
    for record in records:
        if record.status == "lo-down" or (record.status == "no-address" and record.address in summary.resolved):
            yield _judge_interface(record, around)
    if not summary.answered:
        yield _judge_nobody(summary, records)
    for proto in dict.fromkeys(record.proto for record in records):
        own = [record for record in records if record.proto == proto]
        yield from _judge_families(summary, own)
        yield from _judge_elsewhere(summary, own)
        yield from judge_sharing(summary, own, processes)
        yield from judge_holders(summary, proto)
    for record in records:
        for item in sockets_of(record):
            yield from _judge_queue(item)


def _judge_nobody(summary: WhoSummary, records: Sequence[WhoRecord]) -> Finding:
    protos = " or ".join(dict.fromkeys(record.proto.upper() for record in records))
    if any(record.socket for record in records):
        hint = "A socket is there, but nothing reaches it."
    elif summary.listeners:
        ends = ", ".join(dict.fromkeys(name_end(item.local, item.interface) for item in summary.listeners))
        hint = f"What listens is at {ends}, which does not take what is sent there."
    elif summary.held or summary.time_waits:
        hint = "It is held all the same, as told below."
    else:
        hint = f"Is the service running, and on that port? {LOOK}"
    return Finding(
        code="nobody-answers",
        severity="fail",
        subject=summary.name,
        message=f"nobody answers {summary.name} by {protos}",
        evidence=tuple(map(tell_record, records)),
        hint=hint,
        fix=None,
        see=(),
    )


def _judge_families(summary: WhoSummary, records: Sequence[WhoRecord]) -> Iterator[Finding]:
    """Find that one of 127.0.0.1 and ::1 answers and the other refuses; it matters less if no client is led there."""
    found = {record.address: record for record in records if record.address in {V4, V6}}
    answering = [address for address, record in found.items() if record.answered]
    refusing = [address for address, record in found.items() if record.status == "refused"]
    if not (answering and refusing):
        return
    (good,), (bad,) = answering, refusing
    by = "" if records[0].proto == "tcp" else f"by {records[0].proto.upper()} "
    is_met = bad in summary.resolved
    resolver = Evidence(name="localhost", value=" ".join(summary.resolved) or "no address", source="resolver")
    away = f"localhost does not lead to {bad} here, but clients with a resolver of their own may try it. "
    yield Finding(
        code="family-mismatch",
        severity="warn" if is_met else "info",
        subject=f"{records[0].proto} {name_end(Endpoint(address=bad, port=summary.port))}",
        message=f"{by}{good} answers, {bad} refuses: clients that try {bad} first fail",
        evidence=(tell_record(found[good]), tell_record(found[bad]), resolver),
        hint=f"{'' if is_met else away}Have the service listen on {bad} as well, or clients ask for {good}.",
        fix=None,
        see=("RFC 6724", "RFC 8305"),
    )


def _judge_elsewhere(summary: WhoSummary, records: Sequence[WhoRecord]) -> Iterator[Finding]:
    """Find that the service answers, but not where clients look for it."""
    led_to = {address for address in summary.resolved if is_loopback(address)}
    usual = led_to if led_to - {V4, V6} else {record.address for record in records if record.address in {V4, V6}}
    usual = usual or led_to
    if any(r.answered is not False or r.status == "lo-down" for r in records if r.address in usual):
        return
    proto = records[0].proto
    found = [item for item in summary.listeners if item.proto == proto and item.local.address not in usual]
    others = [item for item in found if not is_wildcard(item.local.address) and item.local.address != str(BROADCAST)]
    if not others:
        return
    ends = ", ".join(dict.fromkeys(name_end(item.local, item.interface) for item in others))
    yield Finding(
        code="only-at-another-address",
        severity="warn",
        subject=f"{proto} {ends}",
        message=f"{proto} port {summary.port} answers at {ends} only, not at {' or '.join(sorted(usual))}",
        evidence=tuple(tell_socket(item) for item in others),
        hint="Have clients ask there, or the service listen where they do.",
        fix=None,
        see=(),
    )


def _judge_queue(item: WhoSocket) -> Iterator[Finding]:
    """Find that a listener answers nobody more."""
    if not is_full(item):
        return
    yield Finding(
        code="accept-queue-full",
        severity="warn",
        subject=f"{item.proto} {name_end(item.local)}",
        message=f"the accept queue of {name_owners(item)} is full: who connects now waits, and may time out",
        evidence=(
            Evidence(name="accept_queue", value=item.accept_queue, source="sock_diag"),
            Evidence(name="backlog", value=item.backlog, source="sock_diag"),
            Evidence(name="drops", value=item.drops, source="sock_diag"),
        ),
        hint="The process does not call accept fast enough, or hangs. The limit is what it gave to listen(2).",
        fix=None,
        see=("listen(2)",),
    )


def _judge_interface(record: WhoRecord, around: Surroundings) -> Finding:
    """Name what keeps an address from being reached to which clients are led."""
    family = family_of(record.address)
    silence = Silence(
        address=record.address, family=family, error="address-not-available", evidence=(tell_record(record),)
    )
    found = judge_silence(silence, around, "fail" if record.status == "lo-down" else "warn")
    return replace(found, evidence=tuple(item for item in found.evidence if item.source != "probe"))
