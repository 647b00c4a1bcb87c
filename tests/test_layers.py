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
    ("errors", "dataclass", "__init__"),
    ("model",),
    ("clock", "histogram", "limits"),
    ("rtt",),
    ("system",),
    ("targets",),
    ("echo.sizes", "echo.options", "hops.options", "sockets.options", "benches.options"),
    ("judge",),
    ("report", "saved", "schedule", "schema"),
    # the parts of ping, trace, conns, who, map and iface; then these
    ("echo.fates", "echo.outages", "echo.fans", "echo.timetable", "hops.walk", "hops.mtu"),
    ("echo.oddities", "hops.paths", "sockets.describing", "sockets.changes", "flows.nodes", "links.plans"),
    ("echo.stream", "hops.tracing", "sockets.answers", "sockets.snapshot", "flows.pairs", "links.records"),
    (
        "echo.flood",
        "echo.loop",
        "echo.pulse",
        "sockets.choosing",
        "sockets.ordering",
        "flows.counting",
        "flows.mirrors",
    ),
    ("echo.run", "hops.rounds", "sockets.listing", "links.alterations", "links.rates"),
    ("echo.sweep", "sockets.watch"),
    ("sockets.board",),
    ("ping", "trace", "conns", "who", "iface"),
    ("map",),
    # bench
    ("benches", "benches.shares"),
    ("benches.kinds.rr",),
    ("benches.kinds.crr", "benches.kinds.stream", "benches.kinds.udp"),
    ("benches.baseline", "benches.comparing", "benches.rounds", "benches.watching"),
    ("benches.records", "benches.aside"),
    ("benches.against", "benches.verdicts"),
    ("benches.asking",),
    ("benches.run",),
    ("bench",),
    # doctor
    ("diagnoses.survey",),
    ("diagnoses",),
    (
        "diagnoses.causes",
        "diagnoses.culprits",
        "diagnoses.knocks",
        "diagnoses.links",
        "diagnoses.localhost",
        "diagnoses.ways",
    ),
    ("diagnoses.refusals",),
    ("diagnoses.groups",),
    ("diagnoses.catalogue",),
    ("diagnoses.explaining", "diagnoses.repairing"),
    ("doctor",),
    # check and audit, which are told what to expect
    ("checks.outcome", "checks.causes", "checks.words", "checks.lines"),
    ("checks.keys",),
    ("checks.kinds.tcp",),
    ("checks.kinds",),
    ("checks.source",),
    ("checks.reading",),
    ("checks.running", "checks.drafting"),
    ("check",),
    ("bindings.baseline", "bindings.peers", "bindings.policy"),
    ("audit",),
    ("render",),
    ("checks.quick",),
    ("cli",),
    ("__main__",),
)
RANKS = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
WHOLE = {"model", "system", "judge", "render", "cli", "checks.kinds", "diagnoses.groups"}
"""Packages with one layer for all that is in them; in any other each module has its own."""

MODULES = sorted(PACKAGE.rglob("*.py"))


def name_module(path: Path) -> str:
    """Dotted name of a module below ``lodiag``; a package's is that of what is in its ``__init__``."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts) or "__init__"


def is_room(path: Path) -> bool:
    """Whether it is the ``__init__`` of a package that has nothing in it but other modules."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return path.name == "__init__.py" and len(tree.body) == 1


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
    """Name in LAYERS of what a dotted name is in; the package itself is ``__init__``."""
    parts = dotted.split(".")[1:]
    names = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((name for name in names if name in RANKS), "__init__")


@pytest.mark.parametrize("path", MODULES, ids=name_module)
def test_imports_point_down(path: Path) -> None:
    own = find_layer(f"lodiag.{name_module(path)}")
    for name in find_imports(path):
        if name.startswith("lodiag."):
            other = find_layer(name)
            assert other == own or RANKS[other] < RANKS[own], f"{own} must not import {name}"


@pytest.mark.parametrize("package", ["diagnoses.groups", "render.layouts"])
def test_what_is_interchangeable_does_not_know_the_others(package: str) -> None:
    for path in (PACKAGE / package.replace(".", "/")).glob("*.py"):
        assert [name for name in find_imports(path) if name.startswith(f"lodiag.{package}.")] == []


@pytest.mark.parametrize("path", sorted((PACKAGE / "render").rglob("*.py")), ids=lambda path: path.name)
def test_a_format_knows_reports_only(path: Path) -> None:
    layers = {find_layer(name) for name in find_imports(path) if name.startswith("lodiag.")}
    assert layers <= {"render", "model", "errors", "dataclass"}


@pytest.mark.parametrize("path", sorted((PACKAGE / "judge").rglob("*.py")), ids=lambda path: path.name)
def test_a_judgement_does_not_touch_the_machine(path: Path) -> None:
    layers = {find_layer(name) for name in find_imports(path) if name.startswith("lodiag.")}
    assert layers <= {"judge", "model", "targets", "echo.sizes", "dataclass"}


OUTSIDE = [path for path in MODULES if path.relative_to(PACKAGE).parts[0] != "system"]


@pytest.mark.parametrize("path", OUTSIDE, ids=name_module)
def test_only_the_system_layer_names_its_sources(path: Path) -> None:
    foreign = {name.split(".")[0] for name in find_imports(path)}
    assert not foreign & {"icmplib", "psutil", "platform"}


def test_every_module_has_a_layer() -> None:
    names = {name_module(path) for path in MODULES if not is_room(path)}
    alone = {name for name in names if not any(name.startswith(f"{package}.") for package in WHOLE)}
    assert alone <= set(RANKS)
    assert set(RANKS) <= {name_module(path) for path in MODULES}
