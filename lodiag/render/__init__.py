"""Formats: a report in, text out. A format shows what the report holds; it judges, counts and filters nothing."""

from __future__ import annotations

TYPE_CHECKING = False  # a health check loads this, and should not load typing
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType
    from typing import Any

    from lodiag.model import Report

FORMATS = ("table", "json", "jsonl", "csv", "markdown", "prometheus")
"""Each is the name of a module here with a function ``render(report)``, which gives the text or an iterator of its
lines; those that can follow a ping as it runs also have ``render_reply(target, address, reply) -> str``."""

JUDGED = ("junit", "tap", "nagios", "github")
"""Further ones, likewise, for commands that judge: what a pipeline or a monitoring system reads."""

GRAPHS = ("mermaid", "dot")
"""Further ones, likewise, for the command whose records are the edges of a graph."""

PICTURES = ("svg",)
"""Further ones, likewise, for the command whose records have distributions."""

PIECE = 65_536
"""Characters written at once: as many as a pipe holds."""

WHOLE = ("record",)
"""Columns that stand for all records, where a report is otherwise shown by groups of them."""

COLUMNED = ("table", "markdown")
"""Formats in which the columns of a table of sockets can be chosen; the others have all."""


def load_format(name: str) -> ModuleType:
    """Load the module of one of these formats."""
    from importlib import import_module

    return import_module(f"lodiag.render.{name}")


def stream(
    report: Report[Any, Any],
    name: str,
    columns: Sequence[str] = (),
    width: int | None = None,
    encoding: str | None = None,
) -> Iterator[str]:
    """Write the report in one of ``FORMATS``, in pieces of some ten thousand characters.

    ``columns`` are those that a table of sockets is to have, in the formats of ``COLUMNED``, and ``width`` is that of
    the terminal, if there is one, to which a table is to be fitted. A table escapes what ``encoding`` cannot spell.
    """
    write = load_format(name).render
    arguments: tuple[Any, ...] = (columns, width, encoding) if name == "table" else (columns,) if columns else ()
    found: str | Iterator[str] = write(report, *arguments)
    if isinstance(found, str):
        yield found
        return
    piece: list[str] = []
    size = 0
    for text in found:
        piece.append(text)
        size += len(text)
        if size >= PIECE:
            yield "".join(piece)
            piece, size = [], 0
    yield "".join(piece)


def render(
    report: Report[Any, Any],
    name: str,
    columns: Sequence[str] = (),
    width: int | None = None,
    encoding: str | None = None,
) -> str:
    """Write the whole report in one of ``FORMATS``; the text ends with a newline unless it is empty."""
    return "".join(stream(report, name, columns, width, encoding))
