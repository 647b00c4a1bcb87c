"""Where probes to an address were lost, by how far the kernel's stamps saw them come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.model import Evidence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lodiag.model.ping import PingRecord

DROPPED = {"lost_unqueued": "dropped-on-output", "lost_queued": "dropped-in-queue"}
"""Codes of silence that has but one place; past the queue there are several, and one is the target itself."""

_PLACES = {
    "lost_unqueued": ("never came to the queue of the interface", "An output rule drops them in silence."),
    "lost_queued": (
        "never left the queue of the interface",
        "What shapes its traffic drops them or still holds them, or it was down meanwhile.",
    ),
    "lost_sent": (
        "were handed to the interface",
        "A rule at prerouting or input drops them, or one at output their replies.",
    ),
}
"""Of each count in a record: how far those probes came, and what loses them there."""


def find_place(record: PingRecord) -> str | None:
    """Name the count that holds every silent probe of a record; ``None`` if there is none, or not one alone."""
    found = [name for name in _PLACES if getattr(record, name)]
    return found[0] if len(found) == 1 else None


def tell_places(record: PingRecord) -> Iterator[Evidence]:
    """Give as evidence how far the silent probes came."""
    for name, (place, _) in _PLACES.items():
        if count := getattr(record, name):
            yield Evidence(name=f"silent probes that {place}", value=count, source="kernel stamps")


def hint_at(record: PingRecord) -> str | None:
    """Say what loses probes where all the silent ones were lost; ``None`` if that is not one place."""
    place = find_place(record)
    return None if place is None else _PLACES[place][1]
