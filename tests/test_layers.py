"""Imports point down only: cli, then renderers and judgements, then measuring, then the system, then the model."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest
from running import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PACKAGE = ROOT / "lodiag"
LAYERS = (
    ("errors", "__init__"),
    ("model",),
    ("clock", "histogram", "limits", "outages", "sizes"),
    ("tomllines",),
    ("rtt",),
    ("options",),
    ("baseline",),
    ("system",),
    ("targets",),
    ("judge",),
    ("report", "plans"),
    ("oddities", "fates"),
    ("echo", "hops", "pathmtu", "sockets", "changes", "benches", "links"),
    ("snapshot", "answers", "paths", "flood", "fans", "timetable", "alterations"),
    ("loop",),
    ("ping", "trace", "conns", "who", "pairs", "nodes", "mirrors", "peers", "iface"),
    ("survey",),
    ("diagnoses",),
    ("doctor", "repair", "pages"),
    ("schedule",),
    ("watch", "bench", "rounds", "flows", "rates"),
    ("board", "map", "sweep", "pulse"),
    ("checks",),
    ("checksource",),
    ("checkfile", "policy"),
    ("checkrun", "checkinit", "audit"),
    ("check",),
    ("render", "schema"),
    ("quick",),
    ("cli",),
    ("__main__",),
)
RANKS = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
MODULES = sorted(PACKAGE.rglob("*.py"))


def find_imports(path: Path) -> Iterator[str]:
    """Names of the modules of lodiag that a module loads; those of type checkers alone are left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def find_layer(dotted: str) -> str:
    """Part of lodiag that a dotted name is in; the package itself is ``__init__``."""
    part = dotted.split(".")[1]
    return part if part in RANKS else "__init__"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for name in find_imports(path):
        if name.startswith("lodiag."):
            other = find_layer(name)
            assert other == own or RANKS[other] < RANKS[own], f"{own} must not import {name}"


@pytest.mark.parametrize("path", sorted((PACKAGE / "render").rglob("*.py")), ids=lambda path: path.name)
def test_a_format_knows_reports_only(path: Path) -> None:
    layers = {find_layer(name) for name in find_imports(path) if name.startswith("lodiag.")}
    assert layers <= {"render", "model", "errors"}


@pytest.mark.parametrize("path", sorted((PACKAGE / "judge").rglob("*.py")), ids=lambda path: path.name)
def test_a_judgement_does_not_touch_the_machine(path: Path) -> None:
    layers = {find_layer(name) for name in find_imports(path) if name.startswith("lodiag.")}
    assert layers <= {"judge", "model", "targets", "sizes"}


OUTSIDE = [path for path in MODULES if path.relative_to(PACKAGE).parts[0] != "system"]


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_system_layer_names_its_sources(path: Path) -> None:
    foreign = {name.split(".")[0] for name in find_imports(path)}
    assert not foreign & {"icmplib", "psutil", "platform"}


def test_every_module_has_a_layer() -> None:
    assert {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in MODULES} == set(RANKS)
