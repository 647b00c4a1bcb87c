"""An earlier report of ``bench``, beside which a new one is judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from lodiag.benches.shares import Piece
from lodiag.errors import ConfigError
from lodiag.model import names_of, to_plain
from lodiag.model.bench import BenchMachine, BenchParameters
from lodiag.saved import UnusableError, read_report

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lodiag.benches.options import BenchOptions
    from lodiag.model.bench import BenchRecord

LEAST_ROUNDS = 3
"""Slices of a run from which anything can be said."""
MUST_AGREE = ("kernel", "cpu", "cores")
"""What of the machine decides speed so much that a comparison would speak of it, and not of a change."""

CONGESTION = "net.ipv4.tcp_congestion_control"

Name = tuple[str, ...]


class Baseline(NamedTuple):
    """What an earlier report measured, by the name of each test and path: the slices of each of its runs."""

    made_at: str
    machine: Mapping[str, Any]
    parameters: Mapping[str, Any]
    runs: Mapping[Name, Sequence[Sequence[Piece]]]


def name_record(record: BenchRecord | Mapping[str, Any]) -> Name:
    """Name a test and its path: what two records must share to be compared."""
    plain: Mapping[str, Any] = record if isinstance(record, dict) else to_plain(record)
    parts = (plain[name] for name in ("test", "proto", "family", "placement", "direction", "congestion"))
    return tuple(str(part) for part in parts if part is not None)


def read_baseline(path: str) -> Baseline:
    """Read what ``bench --save`` or ``bench --json`` wrote; ``ConfigError`` if it is no such report."""
    try:
        report = read_report(path, "bench")
    except UnusableError as error:
        _refuse(path, str(error))
    try:
        return _understand(path, report)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        _refuse(path, f"it lacks what bench writes: {error!r:.60}")


def _understand(path: str, report: Mapping[str, Any]) -> Baseline:
    summary = report["summary"]
    if int(summary["rounds"]) < LEAST_ROUNDS:
        _refuse(path, "it has too few slices to compare with, as --quick takes them")
    runs = {name_record(record): _split(record) for record in report["records"] if record["slices"]}
    machine = {name: summary["machine"][name] for name in names_of(BenchMachine)}
    parameters = {name: summary["parameters"][name] for name in names_of(BenchParameters)}
    return Baseline(str(report["started_at"]), machine, parameters, runs)


def _split(record: Mapping[str, Any]) -> list[list[Piece]]:
    """Give the slices of each run."""
    slices = [
        Piece(float(value), None if taken is None else float(taken))
        for value, taken in zip(record["slices"], record["taken_ratios"], strict=True)
    ]
    found, begun = [], 0
    for count in record["run_slices"]:
        found.append(slices[begun : begun + int(count)])
        begun += int(count)
    return found


def require_comparable(found: Baseline, machine: BenchMachine, options: BenchOptions) -> None:
    """Raise ``ConfigError`` where a difference would be one of the machine, or of what was asked for."""
    now = to_plain(machine)
    different = [(name, found.machine[name], now[name]) for name in MUST_AGREE if found.machine[name] != now[name]]
    asked = to_plain(describe_parameters(options))
    different += [
        (name, found.parameters[name], asked[name]) for name in asked if found.parameters[name] != asked[name]
    ]
    if options.congestion is None:
        different += [change for change in _list_changed_settings(found, machine) if change[0] == CONGESTION]
    if different:
        told = "; ".join(
            f"{name.removesuffix('_s')} was {was!s:.60} and is {is_now!s:.60}" for name, was, is_now in different
        )
        message = f"the baseline cannot be compared with: {told}"
        raise ConfigError(message, "Nothing was measured. Save a new one, or measure as it was measured.")


def list_changes(found: Baseline, machine: BenchMachine) -> Iterator[tuple[str, Any, Any]]:
    """Yield what else of the machine is not as it was: name, then, now."""
    now = to_plain(machine)
    for name in ("python", "governor", "clock", "qdisc", "mtu_bytes", "cpu_max"):
        if found.machine[name] != now[name]:
            yield name, found.machine[name], now[name]
    yield from _list_changed_settings(found, machine)


def _list_changed_settings(found: Baseline, machine: BenchMachine) -> Iterator[tuple[str, Any, Any]]:
    then = {setting["name"]: setting["value"] for setting in found.machine["settings"]}
    for setting in machine.settings:
        if setting.name in then and then[setting.name] != setting.value:
            yield setting.name, then[setting.name], setting.value


def describe_parameters(options: BenchOptions) -> BenchParameters:
    """Tell what was asked for."""
    return BenchParameters(**{name: getattr(options, name) for name in names_of(BenchParameters)})


def _refuse(path: str, why: str) -> NoReturn:
    message = f"the baseline {path[:200]!r} cannot be used: {why}"
    raise ConfigError(message, "Save one by lodiag bench --save FILE.")
