"""``lodiag conns --watch``: the test opens, changes and closes sockets while lodiag watches."""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from contextlib import ExitStack, closing
from itertools import islice
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from running import NOBODY, assert_refused, environment, require_readable_python, run_lodiag
from samples import make_tcp
from watching import PATIENCE_S, Watcher

from lodiag.cli.parsing import make_command_parser
from lodiag.errors import ConfigError
from lodiag.model import Host
from lodiag.model.conns import ConnRecord, Endpoint
from lodiag.schema import build_schema
from lodiag.sockets.watch import watch_connections
from lodiag.system import System
from lodiag.system.facts import Holder, Process, Question, Socket, SocketTable
from lodiag.system.memory import MOST_READINGS, remember_holders

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from lodiag.sockets.watch import Tick

    Line = dict[str, Any]

THIS = os.getpid()
NS_PER_S = 1_000_000_000


def serve(opened: ExitStack) -> tuple[socket.socket, int]:
    server = opened.enter_context(closing(socket.create_server(("127.0.0.1", 0))))
    return server, int(server.getsockname()[1])


def connect(opened: ExitStack, port: int) -> tuple[socket.socket, int]:
    client = opened.enter_context(closing(socket.create_connection(("127.0.0.1", port))))
    return client, int(client.getsockname()[1])


def accept(opened: ExitStack, server: socket.socket) -> socket.socket:
    return opened.enter_context(closing(server.accept()[0]))


def reset(sock: socket.socket) -> None:
    """Close a connection by RST, so that no end of it waits in time-wait."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def is_event(event: str, port: int, peer: int | None = None, **fields: object) -> Callable[[Line], bool]:
    """Whether a line tells this of the socket with these ports."""

    def is_wanted(line: Line) -> bool:
        record = line.get("record", {})
        return (
            line.get("event") == event
            and record["local"]["port"] == port
            and (record["remote"] or {"port": None})["port"] == peer
            and all(record[name] == value for name, value in fields.items())
        )

    return is_wanted


def pids(owners: Sequence[Line] | None) -> list[int] | None:
    return None if owners is None else [owner["pid"] for owner in owners]


# --- what becomes of sockets -----------------------------------------------------------------------------------------


def test_a_connection_is_told_from_its_first_state_to_its_last(opened: ExitStack, source: str) -> None:
    server, port = serve(opened)
    with Watcher("--watch", "0.1", "--port", str(port), "-t", "--source", source) as watcher:
        start = watcher.await_line(lambda line: line["type"] == "watching")
        listener = watcher.await_line(is_event("present", port, state="listen"))
        client, peer = connect(opened, port)
        accepted = accept(opened, server)
        near = watcher.await_line(is_event("opened", port, peer))
        client.close()
        half = watcher.await_line(is_event("changed", port, peer, state="close-wait"))
        reset(accepted)
        gone = watcher.await_line(is_event("closed", port, peer))
        server.close()
        last = watcher.await_line(is_event("closed", port, state="listen"))
        seen = list(watcher.lines)
    assert (start["source"], start["interval_s"], start["schema"]) == (source, 0.1, "lodiag/1")
    assert start["sockets"] == sum(line.get("event") == "present" for line in seen)
    assert listener["before"] is near["before"] is gone["before"] is None
    assert half["before"] == {"state": "established"}
    assert pids(half["record"]["owners"]) == [THIS]
    assert (gone["record"]["state"], pids(gone["record"]["owners"])) == ("close-wait", [THIS])
    assert any(is_event("opened", peer, port)(line) for line in seen), "the client's end, too"
    cookies = {line["cookie"] for line in (near, half, gone)}
    assert len(cookies) == 1
    assert (cookies == {None}) == (source != "sock_diag")
    assert listener["cookie"] == last["cookie"]
    assert (last["cookie"] in cookies) == (source != "sock_diag")
    assert all(line["cookie"] == line["record"]["cookie"] for line in seen if line["type"] == "event")
    instants = [line["at"] for line in seen if line["type"] == "event"]
    assert instants == sorted(instants)


def test_a_connection_that_is_accepted_late_has_got_an_owner(opened: ExitStack) -> None:
    server, port = serve(opened)
    with Watcher("--watch", "0.1", "--port", str(port)) as watcher:
        watcher.await_line(is_event("present", port))
        _, peer = connect(opened, port)
        waiting = watcher.await_line(is_event("opened", port, peer))
        reset_later = accept(opened, server)
        taken = watcher.await_line(is_event("changed", port, peer))
        reset(reset_later)
    if waiting["record"]["no_owner"] is None:
        pytest.skip("this source does not tell sockets that are not accepted")
    assert waiting["record"]["owners"] == []
    assert taken["before"] == {"owners": []}
    assert pids(taken["record"]["owners"]) == [THIS]


def test_a_socket_that_is_handed_to_another_process_has_got_an_owner(opened: ExitStack) -> None:
    """Its inode stays: only a search for all owners, which is made every few readings, finds that."""
    server, port = serve(opened)
    with Watcher("--watch", "0.1", "--lport", str(port)) as watcher:
        watcher.await_line(is_event("present", port))
        child = subprocess.Popen(
            [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE, pass_fds=[server.fileno()]
        )
        try:
            more = watcher.await_line(is_event("changed", port))
        finally:
            child.communicate()
        fewer = watcher.await_line(is_event("changed", port))
    both = sorted([THIS, child.pid])  # pids begin anew when they have all been given
    assert (pids(more["before"]["owners"]), pids(more["record"]["owners"])) == ([THIS], both)
    assert (pids(fewer["before"]["owners"]), pids(fewer["record"]["owners"])) == (both, [THIS])


def test_a_listener_that_is_given_another_backlog_or_drops_has_changed(opened: ExitStack) -> None:
    server, port = serve(opened)
    with Watcher("--watch", "0.1", "--lport", str(port)) as watcher:
        if watcher.await_line(is_event("present", port))["record"]["backlog"] is None:
            pytest.skip("this source does not tell it")
        server.listen(1)
        changed = watcher.await_line(is_event("changed", port))
    assert set(changed["before"]) == {"backlog"}
    assert changed["record"]["backlog"] == 1


def test_a_socket_that_leaves_what_is_chosen_is_changed_and_not_closed(opened: ExitStack, source: str) -> None:
    server, port = serve(opened)
    client, peer = connect(opened, port)
    accepted = accept(opened, server)
    with Watcher("--watch", "0.1", "--port", str(port), "-e", "--source", source) as watcher:
        watcher.await_line(is_event("present", port, peer))
        client.close()
        changed = watcher.await_line(is_event("changed", port, peer))
        reset(accepted)
        another, other = connect(opened, port)
        watcher.await_line(is_event("opened", port, other))
        assert not any(is_event("closed", port, peer)(line) for line in watcher.lines)
        reset(another)
        watcher.await_line(is_event("closed", port, other))
    assert (changed["before"]["state"], changed["record"]["state"]) == ("established", "close-wait")


def test_a_socket_that_comes_into_what_is_chosen_is_changed_and_not_opened(opened: ExitStack) -> None:
    server, port = serve(opened)
    client, peer = connect(opened, port)
    accepted = accept(opened, server)
    with Watcher("--watch", "0.1", "--lport", str(port), "--state", "close-wait", "--pid", str(THIS)) as watcher:
        start = watcher.await_line(lambda line: line["type"] == "watching")
        client.close()
        changed = watcher.await_line(lambda line: line["type"] == "event")
        reset(accepted)
        closed = watcher.await_line(lambda line: line["type"] == "event")
    assert start["sockets"] == 0
    assert is_event("changed", port, peer, state="close-wait")(changed)
    assert changed["before"] == {"state": "established"}
    assert is_event("closed", port, peer)(closed)


@pytest.mark.parametrize("options", ["-t", "-l -t", "--local 127.0.0.2", "--state listen", "--no-process -t"])
def test_the_filters_of_conns_choose(opened: ExitStack, options: str) -> None:
    """What is not chosen is opened first, and is not told."""
    with Watcher("--watch", "0.1", *options.split()) as watcher:
        watcher.await_line(lambda line: line["type"] == "watching")
        other = opened.enter_context(closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)))
        other.bind(("127.0.0.1", 0))
        wanted = opened.enter_context(closing(socket.create_server(("127.0.0.2", 0))))
        told = watcher.await_line(is_event("opened", wanted.getsockname()[1], state="listen"))
    ends = [(line["record"]["proto"], line["record"]["local"]["port"]) for line in watcher.lines[1:]]
    assert ("udp", other.getsockname()[1]) not in ends
    assert (told["record"]["owners"] is None) == ("--no-process" in options)


def test_lines_are_as_the_schema_has_them(opened: ExitStack) -> None:
    definitions = build_schema()["$defs"]
    server, port = serve(opened)
    with Watcher("--watch", "0.1", "--port", str(port), "-i") as watcher:
        watcher.await_line(is_event("present", port))
        _, peer = connect(opened, port)
        watcher.await_line(is_event("opened", port, peer))
        reset(accept(opened, server))
        watcher.await_line(is_event("closed", port, peer))
        first, *events = watcher.lines
    for name, lines in (("Watching", [first]), ("ConnEvent", events)):
        check = jsonschema.Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": definitions})
        for line in lines:
            check.validate(line)
            assert set(line) == {"type", *definitions[name]["properties"]}
    assert any(line["record"]["tcp"] for line in events)


def test_the_record_is_that_of_a_report(opened: ExitStack) -> None:
    _, port = serve(opened)
    report = json.loads(run_lodiag("conns", "--lport", str(port), "--json").stdout)
    with Watcher("--watch", "--lport", str(port), "--format", "jsonl") as watcher:
        present = watcher.await_line(is_event("present", port))
    assert present["record"] == report["records"][0]


def test_owners_that_may_not_be_seen_are_null_and_it_is_said(opened: ExitStack) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root has another user's sockets")
    require_readable_python()
    _, port = serve(opened)
    with Watcher("--watch", "0.1", "--lport", str(port), prefix=NOBODY) as watcher:
        start = watcher.await_line(lambda line: line["type"] == "watching")
        present = watcher.await_line(is_event("present", port))
    assert (start["complete"], start["missing"][0]["what"], start["missing"][0]["count"]) == (False, "owners", 1)
    assert present["record"]["owners"] is None


# --- how it ends -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("interval", ["0.1", "3600"])
def test_a_signal_ends_it_quietly(number: signal.Signals, status: int, interval: str) -> None:
    with Watcher("--watch", interval) as watcher:
        watcher.await_line(lambda line: line["type"] == "watching")
        watcher.process.send_signal(number)
        assert watcher.end() == (status, "")


def test_a_reader_that_goes_away_ends_it_quietly_also_if_nothing_happens() -> None:
    with Watcher("--watch", "3600", "--state", "closing") as watcher:
        watcher.await_line(lambda line: line["type"] == "watching")
        watcher.close()
        assert watcher.end() == (0, "")


def test_head_ends_it() -> None:
    script = f"{sys.executable} -m lodiag conns --watch 3600 | head -n 1"
    done = subprocess.run(
        ["sh", "-c", script],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=PATIENCE_S,
        check=True,
    )
    assert json.loads(done.stdout)["type"] == "watching"
    assert done.stderr == ""


def test_without_a_standard_output_it_ends() -> None:
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m lodiag conns --watch 3600 >&-"],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--watch", "0"], "interval must be from 0.1 to 86400 seconds"),
        (["--watch", "0.09"], "interval must be from 0.1 to 86400 seconds"),
        (["--watch", "-1"], "interval must be from 0.1 to 86400 seconds"),
        (["--watch", "86401"], "interval must be from 0.1 to 86400 seconds"),
        (["--watch", "nan"], "interval must be from 0.1 to 86400 seconds"),
        (["--watch", "soon"], "'soon' is not a number of seconds"),
        (["--watch", "1", "2"], "unrecognized arguments: 2"),
        (["--watch", "--format", "csv"], "the format csv is of a whole report"),
        (["--watch", "--format", "markdown"], "the format markdown is of a whole report"),
        (["--watch", "--format", "prometheus"], "the format prometheus is of a whole report"),
        (["--watch", "--columns", "local"], "the format jsonl has all columns"),
        (["--watch", "--port", "70000"], "port must be from 0 to 65535"),
        (["--watch", "--state", "open"], "'open' is not a state"),
    ],
)
def test_what_cannot_be_watched_is_refused_in_one_sentence(arguments: list[str], words: str) -> None:
    assert_refused(run_lodiag("conns", *arguments), words)


def test_no_file_is_written(tmp_path: Any) -> None:
    path = tmp_path / "events"
    path.write_text("what was here before\n")
    assert_refused(run_lodiag("conns", "--watch", "--output", str(path)), "--output keeps a file that is written whole")
    assert path.read_text() == "what was here before\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["events"]


@pytest.mark.parametrize(
    ("arguments", "seconds"),
    [
        (["--watch"], 1.0),
        (["--watch", "-t"], 1.0),
        (["-t", "--watch", "2.5", "-l"], 2.5),
        (["--watch=0.5"], 0.5),
        ([], None),
    ],
)
def test_the_seconds_may_be_left_out(arguments: list[str], seconds: float | None) -> None:
    assert make_command_parser("conns").parse_intermixed_args(arguments).watch == seconds


# --- when it reads ---------------------------------------------------------------------------------------------------


class Clockwork(System):
    """A machine whose time passes only by waiting and by readings, of which each takes as long as the test says."""

    def __init__(self, tables: Sequence[Sequence[Socket]] = ((),), durations_s: Sequence[float] = ()) -> None:
        """``tables`` are what is read in turn, the last one for ever."""
        self.now_ns = 5 * NS_PER_S
        self.readings: list[float] = []
        self.sources: list[str | None] = []
        self.searches: list[set[int]] = []
        self.holders: dict[int, tuple[Holder, ...]] = {}
        self.ended: set[int] = set()
        self._tables, self._durations_s = tables, durations_s

    def monotonic_ns(self) -> int:
        """Tell the time."""
        return self.now_ns

    def wall_ns(self) -> int:
        """Tell the time."""
        return self.now_ns

    def describe_host(self) -> Host:
        """Be anywhere."""
        return Host(platform="clockwork", uid=1000, netns=None)

    def wait(self, probes: Sequence[Any], timeout_s: float) -> None:
        """Let time pass, no more at once than ``System.wait`` does."""
        assert list(probes) == []
        self.now_ns += round(min(timeout_s, 0.1) * NS_PER_S)

    def list_sockets(self, source: str | None = None, question: Question | None = None) -> SocketTable:
        """Give the next table."""
        del question
        at = len(self.readings)
        self.readings.append((self.now_ns - 5 * NS_PER_S) / NS_PER_S)
        self.sources.append(source)
        self.now_ns += round(NS_PER_S * (self._durations_s[at] if at < len(self._durations_s) else 0.001))
        return SocketTable("proc", tuple(self._tables[min(at, len(self._tables) - 1)]), None)

    def find_holders(
        self, inodes: Collection[int], pids: Collection[int] | None = None
    ) -> Mapping[int, tuple[Holder, ...]]:
        """Give ``holders``."""
        del pids
        self.searches.append(set(inodes))
        return {inode: self.holders[inode] for inode in inodes if inode in self.holders}

    def describe_process(self, pid: int, *, with_cmdline: bool) -> Process:
        """Name each process alike."""
        del with_cmdline
        return Process(pid, None if pid in self.ended else "clockwork", "root", None)


def listener(port: int, inode: int | None = None) -> Socket:
    return Socket("tcp", "ipv4", "listen", Endpoint("127.0.0.1", port), None, inode=port if inode is None else inode)


def take(count: int, system: System, **options: Any) -> list[Tick]:
    return list(islice(watch_connections(system=system, **options), count))


def told(ticks: Sequence[Tick]) -> list[list[tuple[str, int]]]:
    return [[(event.event, event.record.local.port) for event in tick.events] for tick in ticks]


def test_readings_begin_at_whole_intervals() -> None:
    system = Clockwork(durations_s=[0.3] * 50)
    ticks = take(50, system, interval_s=0.7)
    assert system.readings == pytest.approx([0.7 * number for number in range(50)])
    assert [tick.elapsed_s for tick in ticks] == [None, *[pytest.approx(0.7)] * 49]


def test_a_reading_that_takes_too_long_leaves_out_those_that_it_overran() -> None:
    system = Clockwork(durations_s=[0.1, 2.5, 0.1, 1.0, 0.1])
    ticks = take(5, system, interval_s=1.0)
    assert system.readings == pytest.approx([0, 1, 4, 5, 7])
    assert [tick.elapsed_s for tick in ticks] == [None, *map(pytest.approx, (1.0, 3.0, 1.0, 2.0))]


def test_it_goes_on_for_as_long_as_is_wanted() -> None:
    system = Clockwork()
    ticks = list(watch_connections(system=system, keep_going=lambda: system.now_ns < 8 * NS_PER_S))
    assert system.readings == pytest.approx([0, 1, 2])
    assert len(ticks) == 3


def test_events_of_readings_in_turn() -> None:
    one, two = listener(1), listener(2)
    ticks = take(5, Clockwork([[one], [one, two], [two], [two], []]))
    assert told(ticks) == [[("present", 1)], [("opened", 2)], [("closed", 1)], [], [("closed", 2)]]
    assert [event.at for event in ticks[1].events] == [ticks[1].report.started_at]


def test_the_source_of_the_first_reading_is_kept() -> None:
    system = Clockwork()
    take(3, system)
    assert system.sources == [None, "proc", "proc"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"interval_s": 0.05},
        {"interval_s": 86401.0},
        {"interval_s": "1"},
        {"sort": "size"},
        {"port": -1},
        {"states": ["x"]},
    ],
    ids=str,
)
def test_the_library_refuses_at_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        watch_connections(**wrong)


@pytest.fixture
def count_records() -> Iterator[Callable[[], int]]:
    """Give what counts the records that were made since; all else is set aside, as there may be much of it."""
    gc.collect()
    gc.freeze()
    yield _count_records
    gc.unfreeze()


def _count_records() -> int:
    gc.collect()
    return sum(isinstance(found, ConnRecord) for found in gc.get_objects())


def test_no_more_is_kept_than_two_readings(count_records: Callable[[], int]) -> None:
    tables = [[listener(number, at * 10 + number + 1) for number in range(10)] for at in range(60)]
    most = 0
    for _ in islice(watch_connections(system=Clockwork(tables)), 60):
        most = max(most, count_records())
    assert 10 <= most <= 50


def test_a_socket_whose_owner_is_known_by_a_filter_alone_has_changed() -> None:
    system = Clockwork([[listener(1)]])
    system.holders = {1: (Holder(7, 3),)}
    found = []
    for tick in islice(watch_connections(system=system, process="clockwork"), 4):
        found.append([(event.event, event.before) for event in tick.events])
        system.ended = {7}
    assert [len(events) for events in found] == [1, 1, 0, 0]
    ((event, before),) = found[1]
    assert event == "changed"
    assert [owner.process for owner in before["owners"]] == ["clockwork"] if before else False


# --- who holds a socket ----------------------------------------------------------------------------------------------


def test_holders_are_searched_for_if_there_may_be_others() -> None:
    system = Clockwork()
    system.holders = {1: (Holder(7, 3),), 2: (Holder(8, 3),)}
    memory = remember_holders(system)
    for _ in range(3):
        assert memory.find_holders({1}) == {1: (Holder(7, 3),)}
    assert system.searches == [{1}]
    assert memory.find_holders({1, 2})[2] == (Holder(8, 3),), "a new one"
    assert memory.find_holders({2})[2] == (Holder(8, 3),), "one less"
    assert system.searches == [{1}, {1, 2}]
    system.ended = {8}
    memory.find_holders({2})
    assert system.searches == [{1}, {1, 2}, {2}]


def test_holders_are_not_believed_for_ever() -> None:
    system = Clockwork()
    memory = remember_holders(system)
    for _ in range(3 * MOST_READINGS):
        memory.find_holders({1})
    assert len(system.searches) == 3


def test_counters_give_rates_only_of_the_same_socket() -> None:
    """A new socket has no reading before, so no rate."""
    row = listener(1)._replace(state="established", remote=Endpoint("127.0.0.1", 2), tcp=make_tcp())
    first, second = take(
        2, Clockwork([[row], [row, row._replace(inode=9, local=Endpoint("127.0.0.1", 3))]]), with_tcp=True
    )
    assert [sight.before for sight in first.here] == [None]
    assert [sight.before is not None for sight in second.here] == [True, False]
