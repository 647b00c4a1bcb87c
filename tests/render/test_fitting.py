"""Tables and text on terminals of any width: columns hold their places, and nothing that is to be copied is broken."""

from __future__ import annotations

import os
import re
import termios
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from samples import MAP, PING, SAMPLES, make_finding, make_ping_record, make_report
from watching import Watcher

from lodiag.render import render
from lodiag.render.cells import Table
from lodiag.render.escaping import printable
from lodiag.render.fitting import MOST_LINES, draw, spell
from lodiag.render.prose import wrap

CONNS = Table(
    ["proto", "state", "local", "remote", "user", "process"],
    [
        ["tcp", "listen", "127.0.0.1:20000", "-", "root", "postgres-checkp[32400]"],
        ["udp", "unconnected", "127.0.0.1:20000", "127.0.0.1:41430", "root", "数据库服务[32402]"],
    ],
    frozenset(),
)


def test_what_the_stream_cannot_spell_is_escaped_before_it_is_measured() -> None:
    escaped = [[cell.encode("ascii", "backslashreplace").decode() for cell in row] for row in CONNS.rows]
    assert draw(spell(CONNS, "ascii"), 80) == draw(CONNS._replace(rows=escaped), 80)
    assert "\\u6570" in draw(spell(CONNS, "ascii"))
    assert spell(CONNS, "utf-8") is spell(CONNS, None) is CONNS


def test_words_are_shortened_before_cells_are_broken() -> None:
    assert draw(CONNS, 80).splitlines()[1:] == [
        "tcp    listen  127.0.0.1:20000  -                root  postgres-checkp[32400]",
        "udp    unconn  127.0.0.1:20000  127.0.0.1:41430  root  数据库服务[32402]",
    ]
    assert "unconnected" in draw(CONNS, 100)


def test_a_row_is_one_line_where_there_is_no_terminal() -> None:
    assert len(draw(CONNS).splitlines()) == 1 + len(CONNS.rows)


def test_a_cell_is_broken_between_words_or_before_a_pid_and_continued_below_itself() -> None:
    rows = [["redis-server[58]", "12", "307 -/time-wait, 245 estab"]]
    table = Table(["client", "conns", "states"], rows, frozenset({"conns"}))
    assert draw(table, 42).splitlines() == [
        "client            conns  states",
        "redis-server[58]     12  307 -/time-wait,",
        "                         245 estab",
    ]
    assert draw(table, 36).splitlines() == [
        "client        conns  states",
        "redis-server     12  307",
        "[58]                 -/time-wait,",
        "                     245 estab",
    ]


@pytest.mark.parametrize("characters", ["ab", "数ab", "e\u0301数"])
def test_wide_and_combining_characters_do_not_move_a_column(characters: str) -> None:
    rows = [[characters * count, "1", "x"] for count in range(1, 4)]
    lines = draw(Table(["name", "n", "end"], rows, frozenset({"n"}))).splitlines()
    assert len({cell_len(line[: line.rindex(" ")]) for line in lines}) == 1


CELLS = st.text(st.sampled_from("ab1 .:[]-/数\u0301"), min_size=1, max_size=40).map(str.strip).filter(bool)


@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=4), st.integers(20, 90))
def test_breaking_loses_no_character_and_no_column(rows: list[list[str]], width: int) -> None:
    table = Table(["first", "second", "third"], rows, frozenset({"second"}))
    drawn = draw(table, width)
    assert sorted(re.sub(r"\s", "", drawn)) == sorted(re.sub(r"\s", "", "".join([*table.headers, *map("".join, rows)])))
    assert len(drawn.splitlines()) <= MOST_LINES * (1 + len(rows))


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("name", SAMPLES)
def test_no_text_is_wider_than_the_terminal_unless_a_word_is(name: str, width: int) -> None:
    report = SAMPLES[name]
    for finding in report.findings:
        for line in wrap(printable(finding.message), width, indent="      "):
            assert len(line) <= width or " " not in line.strip()
    assert render(report, "table", width=width)


def test_a_map_of_long_names_fits_80_columns() -> None:
    assert max(map(cell_len, render(MAP, "table", width=80).splitlines())) <= 80


def test_a_command_in_a_hint_is_never_broken() -> None:
    hint = (
        "See what the process waits for, as it may be deadlocked. Bring it up: lodiag iface up --interface lo. "
        "See: ps -L -o tid,stat,wchan:30,comm -p 32400; nft list ruleset"
    )
    text = render(make_report("conns", None, (), (make_finding(hint=hint, fix=None),)), "table", width=40)
    for command in ("lodiag iface up --interface lo", "ps -L -o tid,stat,wchan:30,comm -p 32400", "nft list ruleset"):
        assert command in text
    assert "\0" not in text


@pytest.mark.parametrize("width", [70, 80])
def test_what_is_printed_on_a_terminal_is_fitted_to_it(width: int) -> None:
    master, slave = os.openpty()
    termios.tcsetwinsize(slave, (24, width))
    with Watcher("-v", "environment", command="doctor", pipe=(master, slave)) as watcher:
        while watcher.read():
            pass
    lines = watcher.text.splitlines()
    assert max(map(len, lines)) <= width
    assert any(line.startswith(" " * 30) for line in lines)


def test_what_fills_a_screen_is_summed_up_below_on_a_terminal_alone() -> None:
    records = tuple(make_ping_record(address=f"127.0.0.{at}", received=min(at, 4), sent=4) for at in range(1, 31))
    summary = replace(PING.summary, addresses=30, answered=30)
    report = make_report("ping", summary, records)
    assert render(report, "table", width=80).splitlines()[-1] == "30 of 30 addresses answered"
    assert render(report, "table").splitlines()[-1].startswith("localhost  127.0.0.30 ")


def test_of_many_addresses_those_that_lost_something_come_first() -> None:
    records = tuple(make_ping_record(address=f"127.0.0.{at}", received=3 + (at != 30), sent=4) for at in range(1, 31))
    lines = render(make_report("ping", replace(PING.summary, addresses=30), records), "table").splitlines()
    header = next(at for at, line in enumerate(lines) if line.startswith("target"))
    assert [line.split()[1] for line in lines[header + 1 : header + 3]] == ["127.0.0.30", "127.0.0.1"]


def test_sockets_are_counted_by_state_below_what_fills_a_screen() -> None:
    report = SAMPLES["conns"]
    many = replace(report, records=tuple(report.records) * 10)
    sentence = render(many, "table", width=200)
    assert f"\n\n{report.summary.sockets} sockets: " in sentence
    assert f"{report.summary.sockets} sockets: " not in render(many, "table")


def test_a_sweep_says_what_was_probed() -> None:
    records = (make_ping_record(size_bytes=64, fragments=1), make_ping_record(size_bytes=4096, fragments=1))
    text = render(make_report("ping", PING.summary, records), "table")
    assert text.startswith("sweep of localhost (127.0.0.1) by icmp-datagram, kernel clock: 64 to 4096 bytes\n")


def test_a_flood_without_duplicates_leaves_room_for_its_rate() -> None:
    record = make_ping_record(interval_s=0, sent=12_345_678, received=12_345_678, sent_per_s=378_253.0)
    text = render(make_report("ping", PING.summary, (record,)), "table")
    assert max(map(len, text.splitlines()[:2])) <= 80
    assert "duplicates" not in text
    assert "duplicates" in render(make_report("ping", PING.summary, (replace(record, duplicates=1),)), "table")
