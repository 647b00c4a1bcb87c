"""``lodiag bench``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from lodiag.cli.parsing import add_output_arguments
from lodiag.cli.progress import show_steps
from lodiag.cli.shared import add_family_arguments, add_histogram_argument, number, seconds
from lodiag.render import PICTURES

if TYPE_CHECKING:
    from collections.abc import Callable

    from lodiag.cli.output import Output

USAGE = "[OPTIONS] [stream|rr|crr|udp|all]"
EXAMPLES = """examples:
  lodiag bench                     everything, in some 7 s
  lodiag bench stream -P 2 -t 5    two streams, each path for 5 s
  lodiag bench rr -A 0,1           round trips from core 0 to core 1
  lodiag bench --against 8080      the service or the stack: whose time is it?
  lodiag bench --format svg > bench.svg  the distributions as a picture
  lodiag bench --save fast.json    three times, in some 25 s, and later:
  lodiag bench --baseline fast.json --fail-if 'stream<0.8,rr<0.8'
"""

TESTS = ("stream", "rr", "crr", "udp", "all")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``bench`` takes; letters are those of iperf3(1)."""
    parser.add_argument(
        "test",
        nargs="?",
        metavar="TEST",
        choices=TESTS,
        default="all",
        help="stream (throughput), rr (round trips), crr (connections), udp, or all (default)",
    )
    _add_measure_arguments(parser.add_argument_group("measure"))
    service = parser.add_argument_group("measure a service")
    service.add_argument(
        "--against", metavar="TARGET", help="measure a running service, PORT or ADDRESS:PORT, beside the stack"
    )
    service.add_argument(
        "--request",
        choices=("auto", "http", "echo", "none"),
        default="auto",
        help="what to ask it; auto finds out by an HTTP request (default)",
    )
    judge = parser.add_argument_group("judge")
    judge.add_argument("--save", metavar="FILE", help="measure three times, and write what a later run is judged by")
    judge.add_argument("--baseline", metavar="FILE", help="judge by what --save wrote; exit with 1 if it is slower")
    judge.add_argument(
        "--fail-if",
        action="append",
        default=[],
        help="exit with 1 only if a test is below this part of its former speed, as in 'stream<0.9'",
        metavar="LIMIT",
    )
    add_histogram_argument(parser.add_argument_group("show"))
    add_output_arguments(parser, PICTURES)


def _add_measure_arguments(group: argparse._ArgumentGroup) -> None:
    size = number(int, " of bytes")
    group.add_argument(
        "-t",
        "--time",
        type=seconds,
        help="seconds to measure each test over each path (default: 0.2 to 0.5)",
        metavar="SECONDS",
    )
    group.add_argument("--quick", action="store_true", help="two slices of each test instead of five")
    add_family_arguments(group)
    group.add_argument(
        "-P", "--parallel", type=number(int), default=1, help="streams at a time, 1 to 16 (default: 1)", metavar="COUNT"
    )
    group.add_argument(
        "-l",
        "--length",
        type=size,
        help="bytes of a write, a request or a datagram (default: 1 MiB, 1, 1472)",
        metavar="BYTES",
    )
    group.add_argument(
        "-w", "--window", type=size, help="bytes of the sockets' buffers (default: the kernel's)", metavar="BYTES"
    )
    group.add_argument(
        "-n", "--bytes", type=size, help="bytes to send in each slice, instead of for a time", metavar="BYTES"
    )
    group.add_argument("-R", "--reverse", action="store_true", help="the server sends, and the client receives")
    group.add_argument("--bidir", action="store_true", help="both send at the same time")
    group.add_argument("-C", "--congestion", help="congestion control of TCP, as in reno", metavar="NAME")
    group.add_argument(
        "-A", "--affinity", type=_read_cores, help="cores of the client and the server, as in 0,1", metavar="CORE,CORE"
    )
    group.add_argument("--busy-poll", action="store_true", help="rr: both ends wait awake, each on a core")
    group.add_argument("--graceful", action="store_true", help="crr: close as most programs do, into TIME_WAIT")
    group.add_argument(
        "--source-addresses",
        type=number(int),
        default=1,
        help="crr: connect from so many addresses of 127/8 (default: 1)",
        metavar="COUNT",
    )


def _read_cores(text: str) -> tuple[int, int]:
    """Read the cores of both ends; one stands for both."""
    first, comma, second = text.partition(",")
    read: Callable[[str], float] = number(int)
    try:
        return int(read(first)), int(read(second if comma else first))
    except argparse.ArgumentTypeError as error:
        message = f"{text[:40]!r} is not a core, or two as in 0,1"
        raise argparse.ArgumentTypeError(message) from error


def run(options: argparse.Namespace, output: Output) -> int:
    """Measure and print the report."""
    from contextlib import nullcontext

    from lodiag.bench import SAVED_RUNS, bench_loopback
    from lodiag.cli.output import Output
    from lodiag.errors import ConfigError
    from lodiag.render import render
    from lodiag.render.bars import LEVELS, to_ascii
    from lodiag.render.layouts.bench import render_histograms

    if options.histogram and options.format != "table":
        message = f"--histogram draws below a table, and the format is {options.format}"
        raise ConfigError(message, "JSON has it as data: `histogram` of each record.")
    if options.save is not None and options.quick:
        message = "two slices of each test are too few for a baseline"
        raise ConfigError(message, "Leave out --quick.")
    saved = Output(options.save, is_shown=False) if options.save is not None else nullcontext()
    with saved as file, show_steps("bench") as progress:
        report = bench_loopback(
            options.test,
            time_s=options.time,
            total_bytes=options.bytes,
            streams=options.parallel,
            size_bytes=options.length,
            window_bytes=options.window,
            reverse=options.reverse,
            bidir=options.bidir,
            congestion=options.congestion,
            affinity=options.affinity,
            busy_poll=options.busy_poll,
            quick=options.quick,
            family=options.family,
            graceful=options.graceful,
            source_addresses=options.source_addresses,
            runs=SAVED_RUNS if options.save is not None else 1,
            baseline=options.baseline,
            fail_if=options.fail_if,
            against=options.against,
            request=options.request,
            progress=progress,
        )
        if file is not None:
            file.write(render(report, "json"))
    shown = render(report, options.format, width=output.width)
    if options.histogram and options.format == "table":
        shown += f"\n{render_histograms(report)}"
    output.write(shown if output.can_write(LEVELS) else to_ascii(shown))
    return report.exit_status
