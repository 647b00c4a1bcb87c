"""The public names, and that a user's type checker and shell see them."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys

import pytest
from running import ROOT, environment

import lodiag
from lodiag import ConfigError, LodiagError, PrivilegeError, TargetError, UnsupportedError

PUBLIC = {
    "ConfigError",
    "Finding",
    "LodiagError",
    "PingOptions",
    "PingRun",
    "PrivilegeError",
    "Report",
    "System",
    "TargetError",
    "UnsupportedError",
    "__version__",
    "add_alias",
    "bench_loopback",
    "audit_bindings",
    "bring_down",
    "bring_up",
    "find_answerer",
    "list_connections",
    "list_interfaces",
    "map_flows",
    "diagnose",
    "ping_address",
    "remove_alias",
    "set_mtu",
    "trace_route",
    "watch_connections",
    "watch_interfaces",
    "run_checks",
    "sweep_sizes",
    "watch_route",
}


def test_public_names() -> None:
    assert set(lodiag.__all__) == PUBLIC
    assert set(dir(lodiag)) == PUBLIC


@pytest.mark.parametrize("name", sorted(PUBLIC - {"__version__"}))
def test_each_is_documented(name: str) -> None:
    assert inspect.getdoc(getattr(lodiag, name))


@pytest.mark.parametrize(
    "name",
    [
        "ping_address",
        "sweep_sizes",
        "trace_route",
        "bench_loopback",
        "list_connections",
        "watch_connections",
        "watch_route",
        "find_answerer",
        "map_flows",
        "run_checks",
        "audit_bindings",
        "list_interfaces",
        "watch_interfaces",
        "bring_up",
        "bring_down",
        "add_alias",
        "remove_alias",
        "set_mtu",
    ],
)
def test_each_parameter_is_documented(name: str) -> None:
    function = getattr(lodiag, name)
    text = inspect.getdoc(function) or ""
    for parameter in inspect.signature(function).parameters:
        assert re.search(rf"^    \*?{parameter}:", text, re.MULTILINE), parameter


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'pong'"):
        lodiag.pong  # noqa: B018 - asked for on purpose


def test_modules_stay_importable_by_name() -> None:
    modules = (
        "lodiag.ping, lodiag.trace, lodiag.bench, lodiag.conns, lodiag.who, lodiag.map, lodiag.iface, lodiag.audit, "
        "lodiag.check"
    )
    code = f"import {modules}, types; assert isinstance(lodiag.ping, types.ModuleType)"
    subprocess.run([sys.executable, "-c", code], env=environment(), check=True)


@pytest.mark.parametrize("kind", [TargetError, PrivilegeError, UnsupportedError, ConfigError])
def test_errors_have_one_base_a_code_and_a_hint(kind: type[LodiagError]) -> None:
    error = kind("It is so.", "Do this.")
    assert isinstance(error, LodiagError)
    assert (str(error), error.hint) == ("It is so.", "Do this.")
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", error.code)


def test_codes_of_errors_differ() -> None:
    kinds = [LodiagError, TargetError, PrivilegeError, UnsupportedError, ConfigError]
    assert len({kind.code for kind in kinds}) == len(kinds)


def test_the_package_is_marked_as_typed() -> None:
    assert (ROOT / "lodiag" / "py.typed").is_file()
