"""What a call of ``bench`` asks for: which tests, which service, which baseline, and whether this machine has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lodiag.benches.options import BenchOptions
from lodiag.errors import ConfigError
from lodiag.model.bench import TESTS
from lodiag.targets import resolve_target, split_target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lodiag.benches.baseline import Baseline
    from lodiag.system import System

ALL = "all"


class Beside(NamedTuple):
    """What to judge by."""

    baseline: Baseline
    limits: dict[str, float]


class Service(NamedTuple):
    """A running service: addresses that it may have, in the order in which a client tries them."""

    addresses: tuple[str, ...]
    port: int
    kind: str


def choose_tests(names: Sequence[str]) -> tuple[str, ...]:
    """Tests that were asked for, in their usual order; those unknown last, to be complained of."""
    if not names or ALL in names:
        return TESTS
    return (*(test for test in TESTS if test in names), *(name for name in names if name not in TESTS))


def require_plain(options: BenchOptions, runs: int, baseline: str | None) -> None:
    """Raise ``ConfigError`` for options that a running service has no use for."""
    usual = BenchOptions(time_s=options.time_s, quick=options.quick, family=options.family)
    if options != usual or runs != 1 or baseline is not None:
        message = "a running service is measured by connections and requests, one at a time"
        raise ConfigError(message, "Beside --against leave out all but -t, -4, -6, --quick and --request.")


def find_service(target: str | int, family: str | None, system: System) -> tuple[tuple[str, ...], int]:
    """Addresses and port of a service; with a port alone, those of localhost."""
    host, port = split_target(target)
    return resolve_target("localhost" if host is None else host, family, system), port


def prepare_baseline(system: System, options: BenchOptions, path: str | None, fail_if: Sequence[str]) -> Beside | None:
    """Read what to judge by; ``ConfigError`` where a comparison would say nothing."""
    if path is None:
        if fail_if:
            message = "fail-if speaks of a baseline, and there is none"
            raise ConfigError(message, "Name it by --baseline FILE.")
        return None
    from lodiag.benches.baseline import read_baseline, require_comparable
    from lodiag.benches.verdicts import parse_limits

    if options.quick:
        message = "two slices of each test are too few to be compared"
        raise ConfigError(message, "Leave out --quick.")
    limits = parse_limits(fail_if)
    found = read_baseline(path)
    require_comparable(found, system.describe_machine(), options)
    return Beside(found, limits)


def check_machine(system: System, options: BenchOptions, cores: tuple[int, ...]) -> None:
    """Raise ``ConfigError`` where this machine does not have what an option names."""
    if options.congestion is not None:
        system.check_congestion(options.congestion)
    if options.affinity is not None:
        missing = [core for core in options.affinity if core not in cores]
        if missing:
            known = ", ".join(map(str, sorted(cores))) or "none: this system does not let them be chosen"
            message = f"core {missing[0]} cannot be used"
            raise ConfigError(message, f"Cores that this process may use: {known}.")
    if options.busy_poll and options.affinity is None and len(cores) < 2:  # noqa: PLR2004 - one for each end
        message = "busy-poll needs two cores: on one, who waits awake keeps the other from answering"
        raise ConfigError(message, "Leave it out.")
