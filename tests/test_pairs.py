"""The ends of connections joined: every end is in one pair, and the server is the end that something speaks for."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import make_connection

from lodiag.flows.counting import gather
from lodiag.flows.mirrors import list_suspects
from lodiag.flows.nodes import Cast
from lodiag.flows.pairs import Pair, join
from lodiag.model.conns import Endpoint, Owner

if TYPE_CHECKING:
    from lodiag.model.conns import ConnRecord

At = tuple[str, int]
A: At = ("127.0.0.1", 5000)
B: At = ("127.0.0.1", 4000)
LOW: At = ("127.0.0.1", 80)


def make(local: At, remote: At | None = None, **changes: Any) -> ConnRecord:
    """Make a connection, or what listens."""
    changes.setdefault("state", "established" if remote else "listen")
    changes.setdefault("owners", (Owner(pid=local[1], process="x", user=None, fd=3, cmdline=None),))
    changes.setdefault("unit", None)
    return make_connection(
        local=Endpoint(address=local[0], port=local[1]),
        remote=remote and Endpoint(address=remote[0], port=remote[1]),
        **changes,
    )


def both(one: At, other: At, **changes: Any) -> tuple[ConnRecord, ConnRecord]:
    return make(one, other, **changes), make(other, one, **changes)


@pytest.mark.parametrize(
    ("listeners", "port", "direction"),
    [
        ([], 4000, "guessed"),
        ([make(A)], 5000, "known"),
        ([make(B)], 4000, "known"),
        ([make(("0.0.0.0", 5000))], 5000, "known"),
        ([make(("::", 5000), family="ipv6", v6only=False)], 5000, "known"),
        ([make(("::", 5000), family="ipv6", v6only=None)], 5000, "known"),
        ([make(("::", 5000), family="ipv6", v6only=True)], 4000, "guessed"),
        ([make(A), make(("0.0.0.0", 4000))], 5000, "guessed"),
        ([make(A), make(B)], 4000, "guessed"),
        ([make(("127.0.0.2", 5000))], 4000, "guessed"),
        ([make(A, proto="udp", state="unconnected")], 4000, "guessed"),
    ],
)
def test_what_listens_tells_the_server(listeners: list[ConnRecord], port: int, direction: str) -> None:
    for ends in (both(A, B), both(B, A)):
        (pair,) = join([*listeners, *ends])
        assert (pair.port, pair.direction) == (port, direction)
        assert pair.server is not None
        assert pair.client is not None
        assert (pair.server.local.port, pair.client.local.port) == (port, 9000 - port)


@pytest.mark.parametrize(
    ("at_a", "at_b", "port"),
    [
        ({"state": "syn-recv"}, {}, 5000),
        ({"no_owner": "not-accepted", "owners": ()}, {}, 5000),
        ({}, {"no_owner": "not-accepted", "owners": ()}, 4000),
        ({}, {"state": "syn-sent"}, 5000),
    ],
)
def test_a_handshake_tells_the_server(at_a: dict[str, Any], at_b: dict[str, Any], port: int) -> None:
    (pair,) = join([make(A, B, **at_a), make(B, A, **at_b)])
    assert (pair.port, pair.direction) == (port, "known")


def test_where_nothing_listens_any_more_the_port_of_many_is_the_servers() -> None:
    """Also if it is higher than those of its clients."""
    clients = [("127.0.0.1", port) for port in (3000, 4000, 6000)]
    pairs = join([make(A, client, state="time-wait", owners=()) for client in clients])
    assert {(pair.port, pair.direction) for pair in pairs} == {(5000, "guessed")}


def test_a_socket_that_is_connected_to_itself_is_both_ends() -> None:
    record = make(A, A)
    assert join([record]) == [Pair(record, record, "tcp", 5000, (), "self")]


def test_two_services_at_one_port_of_two_addresses() -> None:
    ends = both(("127.0.0.1", 80), ("127.0.0.2", 80))
    (pair,) = join([make(("127.0.0.2", 80)), *ends])
    assert (pair.server, pair.direction) == (ends[1], "known")


def test_protocols_and_families_are_not_mixed() -> None:
    rows = [make(A, B), make(B, A, proto="udp"), make(("::1", 4000), ("::1", 5000), family="ipv6")]
    assert all(pair.lone for pair in join(rows))
    assert len(join(rows)) == 3


def test_a_udp_server_is_joined_with_whom_it_serves() -> None:
    server = make(LOW, proto="udp", state="unconnected")
    (pair,) = join([server, make(A, LOW, proto="udp")])
    assert (pair.client is not None, pair.server, pair.listeners, pair.direction) == (True, None, (server,), "known")


def test_what_is_left_of_connections_of_which_nothing_is_known_is_one_flow() -> None:
    """But for those that share a port, which was a server's then."""
    over = {"state": "time-wait", "owners": (), "no_owner": "time-wait"}
    rows = [make(("127.0.0.1", port), ("127.0.0.1", port + 100), **over) for port in (1000, 2000, 3000)]
    rows += [make(("127.0.0.1", port), LOW, **over) for port in (5000, 6000)]
    pairs = join(rows)
    flows = [flow for flow, _ in gather(pairs, Cast(rows, pairs))]
    assert [(f.port, f.client.node, f.server.node, f.connections) for f in flows] == [
        (80, "(time-wait)", "?:80", 2),
        (None, "(time-wait)", "?", 3),
    ]
    (alone,) = gather(pairs[:1], Cast(rows, pairs[:1]))
    assert (alone[0].port, alone[0].direction) == (1000, "guessed")


ONE = (Owner(pid=7, process="x", user=None, fd=3, cmdline=None),)
SUSPECTS = {
    "established": ({"state": "established"}, True),
    "not accepted": ({"state": "established", "owners": (), "no_owner": "not-accepted"}, True),
    "unseen": ({"state": "established", "owners": None}, True),
    "flushing": ({"state": "fin-wait-1", "owners": ()}, True),
    "half closed": ({"state": "fin-wait-2", "owners": ONE}, True),
    "closed, and waits for a minute": ({"state": "fin-wait-2", "owners": ()}, False),
    "closed": ({"state": "time-wait", "owners": ()}, False),
    "left open after that minute": ({"state": "close-wait", "owners": ONE}, False),
    "opening": ({"state": "syn-sent", "owners": ONE}, False),
    "of UDP": ({"state": "established", "proto": "udp"}, False),
}


@pytest.mark.parametrize(("changes", "expected"), SUSPECTS.values(), ids=SUSPECTS)
def test_which_ends_must_have_a_mirror(changes: dict[str, Any], *, expected: bool) -> None:
    lone = make(A, B, **changes)
    assert list(list_suspects(join([lone]))) == ([lone] if expected else [])
    assert list(list_suspects(join([lone, make(B, A, proto=lone.proto)]))) == []
    far = make(A, ("192.0.2.1", 4000), **changes)
    assert list(list_suspects(join([far]))) == [], "the other end may be on another host"


def named(pid: int, name: str) -> Owner:
    return Owner(pid=pid, process=name, user=None, fd=3, cmdline=None)


@pytest.mark.parametrize(
    ("owners", "name"),
    [
        ((named(1, "systemd"), named(50, "sshd")), "sshd"),
        ((named(1, "systemd"),), "systemd"),
        ((named(1, "nginx"), named(50, "nginx")), "nginx"),
        ((named(40, "a"), named(50, "b")), "a+b"),
    ],
)
def test_who_serves_is_not_who_made_the_listener_for_it(owners: tuple[Owner, ...], name: str) -> None:
    rows = [make(LOW, owners=owners), make(A, LOW, state="time-wait", owners=(), no_owner="time-wait")]
    pairs = join(rows)
    ((flow, _),) = gather(pairs, Cast(rows, pairs))
    assert (flow.client.node, flow.server.node) == ("(time-wait)", f"{name}:80")


def test_a_child_that_closed_the_listener_is_of_its_parents_node() -> None:
    over = {"state": "time-wait", "owners": (), "no_owner": "time-wait"}
    parent, kid, other = named(40, "postgres"), named(50, "postgres"), named(60, "sshd")
    upstream = both(("127.0.0.1", 7000), ("127.0.0.1", 90))
    rows = [
        make(LOW, owners=(parent,)),
        make(LOW, A, owners=(kid,)),
        make(LOW, B, owners=(other,)),
        make(LOW, ("127.0.0.1", 6000), **over),
        make(("127.0.0.1", 90)),
        replace(upstream[0], owners=(kid,)),
        upstream[1],
    ]
    pairs = join(rows)
    nodes = {(pair.server and pair.server.owners): Cast(rows, pairs).find_server(pair).node.node for pair in pairs}
    assert nodes[kid,] == nodes[()] == "postgres:80"
    assert nodes[other,] == "sshd"
    assert [flow.client.node for flow, _ in gather(pairs, Cast(rows, pairs)) if flow.port == 90] == ["postgres:80"]


ports = st.integers(1, 4)
addresses = st.sampled_from(["127.0.0.1", "127.0.0.2", "::1"])
ends = st.tuples(addresses, ports)
rows = st.builds(
    make,
    ends,
    st.none() | ends,
    proto=st.sampled_from(["tcp", "udp"]),
    state=st.sampled_from(["established", "time-wait", "listen", "unconnected", "syn-sent", "syn-recv", "close-wait"]),
    owners=st.none()
    | st.lists(
        st.builds(
            Owner, pid=st.integers(1, 3), process=st.none() | st.text(), user=st.none(), fd=st.none(), cmdline=st.none()
        ),
        max_size=2,
    ).map(tuple),
    user=st.none() | st.just("u"),
    unit=st.none() | st.just("a.service"),
)


@given(st.lists(rows, max_size=12))
def test_every_end_is_in_one_pair_and_every_pair_in_one_flow(records: list[ConnRecord]) -> None:
    pairs = join(records)
    held = Counter(id(end) for pair in pairs for end in {id(end): end for end in pair[:2] if end is not None}.values())
    assert held == Counter(id(record) for record in records if record.remote is not None)
    flows = gather(pairs, Cast(records, pairs))
    assert sum(flow.connections for flow, _ in flows) == len(pairs)
    labels = [(f.proto, f.client.node, f.server.node, f.port, f.direction) for f, _ in flows]
    assert len(set(labels)) == len(labels), "of which Prometheus would have two samples"
    for flow, _ in flows:
        assert sum(found.connections_in_state for found in flow.states) == flow.connections
        assert (flow.client.owners is None) <= (flow.client.kind != "none")


@given(st.lists(rows, max_size=12), st.randoms())
def test_the_order_of_the_table_does_not_matter(records: list[ConnRecord], random: Any) -> None:
    distinct = list({(r.proto, r.local, r.remote): r for r in records}.values())
    shuffled = list(distinct)
    random.shuffle(shuffled)

    def take(pairs: list[Pair]) -> set[tuple[int, int, int, str]]:
        return {(id(pair.client), id(pair.server), pair.port, pair.direction) for pair in pairs}

    assert take(join(distinct)) == take(join(shuffled))
