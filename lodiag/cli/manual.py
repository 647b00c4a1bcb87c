"""The manual page, made of the parsers, so that it cannot tell of other options than there are (man(7))."""

from __future__ import annotations

import argparse
import time
from textwrap import wrap
from typing import TYPE_CHECKING

from lodiag import __version__
from lodiag.cli.parsing import COMMANDS, EXIT_STATUS, PURPOSE, make_command_parser, make_top_parser

if TYPE_CHECKING:
    from collections.abc import Iterator

_SEE_ALSO = (".BR ip (8),", ".BR ping (8),", ".BR ss (8),", ".BR traceroute (8)")


def write_manual() -> str:
    """Write lodiag(1) with all commands, in the man macros."""
    today = time.strftime("%Y-%m-%d", time.gmtime())
    lines = [
        f'.TH LODIAG 1 {today} "lodiag {__version__}"',
        ".SH NAME",
        _fill(f"lodiag - {PURPOSE}"),
        ".SH SYNOPSIS",
        ".B lodiag",
        ".I COMMAND",
        "[OPTIONS]",
        ".SH OPTIONS",
        *_list_options(make_top_parser()),
        ".SH COMMANDS",
    ]
    for name in COMMANDS:
        lines += _describe_command(make_command_parser(name))
    return "\n".join([*lines, ".SH EXIT STATUS", _escape(EXIT_STATUS), ".SH SEE ALSO", *_SEE_ALSO, ""])


def _describe_command(parser: argparse.ArgumentParser) -> Iterator[str]:
    yield f".SS {_escape(parser.usage or parser.prog)}"
    yield _fill(parser.description or "")
    yield from _list_options(parser)
    if parser.epilog:
        title, *examples = parser.epilog.strip("\n").split("\n")
        yield from (".PP", _escape(title.capitalize()), ".PP", ".nf", *map(_escape, examples), ".fi")


def _list_options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """A paragraph for each argument, in the order of the help."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other list of them, as makers of completions know
        if action.help is argparse.SUPPRESS:
            continue
        yield ".TP"
        yield rf"\fB{_escape(_invoke(action))}\fR"
        yield _fill((action.help or "") % {**vars(action), "prog": parser.prog})


def _invoke(action: argparse.Action) -> str:
    """How an argument is written."""
    value = ""
    if action.nargs != 0:
        value = str(action.metavar or (action.choices and "|".join(map(str, action.choices))) or action.dest.upper())
        value = f"[{value}]" if action.nargs in {"?", "*"} else value
    return f"{', '.join(action.option_strings)} {value}".strip()


def _fill(text: str) -> str:
    """A paragraph in lines that are not too long."""
    return "\n".join(_escape(line) for line in wrap(text, 72, break_on_hyphens=False))


def _escape(line: str) -> str:
    """A line as roff takes it: with hyphens that can be copied, and not a request though it begins like one."""
    line = line.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{line}" if line[:1] in {".", "'"} else line
