"""Text for a person, wrapped between words; a command that is to be copied stays on one line."""

from __future__ import annotations

import re

from lodiag.render.escaping import display_width

TYPE_CHECKING = False  # a health check loads this, and should not load typing
if TYPE_CHECKING:
    from collections.abc import Iterator

WIDTH = 80
"""Columns of text that is read: also in a pipe, and on a terminal that is wider."""

LEAST_WIDTH = 20
"""What is narrower wraps the text itself."""

_COMMANDS = re.compile(r"(?<=See: ).*|(?<=: )lodiag .*?(?=; |\. |, |$)|(?<=^hint: )lodiag .*")
"""What hints hold of commands: several behind ``See:``, parted by ``; ``; those of lodiag behind any colon."""


def clamp(width: int | None) -> int:
    """Give the width of text on a terminal of this width, or of none."""
    return WIDTH if width is None else min(max(width, LEAST_WIDTH), WIDTH)


def wrap(text: str, width: int, lead: str = "", indent: str | None = None) -> Iterator[str]:
    """Break a text between words, so that lines have ``width`` columns at most if no word or command is longer.

    The first line begins with ``lead``, the others with ``indent``, or if there is none as the first.
    """
    line, begin = "", lead
    for word in _COMMANDS.sub(_bind, text).split(" "):
        if line and display_width(begin) + display_width(line) + 1 + display_width(word) > width:
            yield (begin + line).replace("\0", " ")
            line, begin = word, lead if indent is None else indent
        else:
            line = f"{line} {word}" if line else word
    yield (begin + line).replace("\0", " ")


def _bind(found: re.Match[str]) -> str:
    """Put a character between the words of a command that is no blank, and that no printable text holds."""
    return "; ".join(command.replace(" ", "\0") for command in found[0].split("; "))
