"""The JSON Schema of reports, derived from the model, so that the two cannot differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from lodiag import model
from lodiag.dataclass import fields, is_dataclass
from lodiag.model import iface, rounds, watch

DIALECT = "https://json-schema.org/draft/2020-12/schema"
COMMANDS = ("ping", "trace", "bench", "conns", "who", "map", "iface", "doctor", "audit", "check")
"""Each has its record and its summary in the module of ``lodiag.model`` that bears its name."""

_PLAIN: dict[type, str] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    NoneType: "null",
    dict: "object",
}


def build_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of every document that ``--json`` prints.

    Every key is always there. Later versions of ``lodiag/1`` may add keys; a reader must ignore those
    that it does not know.
    """
    definitions: dict[str, Any] = {}
    report = _describe(model.Report, definitions)
    report["properties"]["schema"]["const"] = model.SCHEMA
    report["properties"]["findings"]["items"] = {}  # what they are depends on the command, as below
    report["properties"]["command"]["enum"] = list(COMMANDS)
    report["allOf"] = [_bind(command, definitions) for command in COMMANDS]
    # Lines of conns --watch, trace --watch and iface --watch, which are no part of a report.
    for kind in (watch.Watching, watch.ConnEvent, rounds.TraceWatching, rounds.TraceRound, iface.IfaceReading):
        _refer(kind, definitions)
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
    finding = getattr(shapes, "FINDING", model.Finding)
    properties["findings"] = {"type": "array", "items": _refer(finding, definitions)}
    return {"if": {"properties": {"command": {"const": command}}}, "then": {"properties": properties}}


def _describe(kind: type, definitions: dict[str, Any]) -> dict[str, Any]:
    about = {item.name: item.metadata for item in fields(kind)} if is_dataclass(kind) else {}
    properties: dict[str, Any] = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        plain, *notes = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        known: Mapping[str, Any] = about.get(name, {})
        properties[name] = {
            "description": known.get("meaning") or notes[0],
            **_translate(plain, definitions),
            **_restrict(name, known.get("one_of", ()), nullable=NoneType in get_args(plain)),
        }
    return {
        "type": "object",
        "description": (kind.__doc__ or "").partition("\n")[0],
        "properties": properties,
        "required": list(properties),
    }


def _restrict(name: str, one_of: tuple[str, ...], *, nullable: bool) -> dict[str, Any]:
    """Say which words a field can be, and that what is named ``at`` or ``_at`` is an instant."""
    if one_of:
        return {"enum": [*one_of, *([None] if nullable else [])]}
    return {"format": "date-time"} if name == "at" or name.endswith("_at") else {}


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
    if get_origin(hint) in {tuple, Sequence}:
        return {"type": "array", "items": _translate(get_args(hint)[0], definitions)}
    if isinstance(hint, type) and model.names_of(hint):
        return _refer(hint, definitions)
    if isinstance(hint, TypeVar):  # what it stands for depends on the command
        return {}
    return {"type": _PLAIN[get_origin(hint) or hint]}
