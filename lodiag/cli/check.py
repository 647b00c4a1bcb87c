"""``lodiag check``."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

from lodiag.cli import SIGNAL_STATUS, Terminated
from lodiag.cli.judging import Sinks, add_fail_on_argument, add_judging_arguments
from lodiag.cli.shared import add_file_of_checks_argument, seconds

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from lodiag.checks.running import Run
    from lodiag.cli.output import Output

USAGE = "[OPTIONS] [CHECK ...] [-- COMMAND [ARGUMENT ...]]"
EXAMPLES = """examples:
  lodiag check                                what lodiag.toml here expects
  lodiag check tcp:5432 --wait 30s -- pytest  wait for a service, then run
  lodiag check http://127.0.0.1:8080/healthz  a container's health check
  lodiag check listen:5432 --set listen:5432.exposed=false
  lodiag check --init > lodiag.toml           a file of what runs now
"""
TAKES_COMMAND = True
"""Words after ``--`` are a command to run in the end."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``check`` takes."""
    parser.add_argument(
        "checks",
        nargs="*",
        metavar="CHECK",
        help="tcp:8080, tcp4:[HOST:]PORT, udp:53, http://127.0.0.1:8080/, listen:5432, free:3000, ping:localhost, "
        "trace:localhost, resolve:localhost, bench:rr, doctor, iface (default: those of lodiag.toml)",
    )
    measure = parser.add_argument_group("measure")
    measure.add_argument(
        "--wait", type=seconds, metavar="SECONDS", help="wait so long until all pass, as in 30s or 5m (default: 0)"
    )
    measure.add_argument(
        "--timeout", type=seconds, metavar="SECONDS", help="time that one attempt may take (default: 2s)"
    )
    measure.add_argument(
        "--interval", type=seconds, metavar="SECONDS", help="pause between two attempts (default: 250ms)"
    )
    judge = parser.add_argument_group("judge")
    add_file_of_checks_argument(judge, "lodiag.toml")
    judge.add_argument(
        "--set",
        dest="changes",
        action="append",
        default=[],
        metavar="ID.KEY=VALUE",
        help="set a key of a check, or of defaults; several times for several",
    )
    add_fail_on_argument(judge)
    judge.add_argument(
        "--strict", dest="fail_on", action="store_const", const="warn", help="the same as --fail-on warn"
    )
    show = parser.add_argument_group("show")
    show.add_argument("-v", "--verbose", action="store_true", help="print all that is known of each check")
    show.add_argument("--init", action="store_true", help="print a file of checks of what runs now")
    add_judging_arguments(parser)


def run(options: argparse.Namespace, output: Output) -> int:
    """Run the checks and print the report."""
    from lodiag.errors import ConfigError

    if options.init:
        if options.checks or options.file or options.changes:
            message = "--init writes checks of what runs now, and takes none"
            raise ConfigError(message, "Leave out the checks, --file and --set.")
        from lodiag.checks.drafting import write_checks

        output.write(write_checks())
        return 0
    from lodiag.check import CheckRun
    from lodiag.cli.progress import show_status

    with Sinks(options, output) as sinks, show_status() as show:
        check_run = CheckRun(
            *options.checks,
            file=_choose_file(options),
            changes=options.changes,
            wait_s=options.wait,
            timeout_s=options.timeout,
            interval_s=options.interval,
            fail_on=options.fail_on,
            watch=lambda runs: show(_tell_progress(runs)),
        )
        stopped: KeyboardInterrupt | None = None
        try:
            check_run.run()
        except KeyboardInterrupt as stop:
            stopped = stop
        show(None)
        status = sinks.write(check_run.report())
    if stopped is None:
        return status
    return SIGNAL_STATUS + (signal.SIGTERM if isinstance(stopped, Terminated) else signal.SIGINT)


def _choose_file(options: argparse.Namespace) -> str | None:
    """File that was asked for, or where nothing else was the usual one."""
    from lodiag.checks.source import USUAL_FILE
    from lodiag.errors import ConfigError

    if options.file is not None or options.checks:
        return str(options.file) if options.file is not None else None
    if os.path.lexists(USUAL_FILE):
        return USUAL_FILE
    message = f"there is no check to run: none was given, and there is no {USUAL_FILE} here"
    raise ConfigError(message, "Give one, as in lodiag check tcp:8080, or write a file: lodiag check --init")


def _tell_progress(runs: Sequence[Run]) -> str:
    """Say how far it is, and what the first that is not ready says."""
    from lodiag.render.escaping import printable

    passed = sum(run.is_passed for run in runs)
    open_runs = [run for run in runs if run.status is None and run.outcome is not None]
    last = open_runs[0] if open_runs else None
    word = f"; {last.check.id}: {last.tries[-1][0]} x{last.tries[-1][1]}" if last and last.tries else ""
    return printable(f"{passed} of {len(runs)} checks passed{word}")[: _columns() - 1]


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except (OSError, ValueError, AttributeError):
        return 80
