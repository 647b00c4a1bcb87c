"""One row a record, with the names of the JSON keys as header."""

from __future__ import annotations

import csv
from importlib import import_module
from io import StringIO
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from lodiag.dataclass import fields, is_dataclass
from lodiag.model import names_of, to_plain
from lodiag.render.escaping import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lodiag.model import Report


def render(report: Report[Any, Any]) -> Iterator[str]:
    """Write the records (RFC 4180): nested fields as ``local.port``, several owners joined by ``;``.

    What was not measured is an empty cell. The probes of a record, and the findings, are in the JSON.
    """
    paths = list(_find_paths(import_module(f"lodiag.model.{report.command}").RECORD))
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([".".join(path) for path in paths])
    for record in report.records:
        plain = to_plain(record)
        writer.writerow([_pick(plain, path) for path in paths])
        yield out.getvalue()
        out.seek(0)
        out.truncate()
    yield out.getvalue()


def _find_paths(kind: type) -> Iterator[tuple[str, ...]]:
    """Names of the columns of a record: by its type, so that they are the same whatever was measured."""
    hints = get_type_hints(kind)
    details = {item.name for item in fields(kind) if item.metadata["role"] == "detail"} if is_dataclass(kind) else set()
    for name in names_of(kind):
        if name in details:
            continue
        inner = next((found for found in _types_within(hints[name]) if names_of(found)), None)
        if inner is None:
            yield (name,)
        else:
            yield from ((name, *path) for path in _find_paths(inner))


def _types_within(hint: Any) -> Iterator[type]:  # noqa: ANN401 - any annotation
    arguments = get_args(hint)
    if not arguments:
        yield hint
    for argument in arguments:
        yield from _types_within(argument)


def _pick(value: Any, path: tuple[str, ...]) -> str:  # noqa: ANN401 - any part of a record
    if isinstance(value, list):
        return ";".join(_pick(inner, path) for inner in value)
    if value is None:
        return ""
    if path:
        return _pick(value[path[0]], path[1:])
    if isinstance(value, bool):
        return "true" if value else "false"
    return printable(str(value))
