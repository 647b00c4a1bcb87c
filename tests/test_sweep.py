"""``lodiag ping --sweep``: which sizes are probed, what is said where some are lost."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest
from faking import FakeProbe, FakeSystem, refuse
from hypothesis import given
from hypothesis import strategies as st
from running import ALLOW_ICMP_DATAGRAM, LO_UP, assert_refused, parse, rules, run_in_world, run_lodiag
from test_ping import answer, codes, ignore

from lodiag import sweep_sizes
from lodiag.echo.options import PingOptions
from lodiag.echo.sizes import HEADER_BYTES, choose_sizes, count_fragments, find_break, find_largest_whole
from lodiag.errors import ConfigError
from lodiag.system.facts import Interface

if TYPE_CHECKING:
    from collections.abc import Callable

LO = Interface(name="lo", is_up=True, mtu_bytes=1500, addresses=("127.0.0.1",))


def system_with(behave: Callable[[FakeProbe, int], None]) -> FakeSystem:
    """A machine whose loopback has an mtu of 1500."""
    system = FakeSystem(behave)
    system.interfaces = (LO,)
    return system


def only(is_answered: Callable[[int], bool]) -> Callable[[FakeProbe, int], None]:
    """Answer probes of such sizes."""
    return lambda probe, seq: answer(probe, seq) if is_answered(probe.size_bytes) else None


@given(st.integers(0, 65_000), st.integers(1, 500), st.one_of(st.none(), st.integers(20, 70_000)))
def test_sizes_are_few_and_between_the_ends(first: int, more: int, largest_whole: int | None) -> None:
    sizes = choose_sizes(first, first + more, largest_whole)
    assert (sizes[0], sizes[-1]) == (first, first + more)
    assert sizes == sorted(set(sizes))
    assert len(sizes) <= 21


def test_both_sides_of_what_one_packet_holds_are_probed() -> None:
    assert choose_sizes(1000, 5000, find_largest_whole("ipv4", 1500)) == [1000, 1024, 1472, 1473, 2048, 4096, 5000]
    assert choose_sizes(1000, 1100, find_largest_whole("ipv6", 65_536)) == [1000, 1024, 1100]


@pytest.mark.parametrize(
    ("family", "size", "fragments"),
    [("ipv4", 0, 1), ("ipv4", 1472, 1), ("ipv4", 1473, 2), ("ipv4", 65_507, 45), ("ipv6", 1452, 1), ("ipv6", 1453, 2)],
)
def test_fragments_are_counted(family: str, size: int, fragments: int) -> None:
    assert count_fragments(family, size, 1500) == fragments


@given(st.sets(st.integers(0, 40)), st.sets(st.integers(0, 40)))
def test_the_edge_lies_between_what_is_answered_and_what_is_not(answered: set[int], silent: set[int]) -> None:
    silent -= answered
    found = find_break(answered, silent)
    if found is None:
        assert not answered or all(size < min(answered) for size in silent)
    else:
        low, high = found
        assert low in answered
        assert high in silent
        assert low < high
        assert not any(low < size < high for size in answered)


EDGES: dict[str, tuple[Callable[[int], bool], dict[str, str], tuple[int, int] | None]] = {
    "all": (lambda _: True, {}, None),
    "none": (lambda _: False, {"timeout": "fail"}, None),
    "one-packet": (lambda size: size <= 1472, {"fragments-lost": "fail"}, (1472, 1473)),
    "below-one-packet": (lambda size: size <= 777, {"large-probes-lost": "fail"}, (777, 778)),
    "beyond-one-packet": (lambda size: size <= 40_000, {"large-probes-lost": "fail"}, (40_000, 40_001)),
    "only-in-between": (lambda size: not 1_000 <= size < 3_000, {"large-probes-lost": "fail"}, (999, 1_000)),
    "only-large": (lambda size: size > 3_000, {}, None),
}


@pytest.mark.parametrize(("is_answered", "expected", "edge"), EDGES.values(), ids=EDGES)
def test_the_edge_is_found_to_the_byte(
    is_answered: Callable[[int], bool], expected: dict[str, str], edge: tuple[int, int] | None
) -> None:
    report = sweep_sizes("127.0.0.1", system=system_with(only(is_answered)))

    assert codes(report) == expected
    assert len(report.records) <= 38
    assert [record.size_bytes for record in report.records] == sorted({r.size_bytes for r in report.records})
    if edge:
        evidence = {item.name: str(item.value) for item in report.findings[0].evidence}
        assert evidence["largest that is answered before"].startswith(f"{edge[0]} bytes of payload")
        assert evidence["smallest that is not"] == (
            f"{edge[1]} bytes of payload, {edge[1] + HEADER_BYTES['ipv4']} with headers"
        )
        assert ("larger sizes that are answered" in evidence) == is_answered(65_507)


def test_a_part_that_is_lost_is_no_edge() -> None:
    def behave(probe: FakeProbe, seq: int) -> None:
        if probe.size_bytes == 2048 and seq == 2:
            return
        if probe.size_bytes == 4096 and seq == 1:
            raise refuse(1)
        answer(probe, seq)

    report = sweep_sizes("127.0.0.1", system=system_with(behave))
    assert codes(report) == {"loss": "warn"}
    assert report.findings[0].evidence[0].value == "2048 4096"


def test_nobody_tells_the_mtu() -> None:
    report = sweep_sizes("127.0.0.1", system=FakeSystem(only(lambda size: size < 2000)))
    assert {record.fragments for record in report.records} == {None}
    assert codes(report) == {"large-probes-lost": "fail"}


def test_each_address_is_swept_and_counted() -> None:
    system = system_with(lambda probe, seq: answer(probe, seq) if probe.address == "127.0.0.1" else None)
    options = PingOptions(count=1, interval_s=0.01, timeout_s=0.1)
    report = sweep_sizes("127.0.0.1", "127.0.0.2", first_bytes=10, last_bytes=20, options=options, system=system)
    assert [(r.address, r.size_bytes) for r in report.records] == [
        (address, size) for address in ("127.0.0.1", "127.0.0.2") for size in (10, 16, 20)
    ]
    assert (report.summary.addresses, report.summary.answered, report.exit_status) == (2, 1, 1)


@pytest.mark.parametrize("sizes", [(-1, 5), (5, 5), (6, 5), (0, 65_508)])
def test_sizes_out_of_range_are_refused(sizes: tuple[int, int]) -> None:
    with pytest.raises(ConfigError):
        sweep_sizes("127.0.0.1", first_bytes=sizes[0], last_bytes=sizes[1], system=FakeSystem(ignore))


REFUSED = {
    "--sweep 64 127.0.0.1": "'64' is not a range of sizes",
    "--sweep a..b 127.0.0.1": "is not a range of sizes",
    "--sweep -1..5 127.0.0.1": "--sweep",
    f"--sweep 1..1{'0' * 5000} 127.0.0.1": "is not a range of sizes",
    "--sweep 100..10 127.0.0.1": "100 is not less than 10",
    "--sweep 64..65508 127.0.0.1": "65507",
    "--sweep 64..128 -o 127.0.0.1": "--once does not go with --sweep",
    "--sweep 64..128 -c 0 127.0.0.1": "--count must be at least 1",
}


@pytest.mark.parametrize(("arguments", "words"), REFUSED.items(), ids=[text[:30] for text in REFUSED])
def test_it_is_refused(arguments: str, words: str) -> None:
    assert_refused(run_lodiag("ping", *shlex.split(arguments)), words)


MTU = f"ip link set lo mtu 1500\n{LO_UP}"
NO_FRAGMENTS = "nft 'add table inet f; add chain inet f c { type filter hook prerouting priority -450; }'"
WORLDS = {
    "mtu": (MTU, "127.0.0.1", None),
    "no-fragments": (
        f"{MTU}\n{NO_FRAGMENTS}\nnft 'add rule inet f c ip frag-off & 0x3fff != 0 drop'",
        "127.0.0.1",
        ("fragments-lost", 1472, "timeout"),
    ),
    "no-fragments-v6": (
        f"{MTU}\n{NO_FRAGMENTS}\nnft 'add rule inet f c exthdr frag exists drop'",
        "::1",
        ("fragments-lost", 1452, "timeout"),
    ),
    "by-length": (
        rules("output", "meta length > 9000 drop"),
        "127.0.0.1",
        ("large-probes-lost", 8972, "blocked-by-firewall"),
    ),
}


@pytest.mark.parametrize("kind", ["icmp-raw", "icmp-datagram"])
@pytest.mark.parametrize(("setup", "address", "expected"), WORLDS.values(), ids=WORLDS)
def test_where_it_breaks(kind: str, setup: str, address: str, expected: tuple[str, int, str] | None) -> None:
    opened = ALLOW_ICMP_DATAGRAM if kind == "icmp-datagram" else ""
    arguments = ("ping", "--sweep", "64..20000", "-c", "2", "-W", "0.05", "--json", address)

    done = run_in_world(opened + setup, *arguments, as_nobody=kind == "icmp-datagram")

    report = parse(done)
    assert {record["method"] for record in report["records"]} == {kind}
    if expected is None:
        assert (done.returncode, report["findings"]) == (0, [])
        assert {r["fragments"] > 1 for r in report["records"] if r["size_bytes"] > 1472} == {True}
        return
    code, largest, error = expected
    (finding,) = report["findings"]
    assert (done.returncode, finding["code"]) == (1, code)
    assert max(r["size_bytes"] for r in report["records"] if r["received"]) == largest
    assert {r["error"] for r in report["records"] if not r["received"]} == {error}
