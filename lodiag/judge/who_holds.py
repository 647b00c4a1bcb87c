"""What holds a port and answers nobody: why an address is in use where nothing listens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.judge.who_words import name_owners, tell_socket
from lodiag.model import Evidence, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lodiag.model.who import WhoSocket, WhoSummary

MOST_SHOWN = 5
"""Sockets that a finding shows; it counts the others."""

MS_PER_S = 1000

_HINTS = {
    "bound": "What is bound and does not listen is about to start, or has not called listen; it answers nobody.",
    "self": (
        "It is connected to itself: a client that tried again and again to reach the service, which was not there, was "
        "given the service's port. End it before the service starts."
    ),
    "tcp": (
        "A connection has the port as its own end: it was given to a client, or a server stopped listening. A bind "
        "with SO_REUSEADDR gets past it if that had set it too, as servers do."
    ),
    "udp": "What is connected takes datagrams of its peer only.",
}


def judge_holders(summary: WhoSummary, proto: str) -> Iterator[Finding]:
    """Judge what holds the port of one protocol; where something listens there, that is worth no warning."""
    held = [item for item in summary.held if item.proto == proto]
    is_answered = any(item.proto == proto for item in summary.listeners)
    severity = "info" if is_answered else "warn"
    if held and not (proto == "udp" and is_answered):  # a server may have a connected socket for each of its clients
        yield _judge_held(summary, held, severity)
    if summary.time_waits and proto == "tcp":
        yield _judge_waits(summary, severity)


def _judge_held(summary: WhoSummary, held: Sequence[WhoSocket], severity: str) -> Finding:
    proto = held[0].proto
    names = list(dict.fromkeys(name_owners(item) for item in held))
    more = f" and {len(names) - MOST_SHOWN} more" if len(names) > MOST_SHOWN else ""
    kinds = dict.fromkeys(map(_name_kind, held))
    return Finding(
        code="port-held",
        severity=severity,
        subject=f"{proto} port {summary.port}",
        message=(
            f"{proto} port {summary.port} is held without answering by {', '.join(names[:MOST_SHOWN])}{more}: "
            "who binds the same address may find it in use (EADDRINUSE)"
        ),
        evidence=(
            Evidence(name="sockets", value=len(held), source="socket table"),
            *(tell_socket(item) for item in held[:MOST_SHOWN]),
        ),
        hint=" ".join(_HINTS[kind] for kind in kinds),
        fix=None,
        see=("bind(2)",),
    )


def _name_kind(item: WhoSocket) -> str:
    if item.state == "bound":
        return "bound"
    return "self" if item.proto == "tcp" and item.remote == item.local else item.proto


def _judge_waits(summary: WhoSummary, severity: str) -> Finding:
    """Say how long TIME_WAIT blocks a bind, which SO_REUSEADDR gets past only if the socket that waits had it too."""
    count = "a connection" if summary.time_waits == 1 else f"{summary.time_waits} connections"
    waits = "waits out its" if summary.time_waits == 1 else "wait out their"
    left = "a while" if summary.time_wait_ms is None else f"up to {-(-summary.time_wait_ms // MS_PER_S)} s"
    return Finding(
        code="time-wait-blocks-bind",
        severity=severity,
        subject=f"tcp port {summary.port}",
        message=f"{count} of tcp port {summary.port} {waits} end (TIME_WAIT): for {left} a bind may fail",
        evidence=(
            Evidence(name="time_waits", value=summary.time_waits, source="socket table"),
            Evidence(name="time_wait_ms", value=summary.time_wait_ms, source="socket table"),
        ),
        hint=(
            "Wait, or have the service set SO_REUSEADDR before it binds: that gets past what its like left behind, but "
            "not past a client that was given the port, unless that had set it too."
        ),
        fix=None,
        see=("socket(7)", "RFC 9293 3.3.2"),
    )
