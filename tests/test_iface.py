"""``lodiag iface``: what it shows of this machine, and what it would do on others; nothing here is changed."""

from __future__ import annotations

import json
import sys
from subprocess import CompletedProcess
from typing import TYPE_CHECKING

import pytest
from running import assert_refused, require_loopback, run_as_nobody, run_json, run_lodiag, run_without_netlink

from lodiag import ConfigError, System, TargetError, add_alias, bring_down, list_interfaces, set_mtu
from lodiag.cli import main
from lodiag.judge.settings import note_settings
from lodiag.links.records import concerns
from lodiag.model.net import Link, LinkAddress, Rule
from lodiag.system.change import Change
from lodiag.system.changing import spell
from lodiag.system.facts import Links, Setting
from lodiag.system.sources import LINK_SOURCES
from lodiag.targets import parse_alias

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.mark.parametrize("source", LINK_SOURCES)
def test_this_machine_has_a_loopback(source: str) -> None:
    if source == "rtnetlink" and sys.platform != "linux":
        pytest.skip("rtnetlink is Linux's")
    require_loopback("127.0.0.1")
    report = list_interfaces(source=source)
    assert report.source == source
    assert any(a.local == "127.0.0.1" and a.kind == "standard" for r in report.records for a in r.addr_info)
    assert all("LOOPBACK" in record.flags for record in report.records)
    assert all(record.stats64 and record.stats64.rx.bytes > 0 for record in report.records)


@pytest.mark.skipif(sys.platform != "linux", reason="rtnetlink is Linux's")
def test_any_user_sees_the_same() -> None:
    mine, theirs = run_json("iface"), json.loads(run_as_nobody("iface", "--json").stdout)
    assert (mine["complete"], theirs["complete"]) == (True, True)
    for report in (mine, theirs):
        for record in report["records"]:
            del record["stats64"]
    assert mine["records"] == theirs["records"]
    assert mine["summary"] == theirs["summary"]


def test_a_sandbox_without_netlink_is_an_error() -> None:
    assert_refused(run_without_netlink("iface"), "the interfaces cannot be read: rtnetlink: ")
    assert_refused(run_without_netlink("iface", "up"), "the interfaces cannot be read: rtnetlink: ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("frob", "'frob' is not one of up, down"),
        ("add", "add takes an address"),
        ("mtu", "mtu takes a number of bytes"),
        ("up 1", "up takes no '1'"),
        ("add 10.0.0.1", "10.0.0.1 is not on the loopback"),
        ("add localhost", "'localhost' is not an address"),
        ("add ::ffff:127.0.0.1", "IPv4-mapped"),
        ("add 127.255.255.255", "broadcast"),
        ("add 127.0.0.2/7", "beyond 127.0.0.0/8"),
        ("add 127.0.0.2/33", "/33 is no prefix"),
        ("add 127.0.0.2/x", "the bits of its prefix"),
        ("add ::1/64", "more than ::1"),
        ("add ::1 --label lo:1", "no label"),
        ("add 127.0.0.2 --label eth0:1", "not a label of"),
        ("add 127.0.0.2 --label lo:12345678901234", "not a label of"),
        ("mtu x", "not a whole number"),
        ("mtu 67 --yes", "not from 68 to 65536"),
        ("mtu 65537", "not from 68 to 65536"),
        ("--force", "--force goes with down"),
        ("--label lo:1", "--label goes with add"),
        ("--dry-run", "--dry-run goes with up, down"),
        ("up --source psutil", "--source is for looking"),
        ("up --watch", "--watch is for looking"),
        ("--interface nowhere", "no interface 'nowhere'"),
        ("--watch 0", "interval must be"),
        ("--watch --format csv", "--watch has no end"),
    ],
)
def test_what_is_no_request_is_refused(arguments: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    if "lo" not in {interface.name for interface in System().list_loopback_interfaces() or ()}:
        pytest.skip("the loopback has another name here")
    status = main(["iface", *arguments.split()])
    said = capsys.readouterr()
    assert_refused(CompletedProcess(arguments, status, said.out, said.err), words)


@pytest.mark.skipif(sys.platform != "linux", reason="there it is rtnetlink that tells all interfaces")
def test_only_loopbacks_are_shown_or_changed() -> None:
    others = [link.ifname for link in System().list_links() or () if not link.is_loopback]
    if not others:
        pytest.skip("this machine has the loopback only")
    for action in ((), ("up",), ("mtu", "1500"), ("add", "127.0.0.2")):
        assert_refused(run_lodiag("iface", *action, "--interface", others[0]), "is not a loopback interface")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("127.0.0.2", ("127.0.0.2", None)),
        ("127.1/8", ("127.0.0.1", 8)),
        ("::1/128", ("::1", 128)),
        ("0::1", ("::1", None)),
    ],
)
def test_an_alias_is_read(text: str, found: tuple[str, int | None]) -> None:
    assert parse_alias(text) == found


def test_what_is_not_on_the_loopback_is_no_alias() -> None:
    with pytest.raises(TargetError) as refusal:
        parse_alias("10.0.0.1/8")
    assert "nothing was changed" in str(refusal.value.hint)


@pytest.mark.parametrize(
    "text", ["", "/8", "127.0.0.1/", "127.0.0.1/8/8", "127.0.0.1/٨", "::1%lo", "127.0.0.1/1234", "-1"]
)
def test_what_is_no_alias_is_refused(text: str) -> None:
    with pytest.raises(TargetError):
        parse_alias(text)


class Machine(System):
    """A machine of which nothing but its interfaces is known: lo0, as on macOS, and as many more as are named."""

    def __init__(self, *more: str, source: str = "psutil") -> None:
        """``source`` is said to have told them."""
        self.source = source
        self.links = [self.make(name, at) for at, name in enumerate(("lo0", *more), 1)]
        self.made: list[Change] = []

    @staticmethod
    def make(name: str, index: int) -> Link:
        """Make an interface that is up."""
        told = dict.fromkeys(Link._fields) | {"ifindex": index, "ifname": name, "mtu": 16_384}
        return Link(**told | {"flags": ("UP", "LOOPBACK")})  # type: ignore[arg-type]

    def read_links(self, source: str | None = None) -> Links:
        """Tell them, and 127.0.0.1."""
        del source
        known = dict.fromkeys(LinkAddress._fields) | {"family": "inet", "local": "127.0.0.1", "prefixlen": 8}
        address = LinkAddress(**known | {"ifindex": 1, "label": "lo0"})  # type: ignore[arg-type]
        given = [c.address for c in self.made if c.address and c.verb == "add"]
        return Links(self.source, tuple(self.links), (address, *given), ())

    def apply_changes(self, changes: Sequence[Change]) -> None:
        """Note them."""
        self.made += changes

    def spell_change(self, change: Change) -> str | None:
        """Spell as macOS."""
        return spell(change, "darwin")

    def exchange_datagram(self, address: str, size_bytes: int, timeout_s: float) -> tuple[int | None, str | None]:
        """Answer, but for what was not added."""
        del size_bytes, timeout_s
        return (1000, None) if address in {a.local for a in self.read_links().addresses} else (None, "EADDRNOTAVAIL")


def test_on_other_systems_an_alias_is_needed_and_so_it_is_not_called_useless() -> None:
    machine = Machine()
    report = add_alias("127.0.0.2/8", system=machine)
    change = report.summary.change
    assert change
    assert (change.status, change.commands) == ("changed", ("ifconfig lo0 alias 127.0.0.2 netmask 255.0.0.0",))
    assert change.undo == ("ifconfig lo0 -alias 127.0.0.2",)
    assert [packet.error for packet in change.packets] == [None]
    assert report.findings == ()
    assert machine.made


def test_which_of_several_is_to_be_changed_must_be_said() -> None:
    machine = Machine("lo1")
    with pytest.raises(ConfigError, match="several loopback interfaces: lo0, lo1"):
        set_mtu(1500, system=machine)
    report = set_mtu(1500, interface="lo1", dry_run=True, system=machine)
    assert report.summary.change
    assert report.summary.change.commands == ("ifconfig lo1 mtu 1500",)
    assert not machine.made


def test_a_change_that_does_not_stay_is_a_failure() -> None:
    report = bring_down(force=True, system=Machine())
    assert [(finding.code, finding.severity) for finding in report.findings] == [("change-not-kept", "fail")] * 2
    assert report.exit_status == 1


V4 = LinkAddress(1, "inet", "127.0.0.2", 8, "host", "lo:1", None, None, None, None, None, None, 60, 0xFFFFFFFF)
V6 = LinkAddress(1, "inet6", "::1", 128, "host", None, None, None, None, None, None, None, None, None)
EXTRA = V4._replace(local="10.9.9.9", prefixlen=32, label="lo", scope="global", valid_life_time=None)


@pytest.mark.parametrize(
    ("platform", "change", "words"),
    [
        ("linux", Change("up", "lo", 1), "ip link set lo up"),
        ("linux", Change("mtu", "lo 9", 1, mtu=1500), "ip link set 'lo 9' mtu 1500"),
        ("linux", Change("add", "lo", 1, address=V4), "ip address add 127.0.0.2/8 dev lo label lo:1 valid_lft 60"),
        ("linux", Change("restore", "lo", 1, address=EXTRA), "ip address replace 10.9.9.9/32 dev lo"),
        ("linux", Change("del", "lo", 1, address=V6), "ip -6 address del ::1/128 dev lo"),
        ("linux", Change("no-qdisc", "lo", 1), "tc qdisc del dev lo root"),
        ("darwin", Change("down", "lo0", 1), "ifconfig lo0 down"),
        ("darwin", Change("add", "lo0", 1, address=V6), "ifconfig lo0 inet6 ::1 prefixlen 128 alias"),
        ("darwin", Change("del", "lo0", 1, address=V6), "ifconfig lo0 inet6 ::1 delete"),
        ("darwin", Change("del", "lo0", 1, address=V4), "ifconfig lo0 -alias 127.0.0.2"),
        ("darwin", Change("no-qdisc", "lo0", 1), None),
        ("win32", Change("up", "Loopback 1", 1), None),
        (
            *("win32", Change("mtu", "Loopback 1", 1, mtu=1500)),
            'netsh interface ipv4 set subinterface "Loopback 1" mtu=1500 store=active',
        ),
        (
            *("win32", Change("add", "Loopback 1", 1, address=V4)),
            'netsh interface ipv4 add address "Loopback 1" 127.0.0.2 255.0.0.0',
        ),
        ("win32", Change("del", "Loopback 1", 1, address=V6), 'netsh interface ipv6 delete address "Loopback 1" ::1'),
    ],
)
def test_each_system_has_its_command(platform: str, change: Change, words: str | None) -> None:
    assert spell(change, platform) == words


_BLANK = dict.fromkeys(Rule._fields) | {
    "family": "ipv4",
    "priority": 9,
    "src": "all",
    "action": "lookup",
    "inverted": False,
}
RULE = Rule(**_BLANK)  # type: ignore[arg-type]  # all that is not said is not there


@pytest.mark.parametrize(
    ("changes", "does"),
    [
        ({}, True),
        ({"dst": "127.0.0.0", "dstlen": 8}, True),
        ({"dst": "96.0.0.0", "dstlen": 3}, True),
        ({"dst": "10.0.0.0", "dstlen": 8}, False),
        ({"dst": "10.0.0.0", "dstlen": 8, "inverted": True}, True),
        ({"iif": "eth0"}, False),
        ({"iif": "lo9"}, True),
        ({"family": "ipv6", "dst": "::1"}, True),
        ({"family": "ipv6", "dst": "fd00::", "dstlen": 8}, False),
    ],
)
def test_which_rules_concern_the_loopback(changes: dict[str, object], *, does: bool) -> None:
    assert concerns(RULE._replace(**changes), ["lo9"]) is does  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("role", "usual", "unusual", "words"),
    [
        ("ipv6-disabled", "0", "1", "no ::1"),
        ("localnet-routed", "0", "1", "neighbours"),
        ("icmp-groups", "0 2147483647", "1 0", "no ping"),
        ("port-range", "32768 60999", "32768 33767", "only 1000 ports"),
        ("unprivileged-ports", "1024", "0", "any user may listen from 0"),
        ("unprivileged-ports", "1024", "2000", "privileged: ports below 2000"),
        ("backlog-limit", "4096", "16", "beyond 16"),
        ("reuse-of-waiting", "2", "0", "TIME_WAIT"),
        ("port-range", "", "1 2", "only 2"),
        ("reserved-ports", "5432", "x", None),
    ],
)
def test_an_unusual_value_has_a_word(role: str, usual: str, unusual: str, words: str | None) -> None:
    notes = [next(note_settings({role: Setting("x", value)})).note for value in (usual, unusual, None)]
    assert (notes[0], notes[2]) == (None, None)
    assert words is None or words in (notes[1] or "")
