"""The command line: arguments to a function call, its report to a format, and the report's exit status."""

from __future__ import annotations

import errno
import signal
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from lodiag.cli.output import Output, tell
from lodiag.cli.parsing import COMMANDS, make_command_parser, make_top_parser, refuse_command
from lodiag.errors import ConfigError, LodiagError
from lodiag.render.escaping import printable

if TYPE_CHECKING:
    from types import FrameType

USAGE_STATUS = 2
_LACKS = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN}
SIGNAL_STATUS = 128
"""A process that a signal ends has the status 128 + its number (POSIX sh 2.8.2)."""


class Terminated(KeyboardInterrupt):
    """SIGTERM came: a run under way ends as it does by Ctrl-C."""


def main(argv: list[str] | None = None) -> int:
    """Run lodiag with these arguments, by default those of the process, and return its exit status.

    0 all well; 1 something was found; 2 it could not run; 130 or 143 a signal ended it.
    """
    arguments = sys.argv[1:] if argv is None else argv
    name = " ".join(["lodiag", *(word for word in arguments[:1] if word in COMMANDS)])
    previous = signal.getsignal(signal.SIGTERM)
    if previous != signal.SIG_IGN:
        signal.signal(signal.SIGTERM, _terminate)
    try:
        return _run(arguments)
    except LodiagError as error:
        tell(printable(f"{name}: error [{error.code}]: {error}"))
        hint = error.hint or (f"{name} --help" if isinstance(error, ConfigError) else None)
        if hint:
            tell(printable(f"hint: {hint}"))
        return _refuse(arguments, str(error))
    except (OSError, MemoryError, RuntimeError) as error:
        return _refuse(arguments, _tell_lack(name, error))
    except Terminated:
        return SIGNAL_STATUS + signal.SIGTERM
    except KeyboardInterrupt:
        return SIGNAL_STATUS + signal.SIGINT
    finally:
        signal.signal(signal.SIGTERM, previous)


def _tell_lack(name: str, error: Exception) -> str:
    """Tell what the machine refused, and give it in short; raise again what is no lack but a defect."""
    code = error.errno if isinstance(error, OSError) else None
    if not (code in _LACKS or isinstance(error, MemoryError) or "start new thread" in str(error)):
        raise error
    message = "there is no memory left" if isinstance(error, MemoryError) else str(error)
    tell(printable(f"{name}: error [out-of-resources]: {message}"))
    tell("hint: Files, memory or threads that this process may have are too few for it.")
    return message


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise Terminated


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in COMMANDS:
        return _run_top(arguments)
    name = arguments[0]
    command = import_module(f"lodiag.cli.{name}")
    words, handed_on = _part(arguments[1:]) if getattr(command, "TAKES_COMMAND", False) else (arguments[1:], [])
    try:
        options = make_command_parser(name).parse_intermixed_args(words)
    except SystemExit as stop:  # argparse has said why
        return _refuse(arguments, "wrong usage") if stop.code else 0
    with Output(getattr(options, "output", None), aside=bool(handed_on)) as output:
        status: int = command.run(options, output)
    if handed_on and not status:
        from lodiag.system.handover import hand_over

        return hand_over(handed_on, tell)
    return status


def _part(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Part the options from the command behind ``--`` that is to run in the end."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    if at == len(arguments) - 1:
        message = "there is no command after --"
        raise ConfigError(message, "Give one, or leave out --.")
    return arguments[:at], arguments[at + 1 :]


def _refuse(arguments: list[str], message: str) -> int:
    """Give the status of a run that could not be; a monitoring system has one of its own, and reads standard output."""
    if not arguments or arguments[0] not in COMMANDS:
        return USAGE_STATUS
    from lodiag.cli.judging import NAGIOS_UNKNOWN, wants_nagios

    if not wants_nagios(arguments):
        return USAGE_STATUS
    with Output(None) as output:
        output.write(f"LODIAG {arguments[0].upper()} UNKNOWN - {printable(message).replace('|', '/')}\n")
    return NAGIOS_UNKNOWN


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
