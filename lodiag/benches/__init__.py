"""The tests of ``bench``, interchangeable: each lists its cases, and measures a slice of one.

A test is a module with ``MEASURE``, the field of a record that its slices hold, ``list_cases(options, cores)``, and
``measure(case, options, ends, now_ns)``, which gives a ``Slice`` for each direction.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from lodiag.clock import NS_PER_S
from lodiag.targets import ADDRESSES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType

    from lodiag.benches.options import BenchOptions


LEAD_S = 0.002
"""For the two ends to take in what they are to do."""


class Case(NamedTuple):
    """A test over one path: ``family`` and ``address`` are ``None`` for unix, cores where the scheduler chooses."""

    test: str
    proto: str
    family: str | None
    address: str | None
    placement: str
    cores: tuple[int, int] | None
    congestion: str | None = None


class Slice(NamedTuple):
    """What one slice measured: ``value`` is that of ``MEASURE``, ``told`` is added up or kept by its name."""

    value: float | None
    told: dict[str, Any]
    direction: str | None = None


class Window(NamedTuple):
    """When a slice is measured: by the clock of all processes."""

    start_ns: int
    end_ns: int
    timeout_s: float


def load(test: str) -> ModuleType:
    """Load the module of a test."""
    return import_module(f"lodiag.benches.kinds.{test}")


def list_paths(options: BenchOptions) -> Iterator[tuple[str | None, str | None]]:
    """Yield family and address of each path that was asked for; unix, which has neither, last."""
    for family, address in ADDRESSES.items():
        if options.family in {None, family}:
            yield family, address
    yield None, None


def open_window(test: str, options: BenchOptions, now_ns: int) -> Window:
    """Say when a slice that is about to begin is measured."""
    lead_s, slice_s = LEAD_S + options.warm_up_s(test), options.slice_s(test)
    start_ns = now_ns + round(lead_s * NS_PER_S)
    return Window(start_ns, start_ns + round(slice_s * NS_PER_S), lead_s + slice_s)


def split_cores(case: Case, direction: str = "to-server") -> tuple[tuple[int, ...] | None, tuple[int, ...] | None]:
    """Cores of the sender and the receiver."""
    if case.cores is None:
        return None, None
    client, server = case.cores
    return ((client,), (server,)) if direction == "to-server" else ((server,), (client,))


def pair_answers(
    ways: Sequence[str], found: Sequence[dict[str, Any]]
) -> dict[str, list[tuple[dict[str, Any], dict[str, Any]]]]:
    """Put what senders and receivers tell, in turn, together: pairs by direction, in the order of the directions."""
    pairs: dict[str, list[tuple[dict[str, Any], dict[str, Any]]]] = {}
    for way, sent, received in zip(ways, found[::2], found[1::2], strict=True):
        pairs.setdefault(way, []).append((sent, received))
    return pairs
