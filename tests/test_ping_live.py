"""``lodiag ping --live``: what it shows of each address, and on a pseudo-terminal that the test reads."""

from __future__ import annotations

import os
import re
import signal

import pytest
from running import assert_refused, run_lodiag
from samples import make_reply
from test_live import CONTROL, GIVE_SCREEN, Terminal

from lodiag.echo.pulse import RECENT, PulseBoard
from lodiag.echo.stream import PingEvent
from lodiag.render.pulse import spark

HOME = "\x1b[H"
KEPT = (HOME, GIVE_SCREEN)
ADDRESSES = ("127.0.0.1", "127.0.0.2", "127.0.0.3")


def board_of(*fates: tuple[str, float | None], address: str = ADDRESSES[0]) -> PulseBoard:
    """A board that has seen these statuses and times of one address."""
    board = PulseBoard(("localhost", each) for each in ADDRESSES)
    for status, time in fates:
        error = None if status == "received" else "timeout"
        board.update(PingEvent("localhost", address, "udp", make_reply(status=status, rtt_ms=time, error=error)))
    return board


def test_a_row_tells_of_the_recent_probes() -> None:
    fates = [("received", 5.0), *[("received", 0.01)] * RECENT, ("timeout", None), ("late", 3.0)]
    (row, *_), hidden = board_of(*fates).fit(9)

    assert (row.sent, row.failed, row.error, hidden) == (RECENT + 2, 1, "timeout", 0)
    assert (len(row.recent), row.recent[-1], row.last_ms) == (RECENT, None, None)
    assert (row.p50_ms, row.p99_ms, row.max_ms) == (0.01, 0.01, 5.0)


def test_what_has_not_been_probed_has_no_numbers() -> None:
    (row,), hidden = PulseBoard([("localhost", "::1")]).fit(1)
    assert (row.sent, row.recent, row.p50_ms, row.max_ms, row.error, hidden) == (0, (), None, None, None, 0)


def test_addresses_that_lose_are_shown_first() -> None:
    rows, hidden = board_of(("timeout", None), address=ADDRESSES[2]).fit(2)
    assert ([row.address for row in rows], hidden) == ([ADDRESSES[0], ADDRESSES[2]], 1)


@pytest.mark.parametrize(
    ("values", "blocks", "ascii_"),
    [
        ((), "", ""),
        ((None, None), "xx", "xx"),
        ((0.01, 0.0101, 0.01), "▁▁▁", "___"),
        ((0.01, None, 0.1, 1.0), "▁x▅█", "_x+@"),
        ((0.0, 1.0), "▁▁", "__"),
    ],
)
def test_bars_are_as_high_as_the_logarithm(values: tuple[float | None, ...], blocks: str, ascii_: str) -> None:
    assert spark(values, with_blocks=True) == blocks
    assert spark(values, with_blocks=False) == ascii_


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_it_needs_a_terminal(arguments: tuple[str, ...]) -> None:
    assert_refused(run_lodiag("ping", "--live", *arguments, "127.0.0.1"), "--live draws on a terminal")


def test_it_draws_until_ctrl_c_and_leaves_the_report() -> None:
    with Terminal("--live", "-i", "0.05", "127.0.0.1", "127.0.0.2", command="ping") as terminal:
        terminal.await_row(r"127\.0\.0\.1 +\d+ +0 % +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+ +[▁▂▃▄▅▆▇█]{3}")
        if hasattr(signal, "SIGQUIT"):
            os.kill(terminal.process.pid, signal.SIGQUIT)
            frames = terminal.text.count(HOME)
            terminal.await_text(lambda text: text.count(HOME) > frames + 2)
        assert terminal.stop() == 0
        shown, _, left = CONTROL.sub(lambda found: found[0] * (found[0] in KEPT), terminal.text).partition(GIVE_SCREEN)
    assert max(len(line) for frame in shown.split(HOME)[1:] for line in frame.splitlines()) <= 80
    assert re.search(r"127\.0\.0\.1 +\S+ +\d+ +\d+ +0 +0 %", left)


def test_a_small_terminal_shows_what_fits() -> None:
    targets = [f"127.0.0.{number}" for number in range(1, 31)]
    with Terminal("--live", "-i", "0.05", *targets, command="ping", lines=8, columns=50) as terminal:
        terminal.await_row(r"127\.0\.0\.5 .*\n\.\.\. 25 more")
        terminal.stop()
        shown = CONTROL.sub(lambda found: found[0] * (found[0] in KEPT), terminal.text).partition(GIVE_SCREEN)[0]
    frames = [frame.splitlines() for frame in shown.split(HOME)[1:]]
    assert max(map(len, frames)) <= 8
    assert max(len(line) for frame in frames for line in frame) <= 50


def test_on_a_dumb_terminal_one_table_follows_the_other_until_the_count_is_reached() -> None:
    with Terminal(
        "--live",
        "-c",
        "3",
        "-i",
        "0.15",
        "-W",
        "0.1",
        "--method",
        "udp",
        "-t",
        "1",
        "127.0.0.1",
        command="ping",
        TERM="dumb",
    ) as terminal:
        while terminal.read():
            pass
        status, said = terminal.end()
    assert (status, said) == (0, "")
    assert "recent" in terminal.text
    assert "\x1b" not in terminal.text
