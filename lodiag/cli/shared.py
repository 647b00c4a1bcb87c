"""Options that several commands have: each is spelled, read and explained in one place.

Titles of groups of options are shared as well: ``select``, ``measure``, ``judge``, ``change``, ``show``, ``output``,
``more``.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from lodiag.limits import SOURCES, UNITS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Container = argparse._ActionsContainer  # noqa: SLF001 - a parser or a group, which argparse names by no other

FAMILIES = {"-4": "ipv4", "-6": "ipv6"}
WATCHED_S = 1.0
HABIT = "accepted for habit: it is the default"


def number(kind: type[int | float], unit: str = "") -> Callable[[str], float]:
    """Make a reader of numbers; whether one is in range is for the command to say."""
    name = "a whole number" if kind is int else "a number"

    def read(text: str) -> float:
        try:
            # Python alone knows numbers such as 1_000, and digits of other scripts.
            return kind(text if text.isascii() and "_" not in text else "")
        except ValueError as error:
            message = f"{text[:40]!r} is not {name}{unit}"
            raise argparse.ArgumentTypeError(message) from error

    return read


def seconds(text: str) -> float:
    """Read seconds, or a number with a unit as in 250ms, 2s, 5m, 1h; whether it is in range the command says."""
    units = [unit for unit in UNITS if text.endswith(unit) and text[: -len(unit)][-1:].isdigit()]
    unit = units[0] if units else ""
    try:
        return number(float)(text.removesuffix(unit)) * UNITS.get(unit, 1.0)
    except argparse.ArgumentTypeError as error:
        message = f"{text[:40]!r} is not a number of seconds, nor one with a unit, as in 250ms, 2s or 5m"
        raise argparse.ArgumentTypeError(message) from error


def add_family_arguments(container: Container) -> None:
    """Add -4 and -6, which exclude each other."""
    group = container.add_mutually_exclusive_group()
    for option, family in FAMILIES.items():
        group.add_argument(
            option, dest="family", action="store_const", const=family, help=f"IPv{option[1]} only", default=None
        )


def add_proto_arguments(container: Container) -> None:
    """Add -t and -u; ``choose_proto`` reads them."""
    container.add_argument("-t", "--tcp", action="store_true", help="TCP (default: TCP and UDP)")
    container.add_argument("-u", "--udp", action="store_true", help="UDP")


def choose_proto(options: argparse.Namespace) -> str | None:
    """Protocol that was asked for; ``None`` for both."""
    return None if options.tcp == options.udp else "tcp" if options.tcp else "udp"


def add_source_argument(container: Container, sources: Iterable[str] = SOURCES) -> None:
    """Add --source."""
    container.add_argument(
        "--source", choices=tuple(sources), help="where to read it (default: the first of these that is to be had)"
    )


def add_cmdline_argument(container: Container) -> None:
    """Add --cmdline."""
    container.add_argument("--cmdline", action="store_true", help="show command lines, which may hold secrets")


def add_watch_argument(container: Container, what: str) -> None:
    """Add --watch; ``what`` says what is done again and again."""
    container.add_argument("--watch", type=seconds, nargs="?", const=WATCHED_S, metavar="SECONDS", help=what)


def add_deadline_argument(container: Container, *letters: str, usual: str = "") -> None:
    """Add --deadline."""
    container.add_argument(
        *letters, "--deadline", type=seconds, help=f"seconds after which to stop{usual}", metavar="SECONDS"
    )


def add_histogram_argument(container: Container) -> None:
    """Add --histogram."""
    container.add_argument("--histogram", action="store_true", help="draw the round trips as bars, below the table")


def add_file_of_checks_argument(container: Container, usual: str) -> None:
    """Add -f, --file."""
    container.add_argument(
        "-f", "--file", metavar="FILE", help=f"file of what is expected, - for standard input (default: {usual})"
    )


def add_yes_argument(container: Container, what: str) -> None:
    """Add -y, --yes."""
    container.add_argument("-y", "--yes", action="store_true", help=f"agree without being asked{what}")
