"""What is watched as lines.

As JSON: one of type ``watching``, then one of type ``event``, or ``round``, for each; of an interface one of type
``reading`` for each reading, or the same as text.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lodiag.model import to_plain
from lodiag.render.escaping import text
from lodiag.render.flows import size

if TYPE_CHECKING:
    from lodiag.model.iface import IfaceReading
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


def render_reading(reading: IfaceReading) -> str:
    """Write the line of a reading."""
    return _encode({"type": "reading", **to_plain(reading)}) + "\n"


def render_rates(reading: IfaceReading) -> str:
    """Write a reading for a person, in columns, of which 80 are enough; below it the fields that have changed."""
    state = "up" if reading.up else "down"
    counts = {"packets": reading.packets_per_s, "errors": reading.errors_per_s, "dropped": reading.dropped_per_s}
    rates = [
        f"{'-' if rate is None else f'{rate:.0f}':>{8 if name == 'packets' else 5}} {name}/s"
        for name, rate in counts.items()
    ]
    passed = size(None if reading.bytes_per_s is None else round(reading.bytes_per_s))
    changed = f"\n{' ' * len('hh:mm:ssZ')}  changed: {', '.join(reading.before)}" if reading.before else ""
    return f"{reading.at[11:19]}Z  {text(reading.ifname)} {state:<4} {passed:>9}/s {''.join(rates)}{changed}\n"
