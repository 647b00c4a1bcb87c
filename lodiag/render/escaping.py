"""Text from outside, such as a process's name, made harmless for what is going to show it, and measured."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""Write control and other unprintable characters as ``\xNN``: no name can clear a terminal or forge a line."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def text(value: object) -> str:
    """Write a value; what was not measured is a dash."""
    return "-" if value is None else printable(str(value))


def display_width(text: str) -> int:
    """Count the columns that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # knows which characters take two columns, and which none

    return cell_len(text)
