"""What the flows of ``map`` mean: connections of which one end is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.model import Evidence, Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lodiag.model.conns import ConnRecord, Endpoint
    from lodiag.model.map import FlowRecord

MOST_NAMED = 5
"""Connections that a finding names."""


def judge_mirrors(flow: FlowRecord, ends: Sequence[ConnRecord], method: str) -> Finding:
    """Report connections of a flow of which one end is there, and was confirmed to have no other."""
    subject = f"{flow.client.node} to {flow.server.node}, port {flow.port}"
    count = f"{len(ends)} connection{'s' if len(ends) > 1 else ''} from {subject},"
    shown = tuple(
        Evidence(name=f"{_write(end.local)} to {_write(end.remote)}", value=f"{end.state}, no other end", source=method)
        for end in ends[:MOST_NAMED]
    )
    return Finding(
        code="missing-mirror",
        severity="warn",
        subject=subject,
        message=f"{count} {'have' if len(ends) > 1 else 'has'} no other end in this network namespace",
        evidence=(*shown, *_count_others(len(ends) - MOST_NAMED, method)),
        hint="The other end went without a word to this one, or the packet filter keeps its word back, or leads its "
        "packets elsewhere, as it does for the published port of a container.",
        fix=None,
        see=("RFC 9293 3.5.1",),
    )


def _write(end: Endpoint | None) -> str:
    if end is None:
        return "-"
    return f"[{end.address}]:{end.port}" if ":" in end.address else f"{end.address}:{end.port}"


def _count_others(count: int, method: str) -> tuple[Evidence, ...]:
    return (Evidence(name="others", value=count, source=method),) if count > 0 else ()
