"""What live views draw: on any background, at any width, and as much of it as there is room for."""

from __future__ import annotations

import re
from dataclasses import replace
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from rich.console import Console
from samples import SAMPLES, make_finding, make_report

from lodiag.echo.pulse import PulseRow
from lodiag.model.bench import BenchBucket
from lodiag.model.iface import IfaceReading
from lodiag.render import pulse
from lodiag.render.events import render_rates
from lodiag.render.layouts.bench import render_histograms
from lodiag.render.live_trace import draw

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

COLOURED = re.compile(r"\x1b\[[0-9;]*3[1-7]m([^\x1b]*)\x1b")
STYLED = re.compile(r"\x1b\[[0-9;]*m")
ROW = PulseRow("::1", "::1", 100, 3, (0.01, None, 0.02), 0.02, 0.01, 0.02, 0.02, "no-buffer-space")


def show(picture: RenderableType, width: int) -> str:
    console = Console(file=StringIO(), width=width, force_terminal=True, color_system="standard", highlight=False)
    with console.capture() as capture:
        console.print(picture)
    return capture.get()


def draw_trace(width: int) -> str:
    sample = SAMPLES["trace"]
    report = make_report("trace", sample.summary, sample.records, (make_finding(severity="warn"),))
    return show(draw("title", report, sample.records, (width, 24)), width)


def draw_pulse(width: int) -> str:
    return show(pulse.draw("title", [ROW], 0, (width, 24), with_blocks=False), width)


@pytest.mark.parametrize("view", [draw_trace, draw_pulse])
def test_colour_is_on_a_word_and_never_on_a_line(view: Callable[[int], str]) -> None:
    found = COLOURED.findall(view(80))
    assert found
    assert all(len(word) <= len("100 %") for word in found)


@pytest.mark.parametrize("view", [draw_trace, draw_pulse])
def test_on_a_narrow_terminal_columns_are_cut_at_its_edge_and_not_squeezed(view: Callable[[int], str]) -> None:
    lines = [STYLED.sub("", line) for line in view(40).splitlines()]
    assert all(len(line) <= 40 for line in lines)
    header = next(line for line in lines if "address" in line)
    assert "\u2026" not in header


def test_a_reading_of_an_interface_fits_80_columns() -> None:
    reading = IfaceReading(
        at="2026-01-02T03:04:05Z",
        ifname="lo",
        up=True,
        bytes_per_s=1023.4 * 2**30,
        packets_per_s=9_999_999.0,
        errors_per_s=9999.0,
        dropped_per_s=9999.0,
        before={"mtu": 9},
    )
    first, second = render_rates(reading).splitlines()
    assert len(first) <= 80
    assert second == "           changed: mtu"


def test_histograms_of_bench_are_drawn_as_those_of_ping() -> None:
    sample = SAMPLES["bench"]
    buckets = (
        BenchBucket(from_ms=0.008, below_ms=0.0081, count=120),
        BenchBucket(from_ms=0.016, below_ms=0.0161, count=3),
    )
    record = replace(sample.records[0], histogram=buckets)
    lines = render_histograms(make_report("bench", sample.summary, (record,))).splitlines()
    assert lines[0].startswith("round trips of ")
    assert [line.rstrip("\u2588 ") for line in lines[1:]] == [
        "  8.00 - 11.3  120",
        "  11.3 - 16.0    0",
        "  16.0 - 22.6    3",
    ]
    assert all(len(line) <= 80 for line in lines)
