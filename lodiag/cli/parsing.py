"""Parsers: what all commands share, and which commands there are."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import NoReturn

from lodiag import __version__
from lodiag.cli.output import Output, tell
from lodiag.limits import suggest
from lodiag.render import FORMATS
from lodiag.render.escaping import printable

COMMANDS = {
    "ping": ("probe", "does it answer, how fast, how steadily"),
    "trace": ("probe", "does its traffic stay on this host, and by which hops"),
    "bench": ("probe", "how fast the local stack is: throughput, latency, connections"),
    "conns": ("look", "which sockets use the loopback, and who owns them"),
    "who": ("look", "who answers on a port of the loopback, and who holds it"),
    "map": ("look", "which process talks to which over the loopback"),
    "iface": ("look", "the loopback interface: how it is, and changing it safely"),
    "doctor": ("judge", "what is broken, why, and the command that repairs it"),
    "check": ("judge", "whether expectations hold: for pipelines, probes, monitoring"),
    "audit": ("judge", "which services are on the loopback alone, and which are exposed"),
    "schema": ("more", "print the JSON Schema of what --json prints"),
}
"""Group and purpose of each command, which is a module of ``lodiag.cli`` with ``add_arguments`` and ``run``."""

_MEANT = {
    **dict.fromkeys(("ss", "netstat", "lsof", "fuser"), "conns"),
    **dict.fromkeys(("traceroute", "tracepath"), "trace"),
    **dict.fromkeys(("ip", "ifconfig", "link", "addr"), "iface"),
    **dict.fromkeys(("iperf", "iperf3", "sockperf", "qperf"), "bench"),
    **dict.fromkeys(("goss", "wait", "test"), "check"),
    "fping": "ping",
    "mtr": "trace --watch",
    "help": "--help",
    "version": "--version",
}
"""What is meant by a word that stands where a command should: another tool's, or what other programs call it."""

_LONGEST_MESSAGE = 400
"""Characters of a complaint: those that list the choices of an option are some 200 long."""

SHELLS = ("bash", "zsh", "fish")
"""For which ``shtab`` writes completions, and tests load them."""

PURPOSE = "what is happening on this machine's loopback, and what is wrong with it"
EXIT_STATUS = "0 all well, 1 something was found, 2 could not run"

MORE = "more"
"""Title of the last group of options: what is seldom wanted."""

_TOP_HELP = f"""usage: lodiag COMMAND [OPTIONS]

{PURPOSE.capitalize()}

{{commands}}

  lodiag COMMAND --help            the options of a command, with examples
  lodiag --version                 the version
  lodiag --print-completion SHELL  completions, for {", ".join(SHELLS[:-1])} or {SHELLS[-1]}
  lodiag --print-manual            the manual page, for man -l -

exit status: {EXIT_STATUS}
"""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are a usage line, one sentence and a hint, with exit status 2."""

    def _check_value(self, action: argparse.Action, value: object) -> None:
        """Refuse what is not among the choices of an option."""
        if action.choices is not None and value not in action.choices:
            choices = [str(choice) for choice in action.choices]
            message = f"{str(value)[:40]!r} is not one of {', '.join(choices)}{suggest(str(value), choices)}"
            raise argparse.ArgumentError(action, message)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the arguments, and stop."""
        message = message.removeprefix("argument command: ")
        start, _, unknown = message.partition("unrecognized arguments: ")
        if not start and unknown:
            message += self._guess(unknown.split()[0].partition("=")[0])
        shown = printable(message[:_LONGEST_MESSAGE])  # it may quote what was given
        tell(self.format_usage().rstrip())
        tell(f"{self.prog}: error [usage]: {shown}")
        tell(f"hint: {self.prog} --help")
        raise SystemExit(2)

    def _guess(self, word: str) -> str:
        """Ask for what is meant by a word too many; a short option is like every other, so nothing is said of that."""
        if word.isascii() and word.isdecimal() and "--port" in self._option_string_actions:
            return f"; did you mean --port {word}?"
        if word == "--port" and "PORT" in str(self.usage):
            return f"; give the port alone: {self.prog} 8080"
        return "" if len(word) <= len("-x") else suggest(word, self._option_string_actions)


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Write help for 80 columns, without colours: argparse loads what takes longer than all else to ask a terminal."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=78)

    def _set_color(self, *_: object, **_named: object) -> None:
        """Have no colours, as before Python 3.14: its way to have none loads dataclasses, for every option."""
        self._theme = _NoTheme()
        self._decolor = str


class _NoTheme:
    """Colours of which each is nothing, whatever argparse calls it."""

    def __getattr__(self, _: str) -> str:
        return ""


def make_top_parser() -> Parser:
    """Parser of what may stand before a command."""
    groups = [group for group, _ in COMMANDS.values()]
    lines = [
        f"{group if number == groups.index(group) else '':<6} {name:<7} {purpose}"
        for number, (name, (group, purpose)) in enumerate(COMMANDS.items())
    ]
    parser = Parser(
        prog="lodiag",
        usage="lodiag COMMAND [OPTIONS]",
        formatter_class=_Formatter,
        add_help=False,
        allow_abbrev=False,
    )
    parser.add_argument(
        "-h", "--help", action=_Print, text=_TOP_HELP.format(commands="\n".join(lines)), help="print this help"
    )
    parser.add_argument("--version", action=_Print, text=f"lodiag {__version__}\n", help="print the version")
    parser.add_argument("--print-completion", choices=SHELLS, help="print completions for a shell", metavar="SHELL")
    parser.add_argument("--print-manual", action="store_true", help="print the manual page, in roff")
    return parser


class _Print(argparse.Action):
    """Print a text, or else the help of the parser, as every other output is printed, and stop."""

    def __init__(self, option_strings: list[str], dest: str, help: str, text: str | None = None) -> None:  # noqa: A002 - argparse's name
        super().__init__(option_strings, dest, nargs=0, help=help)
        self._text = text

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        with Output(None) as output:
            output.write(parser.format_help() if self._text is None else self._text)
        raise SystemExit(0)


def refuse_command(text: str) -> NoReturn:
    """Say what is wrong with the word that stands where a command should."""
    if text in COMMANDS:
        message = f"the options of {text} go after it: lodiag {text} [OPTIONS]"
        raise argparse.ArgumentTypeError(message)
    meant = _MEANT.get(text) or (f"doctor {text}" if text.isascii() and text.isdecimal() else None)
    guess = f"; did you mean {meant}?" if meant else suggest(text, COMMANDS)
    message = f"{text[:40]!r} is not a command{guess or ': ' + ', '.join(COMMANDS) + ' are'}"
    raise argparse.ArgumentTypeError(message)


def make_command_parser(name: str) -> Parser:
    """Parser of one command."""
    command = import_module(f"lodiag.cli.{name}")
    purpose = COMMANDS[name][1]
    parser = Parser(
        prog=f"lodiag {name}",
        usage=f"lodiag {name} {command.USAGE}".rstrip(),
        description=f"{purpose[0].upper()}{purpose[1:]}.",
        formatter_class=_Formatter,
        epilog=command.EXAMPLES,
        allow_abbrev=False,
        add_help=False,
    )
    command.add_arguments(parser)
    more = next((group for group in parser._action_groups if group.title == MORE), None)  # noqa: SLF001 - argparse has no other list
    (more or parser.add_argument_group(MORE)).add_argument("-h", "--help", action=_Print, help="print this help")
    # With -4 and -6 among the options, argparse takes the -1 of "-c -1" for an option as well.
    parser._has_negative_number_optionals.clear()  # noqa: SLF001
    return parser


def make_full_parser() -> Parser:
    """One parser of everything, for what describes the command line, such as completions."""
    top = make_top_parser()
    commands = top.add_subparsers(parser_class=argparse.ArgumentParser)
    for name, (_, purpose) in COMMANDS.items():
        import_module(f"lodiag.cli.{name}").add_arguments(commands.add_parser(name, help=purpose))
    return top


def add_output_arguments(parser: argparse.ArgumentParser, further: tuple[str, ...] = ()) -> None:
    """Add the options of every command that makes a report; ``further`` are formats that it alone has."""
    group = parser.add_argument_group("output")
    formats = (*FORMATS, *further)
    group.add_argument("--format", choices=formats, default="table", help="how to print the result (default: table)")
    group.add_argument("--json", dest="format", action="store_const", const="json", help="the same as --format json")
    add_file_argument(group)


def add_file_argument(group: argparse._ActionsContainer) -> None:
    """Add --output."""
    group.add_argument("--output", metavar="FILE", help="write the result to FILE as well, whole or not at all")
