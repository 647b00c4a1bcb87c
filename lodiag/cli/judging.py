"""What all commands that judge share: several formats at once, each on standard output or in a file of its own."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from lodiag.cli.output import Output
from lodiag.cli.parsing import add_file_argument
from lodiag.errors import ConfigError
from lodiag.render import COLUMNED, FORMATS, JUDGED, WHOLE

if TYPE_CHECKING:
    import argparse
    from types import TracebackType

    from lodiag.model import Report

NAGIOS = "nagios"
NAGIOS_UNKNOWN = 3
SUMMARY_FILE = "GITHUB_STEP_SUMMARY"
"""Variable that names the file in which GitHub collects what a step has to say, in Markdown."""
USUAL = "table"


class _Formats(tuple[str, ...]):
    """Names of formats, of which each may be followed by the file that it is to be written to."""

    __slots__ = ()

    def __contains__(self, word: object) -> bool:
        """Whether it is a format, or a format and a file."""
        name, equals, path = str(word).partition("=")
        return super().__contains__(name) and bool(path or not equals)


def add_judging_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of a command that judges; ``Sinks`` takes them."""
    group = parser.add_argument_group("output")
    group.add_argument(
        "--format",
        dest="formats",
        action="append",
        choices=_Formats((*FORMATS, *JUDGED)),
        metavar="FORMAT[=FILE]",
        help=f"how to print the result, or write it to FILE; several times for several (default: {USUAL}): "
        + ", ".join((*FORMATS, *JUDGED)),
    )
    group.add_argument("--json", dest="formats", action="append_const", const="json", help="the same as --format json")
    add_file_argument(group)


def add_fail_on_argument(container: argparse._ActionsContainer) -> None:
    """Add --fail-on."""
    container.add_argument(
        "--fail-on",
        choices=("warn", "fail"),
        default="fail",
        help="exit with 1 from this severity on (default: fail)",
    )


class Sinks:
    """Where the report goes: one format on standard output, others in files, each whole or not at all."""

    def __init__(self, options: argparse.Namespace, output: Output) -> None:
        """Open the files; ``ConfigError`` if one cannot be written, or two formats want the same place."""
        self._stack = ExitStack()
        self._verbose = getattr(options, "verbose", False)
        wanted = [(name, path or None) for name, _, path in (word.partition("=") for word in options.formats or [])]
        shown = list(dict.fromkeys(name for name, path in wanted if path is None)) or [USUAL]
        if len(shown) > 1:
            message = f"standard output has room for one format, not for {' and '.join(shown)}"
            raise ConfigError(message, f"Write the others to files: --format {shown[1]}=FILE")
        paths = [os.path.realpath(path) for _, path in wanted if path]
        if len(set(paths)) < len(paths):
            message = "two formats are to be written to one file"
            raise ConfigError(message, "Give each a file of its own.")
        self.shown = shown[0]
        self._sinks = [(self.shown, output)]
        with ExitStack() as stack:
            for name, path in wanted:
                if path:
                    self._sinks.append((name, stack.enter_context(Output(path, is_shown=False))))
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        """Return these."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put the files in their places; after an error, leave what was there."""
        self._stack.__exit__(kind, error, trace)

    def write(self, report: Report[Any, Any]) -> int:
        """Write the report everywhere, and return the exit status."""
        from lodiag.render import stream

        for name, output in self._sinks:
            if name == USUAL and self._verbose and report.command == "check":
                from lodiag.render.prose import clamp
                from lodiag.render.verdict import render_whole

                output.write(render_whole(report, clamp(output.width)))
                continue
            is_whole = self._verbose and name in COLUMNED  # a row for each record, and not for each group of them
            for piece in stream(report, name, WHOLE if is_whole else (), output.width, output.encoding):
                output.write(piece)
        if any(name == "github" for name, _ in self._sinks):
            _summarise(report)
        return report.nagios_status if self.shown == NAGIOS else report.exit_status


def _summarise(report: Report[Any, Any]) -> None:
    """Add the report in Markdown to what the step has to say, where GitHub runs it."""
    path = os.environ.get(SUMMARY_FILE)
    if not path:
        return
    from lodiag.render import render

    try:
        with open(path, "a", encoding="utf-8") as file:  # noqa: PTH123 - a Path costs a millisecond
            file.write(render(report, "markdown") + "\n")
    except (OSError, ValueError) as error:
        message = f"cannot write the step summary {path[:200]!r}: {getattr(error, 'strerror', None) or error}"
        raise ConfigError(message, f"{SUMMARY_FILE} names it.") from error


def wants_nagios(arguments: list[str]) -> bool:
    """Whether a command line asks for the format of monitoring plugins, in which 3 and not 2 is "could not run"."""
    pairs = zip(arguments, [*arguments[1:], ""], strict=True)
    return f"--format={NAGIOS}" in arguments or ("--format", NAGIOS) in pairs
