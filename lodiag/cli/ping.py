"""``lodiag ping``."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING

from lodiag.cli import living, signals
from lodiag.cli.parsing import MORE, add_output_arguments
from lodiag.cli.progress import show_progress
from lodiag.cli.rate import show_rate
from lodiag.cli.shared import (
    HABIT,
    add_deadline_argument,
    add_family_arguments,
    add_histogram_argument,
    number,
    seconds,
)
from lodiag.errors import ConfigError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from lodiag.cli.output import Output
    from lodiag.echo.run import PingRun
    from lodiag.echo.stream import EchoStream
    from lodiag.model import Report
    from lodiag.model.ping import PingRecord, PingSummary

USAGE = "[OPTIONS] [TARGET ...]"
EXAMPLES = """examples:
  lodiag ping                          every address of localhost
  lodiag ping -c 100 -i 0.01 -q ::1    a hundred probes, statistics only
  lodiag ping -c 1 -q 127.0.0.0/22     a thousand addresses, once each
  lodiag ping -f -c 1000000 -q ::1     as fast as it goes
  lodiag ping --max-loss 0 --max-rtt 5 --json 127.0.0.1 | jq '.findings'
"""

MOST_NAMED = 4
"""Addresses that have a line each in the heading."""

_STREAMED = ("table", "jsonl")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``ping`` takes; letters are those of ping(8)."""
    parser.add_argument(
        "targets",
        nargs="*",
        metavar="TARGET",
        default=["localhost"],
        help="name, address or prefix (default: localhost)",
    )
    _add_measure_arguments(parser.add_argument_group("measure"))
    judge = parser.add_argument_group("judge")
    judge.add_argument(
        "--max-loss", type=number(float, " of percent"), help="exit with 1 if more is lost", metavar="PERCENT"
    )
    judge.add_argument(
        "--max-rtt",
        type=number(float, " of milliseconds"),
        help="exit with 1 if a round trip takes longer",
        metavar="MS",
    )
    judge.add_argument(
        "-x",
        "--reachable",
        type=number(int),
        help="exit with 0 if so many addresses answer; with -o end then",
        metavar="COUNT",
    )
    show = parser.add_argument_group("show")
    show.add_argument("-q", "--quiet", action="store_true", help="no line for each reply")
    show.add_argument("-D", "--timestamps", action="store_true", help="begin each line with the time, in UTC")
    show.add_argument(
        "--live", action="store_true", help="draw the last round trips on the terminal, until Ctrl-C or what -c says"
    )
    add_histogram_argument(show)
    add_output_arguments(parser)
    parser.add_argument_group(MORE).add_argument("-n", "--numeric", action="store_true", help=HABIT)


def _add_measure_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "-c",
        "--count",
        type=number(int),
        help="probes; 0 goes on until Ctrl-C (default: 4, or with -w what fits)",
        metavar="COUNT",
    )
    pace = group.add_mutually_exclusive_group()
    pace.add_argument("-i", "--interval", type=seconds, help="seconds between probes (default: 0.2)", metavar="SECONDS")
    pace.add_argument(
        "-A",
        "--adaptive",
        dest="interval",
        action="store_const",
        const=0.0,
        help="send each probe when the last is answered; the same as -i 0",
    )
    pace.add_argument(
        "-f",
        "--flood",
        action="store_true",
        help="send bursts without a pause, until Ctrl-C, -c or -w; only lost probes get a line",
    )
    add_deadline_argument(group, "-w")
    group.add_argument(
        "-W", "--timeout", type=seconds, help="seconds to wait for an answer (default: 1)", metavar="SECONDS"
    )
    group.add_argument(
        "-s",
        "--size",
        type=number(int, " of bytes"),
        default=56,
        help="bytes of payload (default: 56)",
        metavar="BYTES",
    )
    add_family_arguments(group)
    group.add_argument(
        "--method",
        choices=("auto", "icmp", "udp"),
        default="auto",
        help="auto takes the first that this user may use: ICMP datagram, ICMP raw, UDP to a closed port",
    )
    group.add_argument("-S", "--source-address", help="loopback address to send from", metavar="ADDRESS")
    group.add_argument("-t", "--ttl", type=number(int), help="TTL or hop limit, 1 to 255")
    group.add_argument(
        "-l",
        "--preload",
        type=number(int),
        help="probes under way at once (default: 1; with -f up to 256)",
        metavar="COUNT",
    )
    group.add_argument("-o", "--once", action="store_true", help="probe no address that has answered any more")
    group.add_argument(
        "--sweep",
        help="probe with some twenty payloads of so many bytes, and find where none comes back: --sweep 64..65507",
        metavar="FIRST..LAST",
    )
    group.add_argument(
        "--clock",
        choices=("auto", "kernel", "kernel-rx", "user"),
        default="auto",
        help="whose clock times replies; auto takes the first of these that the kernel grants",
    )


def run(options: argparse.Namespace, output: Output) -> int:
    """Ping, print each reply as it comes, then the report; Ctrl-C ends the run and not the report."""
    from lodiag.echo.options import USUAL_INTERVAL_S, USUAL_TIMEOUT_S, PingOptions
    from lodiag.echo.run import PingRun
    from lodiag.render import load_format, render

    if options.sweep is not None:
        from lodiag.cli.sweeping import run_sweep

        return run_sweep(options, output)
    _require_drawing(options)
    if options.live and options.flood:
        message = "--live draws each round trip, and a flood times only some"
        raise ConfigError(message, "Leave out one of them: on a terminal a flood shows how it goes anyway.")
    if options.live:
        living.require_terminal(options)
        options.count = 0 if options.count is None and options.deadline is None else options.count
    options.interval = USUAL_INTERVAL_S if options.interval is None else options.interval
    load_format(options.format)  # before the sockets take what may be the last descriptors
    ping_run = PingRun(
        tuple(options.targets),
        PingOptions(
            count=options.count,
            interval_s=options.interval,
            flood=options.flood,
            preload=options.preload,
            timeout_s=USUAL_TIMEOUT_S if options.timeout is None else options.timeout,
            deadline_s=options.deadline,
            size_bytes=options.size,
            ttl=options.ttl,
            source_address=options.source_address,
            family=options.family,
            method=options.method,
            clock=options.clock,
            max_loss_ratio=None if options.max_loss is None else options.max_loss / 100,
            max_rtt_ms=options.max_rtt,
            once=options.once,
            reachable=options.reachable,
            keep_replies=options.format == "json",
        ),
    )
    with signals.stopping(ping_run), signals.telling(ping_run, quietly=options.live):
        if options.live:
            living.follow(ping_run, options.interval)
        else:
            _follow(ping_run, options, output)
    report = ping_run.report()
    if options.format == "table" and not options.live:
        output.write("\n")
    output.write(render(report, options.format, width=output.width))
    if options.histogram:
        _draw_histogram(report, output)
    return report.exit_status


def _require_drawing(options: argparse.Namespace) -> None:
    """Raise ``ConfigError`` where something is to be drawn in what is read by programs."""
    if options.histogram and options.format != "table":
        message = f"--histogram draws below a table, and the format is {options.format}"
        raise ConfigError(message, "JSON has it as data: `histogram` of each record.")


def _draw_histogram(report: Report[PingRecord, PingSummary], output: Output) -> None:
    from lodiag.render.histogram import can_draw_blocks, render_histograms

    drawn = render_histograms(report.records, with_blocks=can_draw_blocks(getattr(sys.stdout, "encoding", None)))
    output.write(f"\n{drawn}" if drawn else "")


def _follow(ping_run: PingRun, options: argparse.Namespace, output: Output) -> None:
    ping_run.open()
    if options.format == "table":
        output.write("".join(f"{line}: {options.size} bytes {_name_pace(options)}\n" for line in _name_all(ping_run)))
    if options.flood:
        with show_rate(ping_run):
            _print_replies(ping_run, options, output)
    elif options.quiet or options.format not in _STREAMED:
        with show_progress("ping", (options.count or 0) * len(ping_run.streams)) as advance:
            for _ in ping_run:
                advance()
    else:
        _print_replies(ping_run, options, output)


def _name_all(ping_run: PingRun) -> Iterator[str]:
    """Say what is pinged and how, in a line for each address, or for all of many that are pinged alike."""
    if len(ping_run.streams) <= MOST_NAMED:
        for stream in ping_run.streams:
            name = stream.address if stream.target == stream.address else f"{stream.target} ({stream.address})"
            yield f"ping {name}{_name_method(stream)}"
    else:
        for method, count in Counter(map(_name_method, ping_run.streams)).items():
            yield f"ping {count} addresses{method}"


def _name_method(stream: EchoStream) -> str:
    return f" by {stream.probe.method}, {stream.clock} clock" if stream.probe is not None else ""


def _name_pace(options: argparse.Namespace) -> str:
    if options.flood:
        return "in a flood"
    return f"every {options.interval:g} s" if options.interval else "as soon as the last is answered"


def _print_replies(ping_run: PingRun, options: argparse.Namespace, output: Output) -> None:
    from lodiag.render import load_format

    is_told = not options.quiet and options.format in _STREAMED
    show = load_format(options.format).render_reply if is_told else None
    with_time = options.timestamps and options.format == "table"
    for event in ping_run:
        if show is None or (options.flood and event.reply.status == "received"):
            continue
        stamp = f"{event.reply.sent_at} " if with_time else ""
        output.write(f"{stamp}{show(event.target, event.address, event.reply)}\n")
        if output.is_in_vain:
            return
