"""``lodiag iface``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from lodiag.cli.parsing import add_output_arguments
from lodiag.cli.shared import add_source_argument, add_watch_argument, add_yes_argument

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from lodiag.cli.output import Output
    from lodiag.model import Report

USAGE = "[OPTIONS] [up|down|add ADDRESS|del ADDRESS|mtu BYTES]"
EXAMPLES = """examples:
  lodiag iface                                 how it is
  lodiag iface up                              bring it up
  lodiag iface add 127.0.0.2/8 --label lo:1    give it an address
  lodiag iface mtu 1500 --dry-run              what would be done
  lodiag iface --watch                         what passes over it
  lodiag iface --json | jq '.records[].addr_info[].local'
"""

ACTIONS = ("up", "down", "add", "del", "mtu")
SOURCES = ("rtnetlink", "psutil")
VALUED = {"add": "an address", "del": "an address", "mtu": "a number of bytes"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``iface`` takes; the actions are those of ip(8) and ifconfig(8)."""
    parser.add_argument(
        "action", nargs="?", choices=ACTIONS, metavar="ACTION", help="what to change (default: nothing, it is shown)"
    )
    parser.add_argument(
        "value", nargs="?", metavar="VALUE", help="address of add and del, as 127.0.0.2/8; bytes of mtu"
    )
    parser.add_argument_group("select").add_argument(
        "--interface", metavar="NAME", help="which loopback interface (default: all, and the only one to change)"
    )
    change = parser.add_argument_group("change")
    change.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    add_yes_argument(change, ", also to what an action takes along")
    change.add_argument("--label", metavar="LABEL", help="with add: name to show the address under, as lo:1")
    change.add_argument("--force", action="store_true", help="with down: break every connection over it")
    show = parser.add_argument_group("show")
    add_watch_argument(show, "show what passes over it (every 1 s): a line a reading, or in a pipe one of JSON")
    add_source_argument(show, SOURCES)
    add_output_arguments(parser)


def run(options: argparse.Namespace, output: Output) -> int:
    """Show or change the interface and print the report."""
    _check(options)
    if options.watch is not None:
        from lodiag.cli import watching

        return watching.watch_rates(options, output)
    from lodiag.render import render

    report = _look_or_change(options)
    output.write(render(report, options.format, width=output.width))
    return report.exit_status


def _check(options: argparse.Namespace) -> None:
    """Refuse what does not go together."""
    from lodiag.errors import ConfigError

    action, wanted = options.action, VALUED.get(options.action)
    if (wanted is None) != (options.value is None):
        message = f"{action} takes no {options.value[:40]!r}" if wanted is None else f"{action} takes {wanted}"
        raise ConfigError(message, "lodiag iface --help has examples.")
    for name, of in (("label", ("add",)), ("force", ("down",)), ("yes", ACTIONS), ("dry_run", ACTIONS)):
        if getattr(options, name) not in {None, False} and action not in of:
            message = f"--{name.replace('_', '-')} goes with {', '.join(of)}"
            raise ConfigError(message, "Leave it out.")
    if action and (options.source or options.watch is not None):
        message = f"{action} changes the interface, and {'--source' if options.source else '--watch'} is for looking"
        raise ConfigError(message, "Leave it out.")


def _look_or_change(options: argparse.Namespace) -> Report[Any, Any]:
    from lodiag import iface

    if options.action is None:
        return iface.list_interfaces(interface=options.interface, source=options.source)
    shared = {"interface": options.interface, "dry_run": options.dry_run}
    changes: dict[str, Callable[[bool], Report[Any, Any]]] = {
        "up": lambda _: iface.bring_up(**shared),
        "down": lambda _: iface.bring_down(force=options.force, **shared),
        "add": lambda _: iface.add_alias(options.value, label=options.label, **shared),
        "del": lambda agreed: iface.remove_alias(options.value, agreed=agreed, **shared),
        "mtu": lambda agreed: iface.set_mtu(_read_mtu(options.value), agreed=agreed, **shared),
    }
    return _ask_if_needed(changes[options.action], can_agree=options.action in {"del", "mtu"}, agreed=options.yes)


def _read_mtu(text: str) -> int:
    from lodiag.errors import ConfigError

    if not (text.isascii() and text.isdecimal()):
        message = f"{text[:40]!r} is not a whole number of bytes"
        raise ConfigError(message, "Give it as in: lodiag iface mtu 65536")
    return int(text[:20])


def _ask_if_needed(change: Callable[[bool], Report[Any, Any]], *, can_agree: bool, agreed: bool) -> Report[Any, Any]:
    """Make a change; where it takes more along than it says and a person is there, ask."""
    from lodiag.errors import ConsentError

    try:
        return change(agreed)
    except ConsentError as refusal:
        is_person = sys.stdin is not None and sys.stdin.isatty() and sys.stderr is not None and sys.stderr.isatty()
        if not (can_agree and is_person) or not _ask(str(refusal)):
            raise
    return change(True)  # noqa: FBT003 - agreed


def _ask(question: str) -> bool:
    sys.stderr.write(f"{question}.\nDo it all the same? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
