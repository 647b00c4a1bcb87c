"""Every format of every command, against golden files and against what may never happen in any.

``LODIAG_TEST_UPDATE_GOLDEN=1 pytest tests/render`` writes the golden files anew; read the difference before
you commit it.
"""

from __future__ import annotations

import csv
import json
import os
from io import StringIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import (
    CHECK,
    CONNS,
    EMPTY,
    HOSTILE,
    MAP,
    PING,
    SAMPLES,
    make_finding,
    make_ping_record,
    make_reply,
    make_report,
)

from lodiag.model import Evidence, to_plain
from lodiag.render import FORMATS, GRAPHS, JUDGED, render
from lodiag.render.cells import percent
from lodiag.render.escaping import printable
from lodiag.render.flows import size
from lodiag.render.table import render_reply

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("name", SAMPLES)
def test_golden(name: str, format_name: str) -> None:
    path = GOLDEN / f"{name}.{format_name}"
    text = render(SAMPLES[name], format_name)
    if os.environ.get("LODIAG_TEST_UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("name", SAMPLES)
def test_no_format_lets_a_control_character_through(name: str, format_name: str) -> None:
    text = render(SAMPLES[name], format_name)
    assert all(character.isprintable() or character == "\n" for character in text)


@pytest.mark.parametrize("format_name", JUDGED)
def test_golden_judged(format_name: str) -> None:
    """Those of commands that judge; tests/render/test_judged.py has them read by what reads them."""
    path = GOLDEN / f"check.{format_name}"
    text = render(CHECK, format_name)
    if os.environ.get("LODIAG_TEST_UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
    assert all(character.isprintable() or character == "\n" for character in text)


def test_golden_picture() -> None:
    """It is XML, and no name breaks out of it."""
    path = GOLDEN / "bench.svg"
    picture = render(SAMPLES["bench"], "svg")
    if os.environ.get("LODIAG_TEST_UPDATE_GOLDEN"):
        path.write_text(picture, encoding="utf-8")
    assert picture == path.read_text(encoding="utf-8")
    assert all(character.isprintable() or character == "\n" for character in picture)
    tags = {element.tag.partition("}")[2] for element in ET.fromstring(picture).iter()}  # noqa: S314 - our own
    assert tags == {"svg", "title", "style", "rect", "text", "line"}


@pytest.mark.parametrize("format_name", GRAPHS)
def test_golden_graph(format_name: str) -> None:
    path = GOLDEN / f"map.{format_name}"
    text = render(MAP, format_name)
    if os.environ.get("LODIAG_TEST_UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
    assert all(character.isprintable() or character == "\n" for character in text)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, "-"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (10_300, "10 KiB"),
        (1024**2 - 1, "1.0 MiB"),
        (5_000_000, "4.8 MiB"),
        (2**64 - 1, "16 EiB"),
    ],
)
def test_a_number_of_bytes_fits_a_cell(count: int | None, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize("format_name", ["json", "jsonl"])
def test_json_gives_back_what_was_there(format_name: str) -> None:
    first = json.loads(render(CONNS, "json"))["records"][1]
    if format_name == "jsonl":
        first = json.loads(render(CONNS, "jsonl").splitlines()[1])
    assert first["owners"][0]["process"] == HOSTILE


def test_tables_fit_80_columns() -> None:
    lines = render(PING, "table").splitlines()
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (None, "-"),
        (0.0, "0 %"),
        (0.25, "25 %"),
        (0.001, "0.1 %"),
        (0.00001, "0.001 %"),
        (1.0, "100 %"),
        (29_999 / 30_000, "99.99667 %"),
    ],
)
def test_a_small_loss_does_not_look_like_none(ratio: float | None, text: str) -> None:
    assert percent(ratio) == text


def test_csv_has_the_same_columns_whatever_was_measured() -> None:
    header = render(CONNS, "csv").splitlines()[0]
    alone = make_report("conns", CONNS.summary, CONNS.records[2:3])
    assert render(alone, "csv").splitlines()[0] == header
    assert "owners.pid" in header


def test_csv_rows_are_as_long_as_the_header() -> None:
    rows = list(csv.reader(StringIO(render(CONNS, "csv"))))
    assert {len(row) for row in rows} == {len(rows[0])}


def test_what_was_not_measured_has_no_sample() -> None:
    text = render(make_report("ping", PING.summary, (make_ping_record(rtt_min_ms=None),)), "prometheus")
    assert "lodiag_ping_rtt_min_seconds" not in text
    assert "lodiag_ping_rtt_max_seconds{" in text


def test_nothing_to_show_is_said() -> None:
    assert render(EMPTY, "table") == "no sockets to show\n"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "56 bytes from 127.0.0.1: seq=1 ttl=64 time=0.035 ms user=0.084 ms"),
        ({"clock": "kernel-rx"}, "56 bytes from 127.0.0.1: seq=1 ttl=64 time=0.035 ms user=0.084 ms"),
        ({"clock": "user"}, "56 bytes from 127.0.0.1: seq=1 ttl=64 time=0.035 ms"),
        ({"reply_ttl": None, "size_bytes": None}, "reply from 127.0.0.1: seq=1 time=0.035 ms user=0.084 ms"),
        ({"status": "late"}, "56 bytes from 127.0.0.1: seq=1 ttl=64 time=0.035 ms user=0.084 ms (late)"),
        ({"status": "corrupted"}, "56 bytes from 127.0.0.1: seq=1 ttl=64 time=0.035 ms user=0.084 ms (corrupted)"),
        ({"status": "timeout", "error": "timeout"}, "127.0.0.1: seq=1 no reply (timeout)"),
        (
            {"status": "timeout", "error": "timeout", "reached": "queue"},
            "127.0.0.1: seq=1 no reply (timeout; it never left the queue)",
        ),
        (
            {"status": "not-sent", "error": "blocked-by-firewall", "icmp_type": None},
            "127.0.0.1: seq=1 not sent: blocked-by-firewall",
        ),
        (
            {"status": "not-sent", "error": "blocked-by-firewall", "icmp_type": 3, "icmp_code": 1},
            "127.0.0.1: seq=1 not sent: blocked-by-firewall; from 127.0.0.1 (ICMP type 3 code 1)",
        ),
        (
            {"status": "unreachable", "error": "rejected-by-firewall", "icmp_type": 3, "icmp_code": 13},
            "from 127.0.0.1: seq=1 rejected-by-firewall (ICMP type 3 code 13)",
        ),
    ],
)
def test_the_line_of_a_probe(changes: dict[str, object], line: str) -> None:
    assert render_reply("localhost", "127.0.0.1", make_reply(**changes)) == line


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain \N{SNOWMAN}", "plain \N{SNOWMAN}"), ("\x1b[2J", r"\x1b[2J"), ("a\nb", r"a\nb"), ("\u202e", r"\u202e")],
)
def test_escaping(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize("name", SAMPLES)
def test_json_holds_what_the_report_holds(name: str) -> None:
    assert json.loads(render(SAMPLES[name], "json")) == to_plain(SAMPLES[name])


@given(
    st.lists(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        max_size=6,
    )
)
def test_json_of_a_field_that_is_of_many_types(values: list[Any]) -> None:
    """It is encoded type by type, and what is equal in Python, such as 1 and true, is not in JSON."""
    evidence = tuple(Evidence(name="100 %s", value=value, source="%") for value in values)
    report = make_report("conns", CONNS.summary, (), (make_finding(evidence=evidence),))
    found = json.loads(render(report, "json"))["findings"][0]["evidence"]
    assert [repr(item["value"]) for item in found] == [repr(value) for value in values]
    assert all((item["name"], item["source"]) == ("100 %s", "%") for item in found)


def test_json_of_many_records_is_that_of_each() -> None:
    many = make_report("conns", CONNS.summary, [*CONNS.records] * 1500)
    assert json.loads(render(many, "json"))["records"] == to_plain(CONNS.records) * 1500
