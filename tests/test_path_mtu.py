"""``lodiag trace --mtu``: the largest packet that passes unfragmented, over real links and over ones that lie."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import pytest
from chains import trace_chain
from faking import FakeSystem
from running import parse, require_loopback, rules, run_in_world, run_json
from test_trace import path
from test_trace_worlds import status_of

from lodiag import trace_route
from lodiag.system.sizing import SizeAnswer, SizeProbe

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable

LEAVES = ("leaves-loopback", "fail")
SMALLER = """
in_ r1 ip link set v2 mtu 1400
in_ r2 ip link set v3 mtu 1400
in_ r2 ip link set v4 mtu 1300
in_ far ip link set v5 mtu 1300
"""
SECRETIVE = """
in_ r1 nft 'add table ip t; add chain ip t c { type filter hook output priority 0; }'
in_ r1 nft 'add rule ip t c icmp type destination-unreachable drop'
"""


@pytest.mark.parametrize(("address", "mtu"), [("127.0.0.1", 65_535), ("::1", 65_536)])
def test_all_that_an_address_family_can_pass_the_loopback(address: str, mtu: int) -> None:
    require_loopback(address)

    report = run_json("trace", "--mtu", address)

    summary = report["summary"]
    assert (summary["path_mtu_bytes"], summary["path_mtu_status"], report["findings"]) == (mtu, "found", [])


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_the_loopback_s_own_mtu_bounds_it(address: str) -> None:
    done = run_in_world("ip link set lo mtu 1500 up", "trace", "-M", "--json", address, as_nobody=True)

    summary = parse(done)["summary"]
    assert (summary["path_mtu_bytes"], summary["path_mtu_status"], summary["mtu_bytes"]) == (1500, "found", 1500)


def test_routers_tell_of_smaller_links() -> None:
    done, report = trace_chain("-M", "-q", "1", more=SMALLER)

    assert status_of(done) == (1, [LEAVES])
    assert [record["mtu_bytes"] for record in report["records"]] == [1400, 1300, None]
    assert (report["summary"]["path_mtu_bytes"], report["summary"]["route"]["mtu"]) == (1300, 1500)
    assert report["findings"][1]["code"] == "smaller-path-mtu"


def test_a_filter_that_hides_the_smaller_mtu_makes_a_black_hole() -> None:
    done, report = trace_chain("-M", "-q", "1", more=SMALLER + SECRETIVE)

    assert status_of(done) == (1, [LEAVES, ("mtu-black-hole", "warn")])
    assert (report["summary"]["path_mtu_bytes"], report["summary"]["path_mtu_status"]) == (1300, "black-hole")


def test_where_udp_is_not_answered_it_stays_unknown() -> None:
    done = run_in_world(rules("input", "meta l4proto udp drop"), "trace", "-T", "-M", "--json", "127.0.0.1")

    report = parse(done)
    assert (report["summary"]["reached"], report["summary"]["path_mtu_status"]) == (True, "unanswered")
    assert [item["what"] for item in report["missing"]] == ["the mtu of the path"]


class Liar(FakeSystem):
    """A machine one router away from its loopback, whose router answers packets by ``tell``."""

    def __init__(self, tell: Callable[[int], SizeAnswer | None]) -> None:
        """Send nothing yet."""
        super().__init__(path("192.0.2.2"))
        self.sizes: list[int] = []
        self._tell = tell

    def open_size_probe(self, family: str, address: str) -> SizeProbe:
        """Give what answers by ``tell``."""
        del family, address
        return FakeSizeProbe(self, self._tell)


class FakeSizeProbe(SizeProbe):
    """A socket whose packets are answered at once or never."""

    def __init__(self, system: Liar, tell: Callable[[int], SizeAnswer | None]) -> None:
        """Open nothing."""
        self._system, self._tell = system, tell
        self._answers: deque[SizeAnswer] = deque()

    def send(self, packet_bytes: int) -> int:
        """Answer."""
        self._system.sizes.append(packet_bytes)
        answer = self._tell(packet_bytes)
        self._answers += [answer] if answer else []
        return self._system.monotonic_ns()

    def receive(self) -> SizeAnswer | None:
        """Hand over what was answered."""
        return self._answers.popleft() if self._answers else None

    def waits_for(self) -> Iterable[tuple[socket.socket, bool]]:
        """There is no real socket."""
        return ()

    def close(self) -> None:
        """There is none."""


def refuse(told: int) -> Callable[[int], SizeAnswer | None]:
    """Pass what has at most 1000 bytes, and tell of the others this mtu."""
    return lambda size: (
        SizeAnswer(passed=True, address="127.0.0.2", mtu_bytes=None)
        if size <= 1000
        else SizeAnswer(passed=False, address="192.0.2.2", mtu_bytes=told)
    )


LIES: dict[str, tuple[Callable[[int], SizeAnswer | None], tuple[int | None, str | None]]] = {
    "does-not-tell": (refuse(0), (508, "found")),
    "grows": (refuse(70_000), (508, "found")),
    "is-less-than-any": (refuse(1), (508, "found")),
    "tells-right": (refuse(1000), (1000, "found")),
    "never-passes": (lambda _: SizeAnswer(passed=False, address="192.0.2.2", mtu_bytes=0), (None, "unanswered")),
    "is-unreachable": (lambda _: SizeAnswer(passed=False, address="192.0.2.2", mtu_bytes=None), (None, "unanswered")),
    "silent": (lambda _: None, (None, "unanswered")),
}


@pytest.mark.parametrize(("tell", "found"), LIES.values(), ids=LIES)
def test_a_router_that_lies_is_asked_ever_less(tell: Callable[[int], Any], found: tuple[int | None, str]) -> None:
    system = Liar(tell)

    report = trace_route("127.0.0.2", with_mtu=True, system=system)

    assert (report.summary.path_mtu_bytes, report.summary.path_mtu_status) == found
    assert system.sizes == sorted(system.sizes, reverse=True)
    assert len(system.sizes) <= 13
