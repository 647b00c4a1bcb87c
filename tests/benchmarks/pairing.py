"""Measuring in interleaved pairs: a machine that slows down slows both sides."""

from __future__ import annotations

import statistics
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def compare(name: str, first: Callable[[], float], second: Callable[[], float], pairs: int) -> None:
    """Print the medians of two measurements, and of their ratio pair by pair."""
    first()
    second()
    measured = [(first(), second()) for _ in range(pairs)]
    ratios = sorted(a / b for a, b in measured)
    a, b = (statistics.median(side) for side in zip(*measured, strict=True))
    sys.stdout.write(
        f"{name:<70} {a:9.3f} {b:9.3f}   ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})\n"
    )
    sys.stdout.flush()
