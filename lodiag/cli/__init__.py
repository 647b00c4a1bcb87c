"""The command line: arguments to a function call, its report to a format, and the report's exit status."""

from __future__ import annotations

import signal
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from lodiag.cli.output import Output, tell
from lodiag.cli.parsing import COMMANDS, make_command_parser, make_top_parser, refuse_command
from lodiag.errors import ConfigError, LodiagError

if TYPE_CHECKING:
    from types import FrameType

USAGE_STATUS = 2
SIGNAL_STATUS = 128
"""A process that a signal ends has the status 128 + its number (POSIX sh 2.8.2)."""


class Terminated(KeyboardInterrupt):
    """SIGTERM came: a run under way ends as it does by Ctrl-C."""


def main(argv: list[str] | None = None) -> int:
    """Run lodiag with these arguments, by default those of the process, and return its exit status.

    0 all well; 1 something was found; 2 it could not run; 130 or 143 a signal ended it.
    """
    arguments = sys.argv[1:] if argv is None else argv
    previous = signal.getsignal(signal.SIGTERM)
    if previous != signal.SIG_IGN:
        signal.signal(signal.SIGTERM, _terminate)
    try:
        return _run(arguments)
    except LodiagError as error:
        name = " ".join(["lodiag", *(word for word in arguments[:1] if word in COMMANDS)])
        tell(f"{name}: error [{error.code}]: {error}")
        hint = error.hint or (f"{name} --help" if isinstance(error, ConfigError) else None)
        if hint:
            tell(f"hint: {hint}")
        return USAGE_STATUS
    except Terminated:
        return SIGNAL_STATUS + signal.SIGTERM
    except KeyboardInterrupt:
        return SIGNAL_STATUS + signal.SIGINT
    finally:
        signal.signal(signal.SIGTERM, previous)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise Terminated


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in COMMANDS:
        return _run_top(arguments)
    name = arguments[0]
    command = import_module(f"lodiag.cli.{name}")
    try:
        options = make_command_parser(name).parse_intermixed_args(arguments[1:])
    except SystemExit as stop:  # argparse has said why
        return int(stop.code or 0)
    with Output(getattr(options, "output", None)) as output:
        status: int = command.run(options, output)
    return status


def _run_top(arguments: list[str]) -> int:
    parser = make_top_parser()
    parser.add_argument("command", nargs="?", type=refuse_command)
    try:
        options = parser.parse_args(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)
    with Output(None) as output:
        if options.print_completion:
            import shtab

            from lodiag.cli.parsing import make_full_parser

            output.write(shtab.complete(make_full_parser(), options.print_completion))
            return 0
        if options.print_manual:
            from lodiag.cli.manual import write_manual

            output.write(write_manual())
            return 0
    tell(parser.format_usage().rstrip())
    tell("hint: lodiag --help lists the commands.")
    return USAGE_STATUS
