"""Waiting for the first of many probes."""

from __future__ import annotations

import selectors
import time
from selectors import EVENT_READ, EVENT_WRITE
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lodiag.system.probe import ProbeSocket


Selector = getattr(selectors, "PollSelector", selectors.DefaultSelector)
"""poll() needs no descriptor of its own, and so still works when there is none left."""

LONGEST_SLEEP_S = 0.1
"""A signal that comes just before poll() sleeps is not noticed until it wakes, so it never sleeps for long."""


def wait(probes: Sequence[ProbeSocket], timeout_s: float) -> None:
    """Sleep until one of the probes has something to read, but no longer than ``timeout_s`` or 0.1 seconds."""
    pause_s = min(max(timeout_s, 0), LONGEST_SLEEP_S)
    with Selector() as selector:
        for probe in probes:
            for sock, is_write in probe.waits_for():
                selector.register(sock, EVENT_WRITE if is_write else EVENT_READ)
        if selector.get_map():
            selector.select(pause_s)
        else:  # Windows' select() takes no empty list
            time.sleep(pause_s)
