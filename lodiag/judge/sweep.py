"""From which size on probes to an address are lost, and what that says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.echo.sizes import HEADER_BYTES
from lodiag.judge.icmp_errors import tell_icmp_error
from lodiag.judge.places import tell_places
from lodiag.judge.silence import LOOK_AT_RULES, tell_errno
from lodiag.model import Evidence, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lodiag.model.ping import PingRecord


def judge_sweep(records: Sequence[PingRecord], edge: tuple[int, int] | None) -> Iterator[Finding]:
    """Judge the records of one address, in order of size.

    ``edge`` is the largest size that is answered before one that is not, and that one; ``None`` if there is none.
    """
    by_size = {record.size_bytes: record for record in records}
    if edge is not None:
        yield _judge_edge(by_size[edge[0]], by_size[edge[1]], records)
    answered = [record for record in records if record.received]
    lost = sum(record.lost + record.not_sent for record in answered)
    if lost:
        first = answered[0]
        sizes = [str(record.size_bytes) for record in answered if record.lost or record.not_sent]
        message = f"{lost} probes to {first.address} were lost of sizes of which others were answered"
        evidence = Evidence(name="sizes in bytes", value=" ".join(sizes), source="ping")
        yield _make("loss", "warn", first, message, (evidence,), f"On a loopback none should be. {LOOK_AT_RULES}")


def _judge_edge(passes: PingRecord, breaks: PingRecord, records: Sequence[PingRecord]) -> Finding:
    """Tell the edge, which is that of a packet if probes are lost from two fragments on."""
    in_pieces = passes.fragments == 1 and (breaks.fragments or 1) > 1
    larger = [record.size_bytes for record in records if record.received and record.size_bytes > breaks.size_bytes]
    icmp = tell_icmp_error(breaks.family, breaks.icmp_type, breaks.icmp_code, breaks.icmp_from)
    evidence = [
        Evidence(name="largest that is answered before", value=_tell_size(passes), source="ping"),
        Evidence(name="smallest that is not", value=_tell_size(breaks), source="ping"),
        Evidence(name="fragments of these", value=f"{passes.fragments} and {breaks.fragments}", source="interface mtu"),
        Evidence(name="error", value=breaks.error, source="probe"),
        *tell_errno(breaks.errno),
        *((icmp,) if icmp else ()),
        *tell_places(breaks),
    ]
    if larger:
        evidence.append(Evidence(name="larger sizes that are answered", value=len(larger), source="ping"))
    address, size = passes.address, breaks.size_bytes
    if in_pieces:
        message = f"{address} answers probes of {passes.size_bytes} bytes, and none of {size}, which leave in fragments"
        return _make("fragments-lost", "fail", passes, message, evidence, f"Something drops fragments. {LOOK_AT_RULES}")
    message = f"{address} answers probes of {passes.size_bytes} bytes, and none of {size}"
    return _make("large-probes-lost", "fail", passes, message, evidence, f"Something drops by size. {LOOK_AT_RULES}")


def _tell_size(record: PingRecord) -> str:
    whole = record.size_bytes + HEADER_BYTES[record.family]
    return f"{record.size_bytes} bytes of payload, {whole} with headers"


def _make(  # noqa: PLR0913, PLR0917 - what differs
    code: str, severity: str, record: PingRecord, message: str, evidence: Sequence[Evidence], hint: str
) -> Finding:
    return Finding(
        code=code,
        severity=severity,
        subject=record.address,
        message=message,
        evidence=tuple(evidence),
        hint=hint,
        fix=None,
        see=("RFC 8900",) if code == "fragments-lost" else (),
    )
