"""The JSON Schema of reports, derived from the model, so that the two cannot differ."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from lodiag import model
from lodiag.model.conns import ConnRecord, ConnsSummary
from lodiag.model.ping import PingRecord, PingSummary
from lodiag.model.trace import HopRecord, TraceSummary

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SHAPES = {
    "ping": (PingRecord, PingSummary),
    "trace": (HopRecord, TraceSummary),
    "conns": (ConnRecord, ConnsSummary),
}
"""Record and summary of each command's report."""

_SCALARS: dict[type, str] = {str: "string", bool: "boolean", int: "integer", float: "number", NoneType: "null"}


def build_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of every document that ``--json`` prints.

    Every key is always there. Later versions of ``lodiag/1`` may add keys; a reader must ignore those
    that it does not know.
    """
    definitions: dict[str, Any] = {}
    report = _describe(model.Report, definitions)
    report["properties"]["schema"]["const"] = model.SCHEMA
    report["properties"]["command"]["enum"] = list(SHAPES)
    report["allOf"] = [
        {
            "if": {"properties": {"command": {"const": command}}},
            "then": {
                "properties": {
                    "records": {"type": "array", "items": _refer(record, definitions)},
                    "summary": _refer(summary, definitions),
                }
            },
        }
        for command, (record, summary) in SHAPES.items()
    ]
    return {
        "$schema": DIALECT,
        "$id": f"urn:lodiag:schema:{model.SCHEMA.rpartition('/')[2]}",
        "title": f"A report of {model.SCHEMA}",
        **report,
        "$defs": definitions,
    }


def _describe(kind: type, definitions: dict[str, Any]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    properties = {
        item.name: {"description": item.metadata["meaning"], **_translate(hints[item.name], definitions)}
        for item in fields(kind)
    }
    return {
        "type": "object",
        "description": (kind.__doc__ or "").partition("\n")[0],
        "properties": properties,
        "required": list(properties),
    }


def _refer(kind: type, definitions: dict[str, Any]) -> dict[str, str]:
    if kind.__name__ not in definitions:
        definitions[kind.__name__] = {}
        definitions[kind.__name__] = _describe(kind, definitions)
    return {"$ref": f"#/$defs/{kind.__name__}"}


def _translate(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - any annotation
    if get_origin(hint) in {Union, UnionType}:
        choices = [_translate(choice, definitions) for choice in get_args(hint)]
        if all(set(choice) == {"type"} and isinstance(choice["type"], str) for choice in choices):
            return {"type": [choice["type"] for choice in choices]}
        return {"anyOf": choices}
    if get_origin(hint) is tuple:
        return {"type": "array", "items": _translate(get_args(hint)[0], definitions)}
    if is_dataclass(hint) and isinstance(hint, type):
        return _refer(hint, definitions)
    if isinstance(hint, TypeVar):  # what it stands for depends on the command
        return {}
    return {"type": _SCALARS[hint]}
