"""What became of each socket between two readings: a pure comparison, and the marks of a live table."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import EMPTY, make_connection, make_tcp

from lodiag.model.conns import ConnTcp, Endpoint, Owner
from lodiag.render.flows import size
from lodiag.render.live import RATE_WIDTH
from lodiag.sockets.board import MARKED_READINGS, Board, Row, fit
from lodiag.sockets.changes import Sight, compare, find_changes, measure_rate
from lodiag.sockets.options import STATES
from lodiag.sockets.watch import Tick

if TYPE_CHECKING:
    from lodiag.model.conns import ConnRecord

CLIENT = Endpoint(address="127.0.0.1", port=40000)


def connection(state: str = "established", **changes: Any) -> ConnRecord:
    """Make a connection of a client, without a cookie unless one is given."""
    settings = {"state": state, "remote": CLIENT, "cookie": None, "backlog": None, **changes}
    return make_connection(**settings)


def owner(pid: int, process: str = "python") -> Owner:
    return Owner(pid=pid, process=process, user="root", fd=3, cmdline=None)


def is_followed(before: ConnRecord, after: ConnRecord) -> bool:
    """Whether two readings of one socket each are taken for the same socket."""
    known = [Sight(1, before)]
    (here,), gone = compare(known, [after], count(2))
    assert here.record == after
    if here.number == 1:
        assert (here.before, gone) == (before, ())
        return True
    assert (here.number, here.before, gone) == (2, None, tuple(known))
    return False


# --- the same socket, or another -------------------------------------------------------------------------------------


def test_a_cookie_names_a_socket_whatever_else_changes() -> None:
    before = connection(cookie="1f")
    after = make_connection(cookie="1f", state="time-wait", inode=0, owners=(), local=CLIENT)
    assert is_followed(before, after)
    assert not is_followed(before, connection(cookie="20"))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(connection(), connection("close-wait"), id="by its inode"),
        pytest.param(
            make_connection(cookie=None, proto="udp", state="unconnected"),
            make_connection(cookie=None, proto="udp", state="established", remote=CLIENT),
            id="by its inode, when it is connected",
        ),
        pytest.param(connection("fin-wait-2"), connection("time-wait", inode=0), id="its process has it no more"),
        pytest.param(connection(inode=0), connection(inode=7), id="it is accepted"),
        pytest.param(connection("time-wait", inode=0), connection("time-wait", inode=0), id="it waits on"),
        pytest.param(connection(inode=None), connection("close-wait", inode=None), id="by its ends"),
        pytest.param(
            make_connection(cookie=None, inode=None), make_connection(cookie=None, inode=None), id="by end and owner"
        ),
    ],
)
def test_without_a_cookie_a_socket_is_followed(before: ConnRecord, after: ConnRecord) -> None:
    assert is_followed(before, after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(connection(inode=7), connection(inode=8), id="the ends are used again"),
        pytest.param(connection("time-wait", inode=0), connection(inode=7), id="a port is used again"),
        pytest.param(connection("time-wait", inode=0), connection(inode=0), id="and not accepted yet"),
        pytest.param(connection("time-wait", inode=None), connection(inode=None), id="as psutil sees it"),
        pytest.param(
            make_connection(cookie=None, inode=7), make_connection(cookie=None, inode=8), id="another listener"
        ),
        pytest.param(
            make_connection(cookie=None, inode=None, owners=(owner(1),)),
            make_connection(cookie=None, inode=None, owners=(owner(2),)),
            id="a listener of another process",
        ),
    ],
)
def test_without_a_cookie_another_socket_is_new(before: ConnRecord, after: ConnRecord) -> None:
    assert not is_followed(before, after)


def test_listeners_that_nothing_tells_apart_are_counted() -> None:
    """As psutil shows three of one process by SO_REUSEPORT."""
    alike = make_connection(cookie=None, inode=None)
    first = compare((), [alike, alike, alike], count(1))
    second = compare(first.here, [alike, alike], count(4))
    assert [sight.number for sight in second.here] == [1, 2]
    assert [sight.number for sight in second.gone] == [3]


readings = st.lists(
    st.builds(
        connection,
        state=st.sampled_from(STATES),
        cookie=st.sampled_from([None, None, "1", "2"]),
        inode=st.sampled_from([None, 0, 1, 2, 3]),
        local=st.builds(Endpoint, address=st.just("127.0.0.1"), port=st.integers(1, 3)),
        remote=st.sampled_from([None, CLIENT]),
        owners=st.sampled_from([None, (), (owner(1),), (owner(2),)]),
    ),
    max_size=8,
)


@given(readings, readings)
def test_each_socket_is_here_or_gone_and_none_is_both(first: list[ConnRecord], second: list[ConnRecord]) -> None:
    numbers = count(1)
    known = compare((), first, numbers).here
    here, gone = compare(known, second, numbers)
    former = {sight.number: sight.record for sight in known}
    followed = [sight for sight in here if sight.before is not None]
    assert len({sight.number for sight in here}) == len(here)
    assert {sight.number for sight in followed} | {sight.number for sight in gone} == set(former)
    assert not {sight.number for sight in here} & {sight.number for sight in gone}
    assert all(sight.before is former[sight.number] for sight in followed)
    assert all(sight.number > len(former) for sight in here if sight.before is None)
    assert all(any(sight.record is record for record in second) for sight in here)


@given(readings)
def test_what_stays_as_it_is_gives_no_event(reading: list[ConnRecord]) -> None:
    numbers = count(1)
    known = compare((), reading, numbers).here
    here, gone = compare(known, [sight.record for sight in known], numbers)
    assert gone == ()
    assert [sight.number for sight in here] == [sight.number for sight in known]
    assert all(find_changes(sight.before, sight.record) == {} for sight in here if sight.before is not None)


# --- what is a change ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("state", "established", "close-wait"),
        ("local", CLIENT, Endpoint(address="::1", port=1)),
        ("remote", None, CLIENT),
        ("owners", (owner(1),), (owner(1), owner(2))),
        ("owners", None, (owner(1),)),
        ("owners", (), (owner(1),)),
        ("backlog", 5, 128),
        ("drops", 0, 1),
    ],
)
def test_what_changed_is_told_as_it_was(name: str, before: object, after: object) -> None:
    assert find_changes(make_connection(**{name: before}), make_connection(**{name: after})) == {name: before}


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("recv_q_bytes", 0, 4096),
        ("send_q_bytes", 0, 4096),
        ("accept_queue", 0, 3),
        ("timer", None, "retransmit"),
        ("timer_ms", 100, 200),
        ("timer_retransmits", 0, 1),
        ("tcp", make_tcp(), None),
        ("drops", 3, 0),
        ("drops", None, 3),
        ("drops", 3, None),
        ("backlog", 5, None),
        ("owners", (owner(1),), None),
        ("owners", (owner(1, "python"),), (owner(1, "server"),)),
        ("owners", (owner(1), owner(2)), (owner(2), owner(1))),
    ],
)
def test_what_flutters_or_was_not_measured_is_no_change(name: str, before: object, after: object) -> None:
    assert find_changes(make_connection(**{name: before}), make_connection(**{name: after})) == {}


# --- rates -----------------------------------------------------------------------------------------------------------


def tcp(received: int | None) -> ConnTcp:
    values = dict.fromkeys(ConnTcp.__slots__)
    return ConnTcp(**{**values, "bytes_received": received})


@pytest.mark.parametrize(
    ("before", "after", "elapsed_s", "expected"),
    [
        (100, 600, 2.0, 250.0),
        (100, 100, 1.0, 0.0),
        (None, 100, 1.0, None),
        (100, None, 1.0, None),
        (600, 100, 1.0, None),
        (100, 600, None, None),
    ],
)
def test_a_rate_is_that_of_the_time_between_two_readings(
    before: int | None, after: int | None, elapsed_s: float | None, expected: float | None
) -> None:
    sight = Sight(1, connection(tcp=tcp(after)), connection(tcp=tcp(before)))
    assert measure_rate(sight, "bytes_received", elapsed_s) == expected


def test_without_counters_there_is_no_rate() -> None:
    assert measure_rate(Sight(1, connection(tcp=tcp(1))), "bytes_received", 1.0) is None
    assert measure_rate(Sight(1, connection(), connection(tcp=tcp(1))), "bytes_received", 1.0) is None


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, "-"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (10_188, "9.9 KiB"),
        (10_189, "10 KiB"),
        (1_048_063, "1023 KiB"),
        (1_048_064, "1.0 MiB"),
        (12 << 30, "12 GiB"),
    ],
)
def test_sizes_and_rates_have_one_unit_style(count: int | None, text: str) -> None:
    assert size(count) == text


@given(st.integers(0, 1 << 60))
def test_no_rate_is_wider_than_its_column(count: int) -> None:
    assert len(size(count)) <= RATE_WIDTH


# --- marks -----------------------------------------------------------------------------------------------------------


def tick(
    here: tuple[Sight, ...] = (),
    left: tuple[Sight, ...] = (),
    gone: tuple[Sight, ...] = (),
    elapsed_s: float | None = 1.0,
) -> Tick:
    """Make a reading of which the board looks at the sockets alone."""
    return Tick(EMPTY, elapsed_s, here, left, gone, ())


def marks(rows: list[Row]) -> list[str]:
    return [row.mark for row in rows]


def test_what_was_there_is_not_marked_and_what_is_new_is_for_some_readings() -> None:
    board, old, new = Board("state"), make_connection(), connection()
    assert marks(board.update(tick((Sight(1, old),), elapsed_s=None))) == [""]
    both = (Sight(1, old, old), Sight(2, new))
    assert marks(board.update(tick(both))) == ["", "+"]
    both = (Sight(1, old, old), Sight(2, new, new))
    seen = [marks(board.update(tick(both))) for _ in range(MARKED_READINGS)]
    assert seen == [["", "+"]] * (MARKED_READINGS - 1) + [["", ""]]


def test_a_changed_state_is_shown_with_the_one_that_was() -> None:
    board = Board("state")
    board.update(tick((Sight(1, connection()),), elapsed_s=None))
    (row,) = board.update(tick((Sight(1, connection("close-wait"), connection()),)))
    assert (row.mark, row.was, row.record.state) == ("~", "established", "close-wait")


def test_a_socket_that_is_gone_stays_in_its_place_for_some_readings() -> None:
    board = Board("port")
    records = [make_connection(local=Endpoint(address="127.0.0.1", port=port)) for port in (1, 2, 3)]
    sights = [Sight(number, record) for number, record in enumerate(records)]
    board.update(tick(tuple(sights), elapsed_s=None))
    left = (sights[0]._replace(before=records[0]), sights[2]._replace(before=records[2]))
    seen = [marks(board.update(tick(left, gone=(sights[1],))))]
    seen += [marks(board.update(tick(left))) for _ in range(MARKED_READINGS)]
    assert seen == [["", "-", ""]] * MARKED_READINGS + [["", ""]]


def test_a_socket_that_leaves_what_is_chosen_is_shown_as_changed_and_once_if_it_comes_back() -> None:
    board, up, down = Board("state"), connection(), connection("close-wait")
    board.update(tick((Sight(1, up),), elapsed_s=None))
    assert marks(board.update(tick(left=(Sight(1, down, up),)))) == ["~"]
    assert marks(board.update(tick((Sight(1, up, down),)))) == ["~"]


def test_no_mark_is_kept_for_ever() -> None:
    board = Board("state")
    sizes = [len(board.update(tick(gone=(Sight(number, connection()),)))) for number in range(100)]
    assert max(sizes) == MARKED_READINGS


def test_where_there_is_no_room_for_all_marked_rows_are_shown() -> None:
    rows = [Row(connection(), "~" if at in {7, 9} else "", str(at), None, None) for at in range(10)]
    shown, hidden = fit(rows, 4)
    assert [row.was for row in shown] == ["0", "1", "7", "9"]
    assert hidden == 6
    assert fit(rows, 10) == (rows, 0)
