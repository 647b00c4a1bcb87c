"""Pictures of numbers in text: a bar for each, or a character."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

LEVELS = "▁▂▃▄▅▆▇█"
ASCII = str.maketrans(dict(zip(LEVELS, "_..--==#", strict=True)) | {"▏": "|", "█": "#", "·": "."})
"""What stands for them where they cannot be written."""


def spark(values: Sequence[float]) -> str:
    """Draw each value as a character, as high as it is beside the greatest."""
    most = max(values, default=0)
    if most <= 0:
        return "-"
    return "".join(LEVELS[min(int(value / most * len(LEVELS)), len(LEVELS) - 1)] for value in values)


def bar(share: float, width: int) -> str:
    """Draw a share of ``width`` characters; what is more than nothing has one at least."""
    return LEVELS[-1] * max(round(share * width), int(share > 0))


def to_ascii(text: str) -> str:
    """Write pictures for a terminal that has no such characters."""
    return text.translate(ASCII)
