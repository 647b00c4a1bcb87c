"""The JSON Schema of reports, derived from the model, so that the two cannot differ."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from importlib import import_module
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from lodiag import model

DIALECT = "https://json-schema.org/draft/2020-12/schema"
COMMANDS = ("ping", "trace", "conns", "map")
"""Each has its record and its summary in the module of ``lodiag.model`` that bears its name."""

_SCALARS: dict[type, str] = {str: "string", bool: "boolean", int: "integer", float: "number", NoneType: "null"}


def build_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of every document that ``--json`` prints.

    Every key is always there. Later versions of ``lodiag/1`` may add keys; a reader must ignore those
    that it does not know.
    """
    definitions: dict[str, Any] = {}
    report = _describe(model.Report, definitions)
    report["properties"]["schema"]["const"] = model.SCHEMA
    report["properties"]["command"]["enum"] = list(COMMANDS)
    report["allOf"] = [_bind(command, definitions) for command in COMMANDS]
    return {
        "$schema": DIALECT,
        "$id": f"urn:lodiag:schema:{model.SCHEMA.rpartition('/')[2]}",
        "title": f"A report of {model.SCHEMA}",
        **report,
        "$defs": definitions,
    }


def _bind(command: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """Say what the records and the summary of one command are."""
    shapes = import_module(f"lodiag.model.{command}")
    records = {"type": "array", "items": _refer(shapes.RECORD, definitions)}
    properties = {"records": records, "summary": _refer(shapes.SUMMARY, definitions)}
    return {"if": {"properties": {"command": {"const": command}}}, "then": {"properties": properties}}


def _describe(kind: type, definitions: dict[str, Any]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    properties = {
        item.name: {
            "description": item.metadata["meaning"],
            **_translate(hints[item.name], definitions),
            **_restrict(item.name, item.metadata.get("one_of", ()), nullable=NoneType in get_args(hints[item.name])),
        }
        for item in fields(kind)
    }
    return {
        "type": "object",
        "description": (kind.__doc__ or "").partition("\n")[0],
        "properties": properties,
        "required": list(properties),
    }


def _restrict(name: str, one_of: tuple[str, ...], *, nullable: bool) -> dict[str, Any]:
    """Say which words a field can be, and that what ``_at`` names is an instant."""
    if one_of:
        return {"enum": [*one_of, *([None] if nullable else [])]}
    return {"format": "date-time"} if name.endswith("_at") else {}


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
