"""``lodiag trace --watch`` and ``watch_route``: the hops of a way in the long run."""

from __future__ import annotations

import json
import re
import shlex
import signal
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest
from chains import LODIAG, in_chain
from faking import NS_PER_S, FakeProbe, FakeSystem
from jsonschema import Draft202012Validator
from running import assert_refused, run_lodiag
from test_trace import path
from watching import Watcher

from lodiag import watch_route
from lodiag.errors import ConfigError, TargetError
from lodiag.schema import build_schema

if TYPE_CHECKING:
    from pathlib import Path

    from lodiag.hops.rounds import Round


def test_lines_follow_the_schema_and_count_all_rounds() -> None:
    with Watcher("--watch", "0.4", "127.0.0.1", command="trace") as watcher:
        watcher.await_line(lambda line: line.get("round") == 3)
        watcher.process.send_signal(signal.SIGINT)
        assert watcher.end() == (130, "")
    first, *rounds = watcher.lines
    definitions = build_schema()["$defs"]
    for name, lines in (("TraceWatching", [first]), ("TraceRound", rounds)):
        check = Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": definitions})
        for line in lines:
            check.validate(line)
            assert set(line) == {"type", *definitions[name]["properties"]}
    assert (first["type"], first["address"], first["interval_s"]) == ("watching", "127.0.0.1", 0.4)
    for number, line in enumerate(rounds[:3], 1):
        (record,) = line["records"]
        assert (line["type"], line["round"], line["reached"], line["findings"]) == ("round", number, True, [])
        assert (record["sent"], record["received"], len(record["probes"])) == (number, number, 1)
        assert record["rtt_min_ms"] <= record["rtt_avg_ms"] <= record["rtt_max_ms"]
        assert record["rtt_last_ms"] == record["probes"][0]["rtt_ms"]


def test_a_way_over_routers_is_followed_and_a_closed_pipe_ends_it() -> None:
    done = in_chain("", "sh", "-c", f"{shlex.join(LODIAG)} trace --watch 0.5 127.0.0.2 | head -n 3")

    _, *rounds = map(json.loads, done.stdout.splitlines())
    assert [line["round"] for line in rounds] == [1, 2]
    for line in rounds:
        assert [record["address"] for record in line["records"]] == ["192.0.2.2", "198.51.100.2", "127.0.0.2"]
        assert {record["sent"] for record in line["records"]} == {line["round"]}
        assert [finding["code"] for finding in line["findings"]] == ["leaves-loopback"]
        assert line["route"]["gateway"] == "192.0.2.2"
    assert done.stderr == ""


REFUSED = {
    "mtu": ("--watch -M", "--mtu"),
    "queries": ("--watch -q 3", "--queries"),
    "deadline": ("--watch --deadline 9", "--deadline"),
    "format": ("--watch --format csv", "csv"),
    "output": ("--watch --output {folder}/x", "--output"),
    "interval-0": ("--watch 0", "interval must be from 0.1"),
    "interval-nan": ("--watch nan", "interval"),
    "target": ("--watch 1 192.0.2.1", "not on the loopback"),
}


@pytest.mark.parametrize(("arguments", "words"), REFUSED.values(), ids=REFUSED)
def test_it_is_refused(arguments: str, words: str, tmp_path: Path) -> None:
    assert_refused(run_lodiag("trace", *shlex.split(arguments.format(folder=tmp_path))), words)


@pytest.mark.parametrize("wrong", [{"interval_s": 0.0}, {"method": "sctp"}, {"target": "192.0.2.1"}])
def test_the_library_refuses_before_anything_is_opened(wrong: dict[str, Any]) -> None:
    system = FakeSystem(path())

    with pytest.raises((ConfigError, TargetError)):
        watch_route(**wrong, system=system)

    assert system.probes == []


class Changing(FakeSystem):
    """A machine whose way to the target is another in each round, of which ``None`` loses every probe."""

    def __init__(self, *ways: tuple[str | None, ...] | None) -> None:
        """Take the ways in turn, and stay with the last."""
        super().__init__(self._lead)
        self.asked: list[list[int]] = []
        self._ways = ways

    def open_probe(self, *arguments: Any, **choices: Any) -> Any:
        """Begin a round."""
        self.asked.append([])
        return super().open_probe(*arguments, **choices)

    def _lead(self, probe: FakeProbe, seq: int) -> None:
        way = self._ways[min(len(self.asked), len(self._ways)) - 1]
        self.asked[-1].append(probe.ttl or 0)
        if way is not None:
            path(*way)(probe, seq)


def watch(system: FakeSystem, count: int, **choices: Any) -> list[Round]:
    """Take so many rounds."""
    return list(islice(watch_route("127.0.0.2", system=system, **choices), count))


def test_a_lost_probe_is_loss_of_the_hop_where_the_target_is() -> None:
    system = Changing((), None, (), ())

    rounds = watch(system, 4)

    assert system.asked[1:] == [[1], [1], [1]]  # no farther than where it was
    (record,) = rounds[-1].records
    assert (record.hop, record.sent, record.received, record.loss_ratio) == (1, 4, 3, 0.25)
    assert [found.report.exit_status for found in rounds] == [0, 1, 0, 0]
    assert [found.records[0].probes[0].status for found in rounds] == ["reached", "timeout", "reached", "reached"]


def test_a_way_that_grows_and_shrinks_is_followed() -> None:
    router, other = "192.0.2.2", "198.51.100.2"

    rounds = watch(Changing((), (router, other), (router, other), (router,), ()), 6)

    ways = [[record.address for record in found.records] for found in rounds]
    # In the second round the target is looked for where it was: one hop away.
    assert ways == [["127.0.0.2"], [router], [router, other, "127.0.0.2"], [router, "127.0.0.2"], *[["127.0.0.2"]] * 2]
    assert [[f.code for f in found.report.findings] for found in rounds][-1] == []


def test_a_target_that_is_gone_is_looked_for_farther_away_after_three_rounds() -> None:
    system = Changing((), None)

    watch(system, 5)

    assert [len(asked) for asked in system.asked[1:]] == [1, 1, 1, 30]


def test_of_a_way_on_which_nothing_answers_one_hop_is_told() -> None:
    rounds = watch(Changing(None), 2)

    (record,) = rounds[-1].records
    assert (record.hop, record.address, record.sent, record.received, record.rtt_avg_ms) == (1, None, 2, 0, None)


def test_no_round_takes_longer_than_the_interval() -> None:
    system = Changing(None)

    rounds = watch(system, 4, interval_s=0.5, timeout_s=9.0)

    assert [found.report.duration_ms for found in rounds] == [450] * 4
    assert system.now_ns == 1.95 * NS_PER_S


def test_times_are_those_of_all_rounds() -> None:
    delays = iter((0.001, 0.003, 0.002))

    rounds = watch(FakeSystem(lambda probe, seq: probe.answer(seq, after_s=next(delays))), 3, max_hops=1)

    (record,) = rounds[-1].records
    times = (record.rtt_last_ms, record.rtt_min_ms, record.rtt_avg_ms, record.rtt_max_ms, record.rtt_stddev_ms)
    assert times == pytest.approx((2, 1, 2, 3, 0.816497))


def test_the_live_table_shows_loss_and_times_and_is_left_behind() -> None:
    live = pytest.importorskip("test_live", reason="this system has no pseudo-terminals")
    with live.Terminal("0.4", "127.0.0.1", command="trace") as terminal:
        terminal.await_row(r"hop address +by +loss +sent +last ms +avg +best +worst +stddev +now")
        terminal.await_row(r" 1 127\.0\.0\.1 \S+ +0 % +3 +\d\.\d{3} .* reached")
        assert terminal.stop() == 130
    left = live.CONTROL.sub("", terminal.text[terminal.text.index(live.GIVE_SCREEN) :])
    assert re.search(r"round \d+, every 0\.4 s\s+trace of 127\.0\.0\.1 by udp", left)
