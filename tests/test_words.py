"""One vocabulary: a field, an option or a code means the same wherever it stands, and its unit ends its name."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from running import ROOT

from lodiag.cli.parsing import COMMANDS, make_command_parser
from lodiag.schema import build_schema

if TYPE_CHECKING:
    import argparse

SHAPES: dict[str, Any] = build_schema()["$defs"]
README = (ROOT / "README.md").read_text(encoding="utf-8")

IPROUTE2 = {"IfaceRecord", "IfaceAddress", "LinkStats", "LinkReceived", "LinkSent", "Qdisc"}
IPROUTE2 |= {"Route", "RouteAnswer", "Rule"}
"""Their keys are those of ``ip -json``, so that what is known of it holds here, too."""

UNITS = ("_ms", "_s", "_bytes", "_ratio", "_ratios", "_bps", "_per_s", "_per_gb")
WITHOUT_UNIT = {"cores_used", "load_before", "slices", "baseline_slices"}
"""Numbers that may be fractions and have none, or that of the field which ``measure`` names."""

SEVERAL_KINDS = {
    "addresses": "counted in a summary of ping, listed by a check",
    "answered": "of one address, and counted in a summary",
    "exposed": "of one socket, and counted in a summary",
    "before": "all of an interface, and what changed of a record",
    "findings": "a round's, and those of the report",
    "local": "an address with a port, and in ip's words without",
    "ports": "of a process, and as a rule has them",
    "reached": "how far a probe came, and whether a trace did",
    "group": "of interfaces, in ip's words, and of diagnoses",
    "packets": "counted by the kernel, and those that were sent",
}
"""Fields that are of one kind here and of another there: each is the same thing, once told and once counted."""

OWN_CHOICES = {"--format", "--method", "--source"}
"""Options of which each command has the choices that it can offer."""

OWN_WORDS = {"--method", "--watch", "--deadline", "--yes", "--file", "--baseline", "--port", "--process", "--interval"}
OWN_WORDS |= {"--timeout", "--verbose", "--format", "--size", "--source-address"}
"""Options that mean the same everywhere, and are explained by what the command does."""


def kind_of(field: dict[str, Any]) -> frozenset[str]:
    """Kinds of JSON that a field may be, null aside; a number is one, whole or not."""
    kinds = set()
    for part in field.get("anyOf", [field]):
        found = part.get("type", "object")
        kinds |= {found} if isinstance(found, str) else set(found)
    return frozenset("number" if kind == "integer" else kind for kind in kinds - {"null"})


def test_a_field_is_of_one_kind_wherever_it_stands() -> None:
    kinds = defaultdict(set)
    for shape in SHAPES.values():
        for name, field in shape["properties"].items():
            kinds[name].add(kind_of(field))
    several = {name for name, found in kinds.items() if len(found) > 1}
    assert several - {"value"} <= set(SEVERAL_KINDS)


@pytest.mark.parametrize("shape", sorted(set(SHAPES) - IPROUTE2))
def test_the_unit_ends_the_name_of_what_is_measured(shape: str) -> None:
    for name, field in SHAPES[shape]["properties"].items():
        told = json_types(field)
        if "number" in told and shape != "Evidence":
            assert name.endswith(UNITS) or name in WITHOUT_UNIT, name
        says = str(field.get("description", ""))
        if re.match(r"Bytes (of|that|received|sent)\b", says) and name != "bytes":
            assert "bytes" in name, name
        if "RFC 3339" in says:
            assert name == "at" or name.endswith("_at"), name


def json_types(field: dict[str, Any]) -> set[str]:
    """Types of a field, and of the items of a list."""
    parts = field.get("anyOf", [field])
    found = [part.get("type", "object") for part in parts] + [part.get("items", {}).get("type", []) for part in parts]
    return {word for item in found for word in ([item] if isinstance(item, str) else item)}


def options() -> dict[str, list[tuple[str, argparse.Action]]]:
    """Each long option with the commands that have it."""
    found = defaultdict(list)
    for command in COMMANDS:
        for action in make_command_parser(command)._actions:  # noqa: SLF001 - argparse has no other list
            for spelled in action.option_strings:
                if spelled.startswith("--"):
                    found[spelled].append((command, action))
    return dict(found)


@pytest.mark.parametrize("spelled", sorted(name for name, found in options().items() if len(found) > 1))
def test_an_option_means_the_same_wherever_it_is_taken(spelled: str) -> None:
    (_, first), *others = options()[spelled]
    for command, action in others:
        assert action.metavar == first.metavar or spelled in OWN_CHOICES, command
        assert action.nargs == first.nargs or spelled in OWN_CHOICES, command
        assert action.type is first.type or callable(first.type), command
        assert action.help == first.help or spelled in OWN_WORDS, command
        assert action.choices == first.choices or spelled in OWN_CHOICES, command


@pytest.mark.parametrize("command", COMMANDS)
def test_each_option_is_explained_with_its_default(command: str) -> None:
    for action in make_command_parser(command)._actions:  # noqa: SLF001
        assert action.help, action.option_strings
        if action.option_strings and isinstance(action.default, (int, str)) and action.default is not False:
            assert "default" in action.help or action.choices, action.option_strings


TABLE = README.split("| code | what it means |")[1].split("\n\n")[0]
CODES = re.findall(r"`([a-z0-9-]+)`", "".join(re.findall(r"^\| (`[^|]+) \|", TABLE, re.MULTILINE)))


def test_each_code_is_defined_once() -> None:
    twice = {code for code, count in Counter(CODES).items() if count > 1}
    assert twice <= {"corrupted"}, "of a ping that got nothing else, and of one that did"


@pytest.mark.parametrize("code", sorted(set(CODES)))
def test_codes_are_words_with_hyphens(code: str) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code)
