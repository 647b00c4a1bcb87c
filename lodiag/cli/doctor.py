"""``lodiag doctor``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from lodiag.cli.judging import Sinks, add_fail_on_argument, add_judging_arguments
from lodiag.cli.output import tell
from lodiag.cli.shared import add_yes_argument

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from lodiag.cli.output import Output
    from lodiag.model import Finding, Report

USAGE = "[OPTIONS] [GROUP|CODE|PORT|ADDRESS:PORT ...]"
EXAMPLES = """examples:
  lodiag doctor                    what is wrong with the loopback
  lodiag doctor 5432               why the service at port 5432 does not answer
  lodiag doctor names icmp         two groups of diagnoses alone
  lodiag doctor --explain lo-mtu   what a code means, and what mends it
  lodiag doctor --fix              mend what may be mended, after asking
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``doctor`` takes."""
    parser.add_argument(
        "what",
        nargs="*",
        metavar="GROUP|CODE|PORT|ADDRESS:PORT",
        help="groups of diagnoses or codes to look for alone (default: all), or a service that does not answer",
    )
    add_fail_on_argument(parser.add_argument_group("judge"))
    change = parser.add_argument_group("change")
    change.add_argument(
        "--fix",
        action="store_true",
        help="repair lo, its addresses, mtu, queue and sysctls, local routes and rules; asks before each repair",
    )
    add_yes_argument(change, ", with --fix")
    show = parser.add_argument_group("show")
    show.add_argument("-v", "--verbose", action="store_true", help="show every diagnosis, and not only groups of them")
    show.add_argument("--explain", metavar="CODE", help="explain a code, and look at nothing")
    show.add_argument("--list", action="store_true", help="list groups, diagnoses and codes, and look at nothing")
    add_judging_arguments(parser)


def run(options: argparse.Namespace, output: Output) -> int:
    """Diagnose and print the report, or explain."""
    if options.explain is not None or options.list:
        from lodiag.diagnoses.explaining import explain, list_all

        output.write(list_all() if options.list else explain(options.explain))
        return 0
    with Sinks(options, output) as sinks:
        _require_sense(options, sinks.shown)
        asked, service = _split(options.what)
        report = _diagnose(asked, service)
        if options.fix:
            report = _repair(options, report, asked, service)
        status = sinks.write(report)
    return status or int(options.fail_on == "warn" and report.summary.warned > 0)


def _require_sense(options: argparse.Namespace, shown: str) -> None:
    """Raise ``ConfigError`` for options that do not go together."""
    from lodiag.errors import ConfigError

    if options.yes and not options.fix:
        message = "--yes goes with --fix alone"
        raise ConfigError(message)
    if options.fix and not options.yes:
        if shown != "table":
            message = f"the format {shown} changes nothing: --fix asks at a terminal"
            raise ConfigError(message, "With --yes it does not ask.")
        if not (sys.stdin and sys.stdin.isatty()):
            message = "--fix asks before each repair, and there is no terminal to ask at"
            raise ConfigError(message, "With --yes it does not ask.")


def _split(words: Sequence[str]) -> tuple[list[str], str | None]:
    """Tell the service from groups and codes; ``ConfigError`` if there are two."""
    from lodiag.errors import ConfigError

    services = [word for word in words if ":" in word or word.isdecimal()]
    if len(services) > 1:
        message = f"one service at a time: {services[0][:40]!r} and {services[1][:40]!r} are two"
        raise ConfigError(message)
    return [word for word in words if word not in services], next(iter(services), None)


def _diagnose(asked: Sequence[str], service: str | None) -> Report[Any, Any]:
    from lodiag.cli.progress import show_progress
    from lodiag.doctor import choose, diagnose

    total = len(choose(asked, with_service=service is not None))
    with show_progress("diagnoses", total) as step:
        return diagnose(*asked, service=service, progress=step)


def _repair(
    options: argparse.Namespace, report: Report[Any, Any], asked: Sequence[str], service: str | None
) -> Report[Any, Any]:
    """Repair what may be, and look again; the report as it was, if nothing was done."""
    from lodiag.diagnoses.repairing import list_repairs, repair
    from lodiag.doctor import diagnose
    from lodiag.system import System

    if not list_repairs(report):
        tell("nothing here is for --fix: what it may repair is not broken, and the rest is for a person to decide")
    done = repair(report, (lambda *_: True) if options.yes else _ask, System())
    return diagnose(*asked, service=service, repairs=done) if done else report


def _ask(finding: Finding, commands: Sequence[str]) -> bool:
    from lodiag.render.escaping import printable

    tell(f"{finding.code}: {printable(finding.message)}")
    for command in commands:
        tell(f"  {printable(command)}")
    try:
        return input("run this? [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        return False
