"""What ``ping`` shows beside the replies: bars, interim statistics; and when it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from faking import FakeProbe, FakeSystem
from running import assert_refused, environment, run_lodiag
from samples import make_ping_record, make_silent_record
from test_ping import answer, codes, ignore, silent_on

from lodiag import ping_address
from lodiag.errors import ConfigError
from lodiag.model.ping import RttBucket
from lodiag.render.histogram import can_draw_blocks, draw_bar, microseconds, render_histograms
from lodiag.render.interim import MOST_LINES, render_interim

if TYPE_CHECKING:
    from collections.abc import Callable

ADDRESSES = ("127.0.0.1", "127.0.0.2", "127.0.0.3")


# When it ends


def test_once_ends_at_the_first_reply_of_each_address() -> None:
    def behave(probe: FakeProbe, seq: int) -> None:
        if seq == (3 if probe.address == "127.0.0.2" else 1):
            answer(probe, seq)

    report = ping_address(*ADDRESSES, once=True, count=10, timeout_s=0.1, system=FakeSystem(behave))

    assert [(record.sent, record.received) for record in report.records] == [(1, 1), (3, 1), (1, 1)]


REACHABLE: dict[str, tuple[tuple[str, ...], int, int]] = {
    "all-of-two": ((), 2, 0),
    "enough": (("127.0.0.3",), 2, 0),
    "too-few": (("127.0.0.2", "127.0.0.3"), 2, 1),
    "all-wanted-and-one-silent": (("127.0.0.3",), 3, 1),
}


@pytest.mark.parametrize("once", [False, True])
@pytest.mark.parametrize(("silent", "wanted", "status"), REACHABLE.values(), ids=REACHABLE)
def test_so_many_addresses_are_to_answer(silent: tuple[str, ...], wanted: int, status: int, *, once: bool) -> None:
    system = FakeSystem(silent_on(*silent))

    report = ping_address(*ADDRESSES, reachable=wanted, once=once, timeout_s=0.1, system=system)

    assert report.exit_status == status
    assert {f.severity for f in report.findings} == ({"fail"} if status else {"warn"} if silent else set())
    assert (system.now_ns < 100_000_000) == (once and not status)  # nobody waited for the timeout


def test_more_than_there_are_cannot_answer() -> None:
    with pytest.raises(ConfigError, match="at most the number of addresses, which is 1"):
        ping_address("127.0.0.1", reachable=2, system=FakeSystem(ignore))


# Delays: by the kernel's clock alone

DELAYS: dict[str, tuple[Callable[[int], float], str, int, dict[str, str]]] = {
    "as-a-loopback": (lambda _: 0.000_015, "kernel", 40, {}),
    "with-a-tail": (lambda seq: 0.02 if seq in {3, 9, 27} else 0.000_015, "kernel", 40, {}),
    "shaped": (lambda _: 0.024, "kernel", 3, {"long-delay": "warn"}),
    "too-few-to-say": (lambda _: 0.024, "kernel", 2, {}),
    "of-two-kinds": (lambda seq: 0.02 if seq % 4 == 0 else 0.000_015, "kernel", 40, {"bimodal-rtt": "warn"}),
    "of-two-kinds-mostly-slow": (lambda seq: 0.000_01 if seq % 4 == 0 else 0.02, "kernel", 40, {"bimodal-rtt": "warn"}),
    "of-all-kinds": (lambda seq: 0.000_1 * seq, "kernel", 40, {"long-delay": "warn"}),
    "of-two-kinds-of-few": (lambda seq: 0.02 if seq % 4 == 0 else 0.000_015, "kernel", 19, {}),
    "by-the-process": (lambda _: 0.024, "user", 40, {}),
}


@pytest.mark.parametrize(("take", "clock", "count", "expected"), DELAYS.values(), ids=DELAYS)
def test_delays_are_told_that_no_loopback_has(
    take: Callable[[int], float], clock: str, count: int, expected: dict[str, str]
) -> None:
    def behave(probe: FakeProbe, seq: int) -> None:
        after_s = take(seq)
        probe.answer(seq, after_s=after_s, kernel_s=after_s if clock == "kernel" else None)

    system = FakeSystem(behave)
    system.clocks = {"user", clock}
    report = ping_address("127.0.0.1", count=count, system=system)
    assert (codes(report), report.exit_status) == (expected, 0)


# Bars


def draw(*counts: tuple[float, float, int], **options: Any) -> list[str]:
    buckets = tuple(RttBucket(from_ms=low, below_ms=high, count=count) for low, high, count in counts)
    settings: dict[str, Any] = {"with_blocks": False, "width": 40, **options}
    return render_histograms([make_ping_record(histogram=buckets)], **settings).splitlines()


def test_a_row_for_each_bucket_and_dots_for_a_gap() -> None:
    assert draw((0.002, 0.0025, 8), (0.0025, 0.003, 4), (4.0, 5.0, 1)) == [
        "round trips to localhost (127.0.0.1) in us, by the kernel clock",
        "  2.00 - 2.50  8  ######################",
        "  2.50 - 3.00  4  ###########",
        "   ...",
        "  4000 - 5000  1  ###",
    ]


def test_no_bar_is_longer_than_the_screen_nor_nothing() -> None:
    for with_blocks in (False, True):
        lines = draw((0.002, 0.0025, 1_000_000), (0.0025, 0.003, 1), with_blocks=with_blocks)
        assert max(map(len, lines[1:])) <= 40
        assert all(line[-1] in "#█▏" for line in lines[1:])


@pytest.mark.parametrize(("share", "bar"), [(1.0, "████"), (0.5, "██"), (0.28, "█▏"), (0.0001, "▏"), (31 / 32, "███▉")])
def test_bars_have_eighths(share: float, bar: str) -> None:
    assert draw_bar(share, 4, with_blocks=True) == bar


@pytest.mark.parametrize(("ms", "text"), [(0.00179, "1.79"), (0.0123, "12.3"), (0.131, "131"), (4.19, "4190")])
def test_microseconds(ms: float, text: str) -> None:
    assert microseconds(ms) == text


def test_no_encoding_that_lacks_blocks_gets_them() -> None:
    assert [can_draw_blocks(name) for name in ("utf-8", "ascii", "latin-1", None, "nonsense")] == [
        *(True, False, False, False, False)
    ]


@pytest.mark.parametrize(("encoding", "bar"), [("utf-8", "█"), ("ascii", "#")])
def test_the_bars_come_last_in_the_encoding_of_the_output(encoding: str, bar: str) -> None:
    env = environment(PYTHONIOENCODING=encoding)
    done = run_lodiag("ping", "-q", "-c", "3", "-i", "0", "--histogram", "127.0.0.1", env=env)

    *_, drawn = done.stdout.split("round trips to 127.0.0.1 in ")
    assert (done.returncode, done.stderr) == (0, "")
    assert drawn.rstrip().endswith(bar)
    assert sum(int(line.split()[3]) for line in drawn.splitlines()[1:] if "..." not in line) == 3


def test_what_programs_read_is_not_drawn_in() -> None:
    assert_refused(run_lodiag("ping", "--histogram", "--json", "127.0.0.1"), "--histogram draws below a table")


# How far it is


def test_interim_statistics_are_a_line_for_each_address() -> None:
    assert list(render_interim([make_ping_record(), make_silent_record()])) == [
        "localhost (127.0.0.1): 3/4 received, 25 % lost, min/p50/p99/max = 0.021/0.031/0.051/0.051 ms",
        "localhost (::1): 0/0 received, - lost",
    ]
    *lines, last = render_interim([make_ping_record()] * (MOST_LINES + 3))
    assert (len(lines), last) == (MOST_LINES, "... 3 more")


@pytest.mark.skipif(not hasattr(signal, "SIGQUIT"), reason="this system has no such signal")
@pytest.mark.parametrize("form", ["table", "jsonl"])
def test_ctrl_backslash_tells_on_standard_error_and_the_run_goes_on(form: str) -> None:
    command = [sys.executable, "-m", "lodiag", "ping", "-c", "0", "-i", "0.05", "--format", form, "127.0.0.1"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        while "seq" not in process.stdout.readline():
            assert process.poll() is None
        os.kill(process.pid, signal.SIGQUIT)
        told = process.stderr.readline()
        assert "seq" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest, said = process.communicate(timeout=30)
    assert told.startswith("127.0.0.1: ")
    assert "received, 0 % lost, min/p50/p99/max = " in told
    assert (process.returncode, said) == (0, "")
    assert "127.0.0.1" in rest
