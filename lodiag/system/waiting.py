"""Waiting for the first of many probes."""

from __future__ import annotations

import selectors
import time
from selectors import EVENT_READ, EVENT_WRITE, SelectSelector
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lodiag.system.probe import Waitable


LONGEST_SLEEP_S = 0.1
"""A signal that comes just before the kernel's sleep is not noticed until it is over, so none is long."""

SELECT_LIMIT = 1024
"""select() takes no descriptor from here on (FD_SETSIZE of Linux, macOS and the BSDs)."""

PollSelector = getattr(selectors, "PollSelector", SelectSelector)
"""poll() takes any descriptor, but sleeps for whole milliseconds; Windows has none, and its select() takes any."""


def wait(probes: Sequence[Waitable], timeout_s: float) -> None:
    """Sleep until one of the probes has something to read, but no longer than ``timeout_s`` or 0.1 seconds."""
    pause_s = min(max(timeout_s, 0), LONGEST_SLEEP_S)
    wanted = [entry for probe in probes for entry in probe.waits_for()]
    if not wanted:  # Windows' select() takes no empty list
        time.sleep(pause_s)
        return
    is_high = any(sock.fileno() >= SELECT_LIMIT for sock, _ in wanted)
    with PollSelector() if is_high else SelectSelector() as selector:
        for sock, is_write in wanted:
            selector.register(sock, EVENT_WRITE if is_write else EVENT_READ)
        selector.select(pause_s)
