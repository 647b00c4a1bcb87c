"""What is watched as JSON lines: one of type ``watching``, then one of type ``event``, or ``round``, for each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lodiag.model import to_plain

if TYPE_CHECKING:
    from lodiag.model.rounds import TraceRound, TraceWatching
    from lodiag.model.watch import ConnEvent, Watching

_encode = json.JSONEncoder(allow_nan=False).encode


def render_start(watching: Watching | TraceWatching) -> str:
    """Write the first line."""
    return _encode({"type": "watching", **to_plain(watching)}) + "\n"


def render_event(event: ConnEvent) -> str:
    """Write the line of an event."""
    before = None if event.before is None else {name: to_plain(value) for name, value in event.before.items()}
    return _encode({"type": "event", **to_plain(event), "before": before}) + "\n"


def render_round(found: TraceRound) -> str:
    """Write the line of a round."""
    return _encode({"type": "round", **to_plain(found)}) + "\n"
