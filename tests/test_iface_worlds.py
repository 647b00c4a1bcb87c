"""``lodiag iface`` where it may do harm: each test has a network namespace of its own, and compares with ip(8)."""

from __future__ import annotations

import json
import sys
from functools import cache
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from running import LO_UP, assert_refused, rules, run_in_world

from lodiag.schema import build_schema

STEPS = """
import contextlib, io, json, subprocess, sys, time
from lodiag.cli import main
from lodiag.system import System

def settle():
    "The route to ::1 comes a moment after the address."
    for _ in range(500):
        routes = System().list_routes() or ()
        up = any("UP" in link.flags for link in System().list_links() if link.is_loopback)
        wanted = {{a.local for a in System().list_addresses() if ":" in a.local and a.ifindex == 1}} if up else set()
        if not ("::1" in wanted) or any(r.dst == "::1" and r.table == "local" for r in routes):
            return
        time.sleep(0.01)

def state():
    settle()
    asked = (["address"], ["-4", "route", "show", "table", "all"], ["-6", "route", "show", "table", "all"])
    told = [json.loads(subprocess.run(["ip", "-json", *a], capture_output=True).stdout or "[]") for a in asked]
    for route in told[2]:
        route.pop("metric", None) if route.get("type") == "local" else None  # 0 is the kernel's own alone
    for link in told[0]:
        link["addr_info"].sort(key=lambda a: (a["local"], a["prefixlen"]))
    extra = {{"dst": "::1", "protocol": "kernel", "metric": 256}}  # comes with ::1 that is added, not with that of up
    return [told[0], *(sorted(json.dumps(r) for r in routes if not extra.items() <= r.items()) for routes in told[1:])]

def lodiag(*arguments):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(["iface", *arguments, "--json"])
    return [status, json.loads(out.getvalue()) if out.getvalue() else None, err.getvalue()]

def shell(lines):
    for line in lines:
        subprocess.run(["sh", "-ec", line], check=True)

found = []
{body}
print(json.dumps(found))
"""


def run_steps(setup: str, body: str) -> list[Any]:
    """Run steps in one process of one world: ``found`` is what they have collected."""
    done = run_in_world(setup, command=(sys.executable, "-c", STEPS.format(body=body)))
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout)
    return found


def run_all(setup: str, *lines: str) -> list[Any]:
    """Run ``lodiag iface`` with each of these arguments: status, report and what was said on stderr."""
    found = run_steps(setup, f"found = [lodiag(*line.split()) for line in {lines!r}]")
    for _, report, _ in found:
        assert report is None or [error.message for error in schema().iter_errors(report)] == []
    return found


@cache
def schema() -> Draft202012Validator:
    return Draft202012Validator(build_schema())


def codes(report: dict[str, Any]) -> set[str]:
    return {finding["code"] for finding in report["findings"]}


def addresses(report: dict[str, Any]) -> list[str]:
    return [f"{a['local']}/{a['prefixlen']}" for a in report["records"][0]["addr_info"]]


def test_from_a_fresh_namespace_to_an_alias_and_back() -> None:
    lines = ("", "up", "up", "add 127.0.0.2/8 --label lo:1", "add 127.0.0.2/8", "del 127.0.0.2", "del 127.0.0.2")
    found = run_all("", *lines, "mtu 1000", "mtu 65536")
    assert [status for status, _, _ in found] == [1, 0, 0, 0, 0, 0, 0, 2, 0]
    statuses = [r["summary"]["change"] and r["summary"]["change"]["status"] for _, r, _ in found if r]
    assert statuses == [None, "changed", "unchanged", "changed", "unchanged", "changed", "unchanged", "unchanged"]
    down, up, _, added, _, removed, *_ = [report for _, report, _ in found]
    assert codes(down) == {"lo-down"}
    assert (down["records"][0]["flags"], down["records"][0]["operstate"]) == (["LOOPBACK"], "DOWN")
    assert addresses(up) == ["127.0.0.1/8", "::1/128"]
    assert {p["address"]: p["error"] for p in up["summary"]["change"]["packets"]} == {"127.0.0.1": None, "::1": None}
    assert added["summary"]["change"]["commands"] == ["ip address add 127.0.0.2/8 dev lo label lo:1"]
    assert added["summary"]["change"]["undo"] == ["ip address del 127.0.0.2/8 dev lo"]
    assert [a["kind"] for a in added["records"][0]["addr_info"]] == ["standard", "alias", "standard"]
    assert codes(added) == {"alias-adds-no-reach", "alias-goes-with-another"}
    assert addresses(removed) == addresses(up)
    assert removed["summary"]["change"]["commands"] == ["ip address del 127.0.0.2/8 dev lo"]  # never without a prefix
    assert [a["local"] for a in removed["summary"]["change"]["before"][0]["addr_info"]] == [
        *("127.0.0.1", "127.0.0.2", "::1")
    ]


FURNISHED = f"""{LO_UP}
ip address add 127.0.0.2/8 dev lo label lo:1
ip address add 127.0.0.3/8 dev lo
ip address add 127.0.0.4/32 dev lo
ip address add 10.9.9.9/32 dev lo
ip -6 address add fd00::1/128 dev lo
ip route add 10.1.0.0/16 dev lo
ip -6 route add fd01::/64 dev lo metric 5
ip -6 route add unreachable 2001:db8::/32"""

CHANGES = {
    "del 127.0.0.1/8 --yes": FURNISHED,
    "del 127.0.0.2": FURNISHED,
    "del ::1 --yes": FURNISHED,
    "add 127.0.0.7": FURNISHED,
    "add 127.0.0.7/8 --label lo:x": FURNISHED,
    "del 127.0.0.9": f"{LO_UP}\nip address add 127.0.0.9 peer 127.8.0.1/24 broadcast 127.8.0.255 dev lo",
    "down --force": f"""{FURNISHED}
ip -6 address add fd02::1/64 dev lo noprefixroute
ip -6 address add fd03::1 peer fd03::2/128 dev lo
ip -6 address add fd04::1/64 dev lo metric 7""",
    "mtu 1500": FURNISHED,
    "mtu 1000 --yes": FURNISHED,
    "mtu 65536 --yes": f"{LO_UP}\nip link set lo mtu 1000",
    "up": "",
}


@pytest.mark.parametrize("line", CHANGES)
def test_what_is_printed_does_the_same_and_its_undo_restores(line: str) -> None:
    """The commands are run by a shell, in the place of lodiag; twice there and back is the same everywhere."""
    body = f"""
before = state()
status, report, err = lodiag(*{line!r}.split())
change = report["summary"]["change"]
by_lodiag = state()
shell(change["undo"])
restored = state()
shell(change["commands"])
found = [status, change, before, by_lodiag, restored, state()]
"""
    status, change, before, by_lodiag, restored, by_shell = run_steps(CHANGES[line], body)
    assert (status, change["status"]) == (0, "changed")
    assert before != by_lodiag
    assert by_shell == by_lodiag
    if line == "up":  # addresses that came with it stay
        assert restored[0][0]["flags"] == ["LOOPBACK"]
    else:
        assert restored == before


def test_taking_127_0_0_1_away_takes_no_alias_along() -> None:
    """Linux removes all of a prefix with its first address (promote_secondaries is 0)."""
    refused, agreed = run_all(FURNISHED, "del 127.0.0.1/8", "del 127.0.0.1/8 --yes")
    assert refused[0] == 2
    assert "error [needs-consent]: without 127.0.0.1" in refused[2]
    others = {"127.0.0.2/8", "127.0.0.3/8", "127.0.0.4/32", "10.9.9.9/32", "fd00::1/128", "::1/128"}
    assert set(addresses(agreed[1])) == others
    labels = {a["local"]: a["label"] for a in agreed[1]["records"][0]["addr_info"]}
    assert (labels["127.0.0.2"], labels["127.0.0.3"]) == ("lo:1", "lo")


def test_hundreds_of_aliases_are_put_back_at_once() -> None:
    """More than a socket has room for answers to: only what is refused, and the last, is answered."""
    lines = (f"seq -f 'address add 127.3.{third}.%g/8 dev lo' 2 254 | ip -batch -" for third in (3, 4))
    many = "\n".join([LO_UP, *lines])
    ((status, report, _),) = run_all(many, "del 127.0.0.1 --yes")
    assert (status, len(addresses(report))) == (0, 2 * 253 + 1)
    assert codes(report) == {"alias-adds-no-reach"}


def test_the_first_of_several_that_is_refused_is_named() -> None:
    body = """
from lodiag.system.change import Change, ChangeRefusedError
from lodiag.system.rtchanges import apply
refused = [Change("up", "gone", 99), Change("mtu", "gone", 99, mtu=1)]
changes = [Change("mtu", "lo", 1, mtu=1500), *refused, Change("up", "lo", 1)]
for attempt in (changes, changes[::-1]):
    try:
        apply(attempt)
    except ChangeRefusedError as refusal:
        found.append([refusal.error, refusal.change.verb, refusal.change.ifname])
"""
    assert run_steps("", body) == [["ENODEV", "up", "gone"], ["ENODEV", "mtu", "gone"]]


def test_a_small_mtu_is_refused_and_what_it_takes_is_named_and_put_back() -> None:
    lines = ("mtu 1000", "mtu 67 --yes", "mtu 1000 --yes", "mtu 65536", "mtu 65536 --yes", "add ::1")
    refused, hopeless, small, large, mended, again = run_all(FURNISHED, *lines)
    assert (refused[0], hopeless[0]) == (2, 2)
    assert all(name in refused[2] for name in ("fd00::1/128", "::1/128", "route fd01::/64", "nothing was changed"))
    assert "not from 68 to 65536" in hopeless[2]
    gone = {"fd00::1/128", "::1/128", "route fd01::/64 of table main", "route unreachable 2001:db8::/32 of table main"}
    assert set(small[1]["summary"]["change"]["loses"]) == gone
    assert codes(small[1]) == {"change-takes-along", "addr6-missing"}
    assert small[1]["summary"]["change"]["packets"][0]["size_bytes"] == 1000 - 28
    assert codes(large[1]) == {"addr6-missing"}
    assert codes(mended[1]) == set()
    assert mended[1]["summary"]["change"]["commands"] == ["ip -6 address add ::1/128 dev lo"]
    assert {p["address"] for p in mended[1]["summary"]["change"]["packets"] if p["error"] is None} == {
        *("127.0.0.1", "::1"),
    }
    assert again[1]["summary"]["change"]["status"] == "unchanged"


def test_an_address_that_cannot_be_is_refused_with_the_reason() -> None:
    small, disabled = (
        run_all(f"{LO_UP}\nip link set lo mtu 1000", "add ::1")[0],
        run_all(f"{LO_UP}\necho 1 > /proc/sys/net/ipv6/conf/lo/disable_ipv6", "add ::1", ""),
    )
    assert (small[0], disabled[0][0]) == (2, 2)
    assert "an mtu of 1000" in small[2]
    assert "IPv6 is disabled on lo" in disabled[0][2]
    (finding,) = disabled[1][1]["findings"]
    assert (finding["code"], finding["severity"], disabled[1][0]) == ("addr6-missing", "info", 0)
    (setting,) = [s for s in disabled[1][1]["summary"]["settings"] if s["note"] and "disable" in s["name"]]
    assert setting["value"] == "1"


def test_an_mtu_too_small_for_ipv4_is_named_and_its_fix_brings_it_back() -> None:
    body = """
refused = lodiag("add", "127.0.0.1")
_, report, _ = lodiag()
shell(report["findings"][0]["fix"]["commands"])
found = [refused, report["findings"][0]["code"], lodiag()]
"""
    refused, code, (_, mended, _) = run_steps(f"{LO_UP}\nip link set lo mtu 60", body)
    assert (refused[0], "an mtu of 60, and IPv4 needs 68" in refused[2]) == (2, True)
    assert code == "addr4-missing"
    assert "127.0.0.1/8" in addresses(mended)


def test_taking_it_down_is_refused_without_force_and_lists_what_is_lost() -> None:
    refused, dry, forced, again = run_all(FURNISHED, "down", "down --dry-run", "down --force", "down")
    assert (refused[0], dry[0], forced[0], again[0]) == (2, 0, 0, 0)
    lost = {
        *("fd00::1/128", "route 10.1.0.0/16 of table main", "route fd01::/64 of table main"),
        "route unreachable 2001:db8::/32 of table main",
    }
    assert all(item in refused[2] for item in lost)
    assert set(dry[1]["summary"]["change"]["loses"]) == lost
    assert (dry[1]["summary"]["change"]["status"], dry[1]["records"][0]["flags"][1]) == ("planned", "UP")
    assert set(forced[1]["summary"]["change"]["loses"]) == lost
    told = [{(e["name"], e["source"]) for e in r["findings"][0]["evidence"]} for r in (dry[1], forced[1])]
    assert told == [{("would go", "plan")}, {("gone", "read back")}]
    assert forced[1]["summary"]["change"]["packets"][0]["error"] == "timeout"
    assert again[1]["summary"]["change"]["status"] == "unchanged"


def test_where_it_is_down_a_change_is_made_and_said_to_be_unproved() -> None:
    added, larger, up = run_all("", "add 127.0.0.2", "mtu 1500", "up")
    assert [codes(report) for _, report, _ in (added, larger)] == [{"change-not-proved"}] * 2
    assert addresses(up[1]) == ["127.0.0.2/32", "127.0.0.1/8", "::1/128"]
    assert up[1]["records"][0]["mtu"] == 1500


def test_what_something_else_keeps_silent_is_a_failure() -> None:
    setup = rules("input", "ip daddr 127.0.0.9 drop")
    ((status, report, _),) = run_all(setup, "add 127.0.0.9")
    assert (status, codes(report)) == (1, {"alias-adds-no-reach", "change-not-answering"})
    assert addresses(report) == ["127.0.0.1/8", "127.0.0.9/32", "::1/128"]


def test_it_needs_no_iproute2_and_no_name() -> None:
    setup = "ip link set lo name lo9\nPATH=/nowhere"
    found = run_all(setup, "up", "add 127.0.0.2 --label lo9:1", "add 127.0.0.3 --label lo:1", "up --interface lo")
    assert [status for status, _, _ in found] == [0, 0, 2, 2]
    assert found[1][1]["records"][0]["ifname"] == "lo9"
    assert "'lo:1' is not a label of lo9" in found[2][2]


def test_addresses_of_others_are_shown_and_never_made() -> None:
    shown, *refused = run_all(FURNISHED, "", "add 10.9.9.9", "add fd00::1", "add 127.255.255.255", "del 10.9.9.9")
    assert [a["local"] for a in shown[1]["records"][0]["addr_info"] if a["kind"] == "extra"] == ["10.9.9.9", "fd00::1"]
    assert {status for status, _, _ in refused} == {2}


def test_two_of_one_address_are_told_apart() -> None:
    setup = f"{LO_UP}\nip address add 127.0.0.1/32 dev lo"
    unclear, one, label = run_all(setup, "del 127.0.0.1", "del 127.0.0.1/32", "add 127.0.0.1/8 --label lo:2")
    assert (unclear[0], one[0], label[0]) == (2, 0, 2)
    assert "lo has 127.0.0.1/32 and 127.0.0.1/8" in unclear[2] or "127.0.0.1/8 and 127.0.0.1/32" in unclear[2]
    assert addresses(one[1]) == ["127.0.0.1/8", "::1/128"]
    assert "under the label lo" in label[2]


@pytest.mark.parametrize("as_nobody", [True, False])
def test_without_the_right_it_says_which_is_missing(as_nobody: bool) -> None:  # noqa: FBT001 - two kinds of users
    drop = () if as_nobody else ("unshare", "-Ur")
    command = (*drop, sys.executable, "-m", "lodiag", "iface", "up")
    done = run_in_world("", as_nobody=as_nobody, command=command)
    words = "CAP_NET_ADMIN is missing in" if as_nobody else "has CAP_NET_ADMIN in user namespace"
    assert_refused(done, words)
    assert "owns network namespace" in done.stderr or "the owner of network namespace" in done.stderr
    assert "nothing was changed" in done.stderr


KILLED = """
import os, random, signal, time
from lodiag import add_alias, remove_alias
for _ in range(5):
    for change, undo in ((lambda: remove_alias("127.0.0.1/8", agreed=True), lambda: add_alias("127.0.0.1/8")),):
        for at in range(8):
            before = [a.local for a in System().list_addresses()]
            child = os.fork()
            if not child:
                with contextlib.suppress(BaseException):
                    change()
                os._exit(0)
            time.sleep(random.uniform(0, 0.004))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            found.append([len(before), sorted(a.local for a in System().list_addresses())])
            if "127.0.0.1" not in found[-1][1]:
                undo()
"""


def test_one_that_is_killed_leaves_the_old_state_or_the_new_one() -> None:
    """Of a removal that takes three requests, at forty moments."""
    found = run_steps(FURNISHED, KILLED)
    others = {"10.9.9.9", "127.0.0.2", "127.0.0.3", "127.0.0.4", "::1", "fd00::1"}
    assert len(found) == 40
    assert all(set(left) in (others, others | {"127.0.0.1"}) for _, left in found)


ASKED = """
import os, pty
def answer(word, *arguments):
    child, terminal = pty.fork()
    if not child:
        os._exit(main(["iface", *arguments]))
    os.write(terminal, word)
    said = b""
    with contextlib.suppress(OSError):
        while piece := os.read(terminal, 4096):
            said += piece
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said.decode()]

found = [answer(b"n\\n", "del", "127.0.0.1"), answer(b"y\\n", "del", "127.0.0.1"), lodiag()]
"""


def test_a_person_is_asked() -> None:
    (no, _), (yes, said), (_, report, _) = run_steps(LO_UP, ASKED)
    assert (no, yes) == (2, 0)
    assert "Do it all the same? [y/N]" in said
    assert addresses(report) == ["::1/128"]


ROWS = (
    *("ifindex", "ifname", "flags", "mtu", "qdisc", "operstate", "group", "txqlen", "link_type", "address"),
    *("broadcast", "stats64"),
)
ADDRESS_ROWS = ("family", "local", "prefixlen", "scope", "label", "valid_life_time", "preferred_life_time")


@pytest.mark.parametrize("setup", ["", LO_UP, FURNISHED], ids=["fresh", "up", "furnished"])
def test_every_row_of_ip_is_there_under_its_key(setup: str) -> None:
    """``ip -json -s -s address show lo``, to which ``.records`` is the same."""
    body = """
settle()
System().exchange_datagram("127.0.0.1", 100, 0.05)
told = subprocess.run(["ip", "-json", "-s", "-s", "address", "show", "lo"], capture_output=True, check=True).stdout
found = [json.loads(told)[0], lodiag()[1]["records"][0]]
"""
    theirs, ours = run_steps(setup, body)
    assert set(theirs) <= {*ROWS, "addr_info"}
    assert {name: ours[name] for name in theirs if name != "addr_info"} == {
        name: value for name, value in theirs.items() if name != "addr_info"
    }
    for own, told in zip(ours["addr_info"], theirs["addr_info"], strict=True):
        assert {name: own[name] for name in ADDRESS_ROWS} == {name: told.get(name) for name in ADDRESS_ROWS}
        assert (own["secondary"] or False) == told.get("secondary", False)


def test_psutil_alone_tells_what_it_can() -> None:
    ((status, report, _),) = run_all(FURNISHED, "--source psutil")
    (record,) = report["records"]
    assert (status, report["source"], report["complete"]) == (0, "psutil", False)
    told = {(a["local"], a["prefixlen"], a["label"]) for a in record["addr_info"]}
    assert {("127.0.0.1", 8, "lo"), ("127.0.0.2", 8, "lo:1"), ("::1", 128, None), ("10.9.9.9", 32, "lo")} <= told
    assert record["mtu"] == 65_536
    assert {"UP", "LOOPBACK"} <= set(record["flags"])
    assert record["stats64"]["rx"]["bytes"] is not None
    assert [record[name] for name in ("qdisc", "operstate", "queue")] == [None] * 3
    assert report["summary"]["routes"] is None
    assert [s["value"] for s in report["summary"]["settings"] if s["name"].endswith("lo.disable_ipv6")] == ["0"]


def test_what_leads_elsewhere_and_what_does_not_concern_the_loopback() -> None:
    """Default routes count once the local table no longer has all of the loopback, or is not asked first."""
    plain = f"{LO_UP}\nip route add default dev lo\nip rule add pref 9 to 10.0.0.0/8 prohibit\n"
    hole = "ip route del local 127.0.0.0/8 dev lo table local"
    ((_, well, _),), ((_, broken, _),) = run_all(plain, ""), run_all(plain + hole, "")
    assert [r["dst"] for r in well["summary"]["routes"] if r["family"] == "ipv4"] == [
        *("127.0.0.0/8", "127.0.0.1", "127.255.255.255")
    ]
    assert "default" in [r["dst"] for r in broken["summary"]["routes"]]
    assert [r["priority"] for r in well["summary"]["rules"] if r["family"] == "ipv4"] == [0, 32766, 32767]


def test_watching_tells_what_passes_and_what_changes() -> None:
    body = """
from lodiag.links.rates import watch_interfaces
from lodiag.model import to_plain
from lodiag import add_alias
readings = watch_interfaces(interval_s=0.1)
found.append(to_plain(next(readings)[0]))
System().exchange_datagram("127.0.0.1", 1000, 1)
add_alias("127.0.0.2")
found.append(to_plain(next(readings)[0]))
found.append(to_plain(next(readings)[0]))
"""
    first, second, third = run_steps(LO_UP, body)
    assert (first["up"], first["bytes_per_s"], first["before"]) == (True, None, None)
    assert second["bytes_per_s"] > 1000
    assert list(second["before"]) == ["addr_info"]
    assert third["before"] is None


def test_changes_of_routes_rules_and_qdiscs_are_made_as_ip_makes_them() -> None:
    """What a diagnosis repairs with: taken away by ip(8) or tc(8), put back by rtnetlink."""
    body = """
from lodiag.system.change import Change
from lodiag.system.changing import spell
machine = System()
settle()
routes = [r for r in machine.list_routes() if r.table == "local"]
routes.sort(key=lambda r: r.dst != r.prefsrc)  # an address can be that of other routes once it has its own
rules = [r for r in machine.list_rules() if r.table == "local"]
before = state()
changes = [Change("del-route", "lo", 1, route=r) for r in routes] + [Change("del-rule", "lo", 1, rule=r) for r in rules]
undo = [Change("add-route", "lo", 1, route=r) for r in routes] + [Change("add-rule", "lo", 1, rule=r) for r in rules]
shell(map(spell, changes))
gone = [machine.look_up_route("127.0.0.1").errno, [r for r in machine.list_rules() if r.table == "local"]]
machine.apply_changes(undo)
found.append([gone, before == state(), rules == [r for r in machine.list_rules() if r.table == "local"]])
machine.apply_changes(changes)
shell(map(spell, undo))
found.append([before == state(), rules == [r for r in machine.list_rules() if r.table == "local"]])
shell(["tc qdisc add dev lo root tbf rate 1mbit burst 10k limit 20k"])
machine.apply_changes([Change("no-qdisc", "lo", 1)])
found.append([q.kind for q in machine.list_qdiscs()])
machine.write_sysctl("net.ipv6.conf.lo.disable_ipv6", "1")
found.append(machine.read_sysctl("net.ipv6.conf.lo.disable_ipv6"))
"""
    put_back, taken, queues, disabled = run_steps(f"{LO_UP}\ncommand -v tc > /dev/null", body)
    assert put_back == [["ENETUNREACH", []], True, True]
    assert taken == [True, True]
    assert (queues, disabled) == (["noqueue"], "1")


def test_where_commands_are_run_they_are_believed_as_little() -> None:
    """As on other systems: of ifconfig(8), what Linux's knows as well."""
    body = """
from lodiag.system.change import Change, ChangeRefusedError
from lodiag.system.changing import apply
apply([Change("up", "lo", 1), Change("mtu", "lo", 1, mtu=1400)], "freebsd")
found.append(lodiag()[1]["records"][0]["mtu"])
for change, platform in ((Change("mtu", "nowhere", 9, mtu=1400), "freebsd"), (Change("down", "lo", 1), "win32")):
    try:
        apply([change], platform)
    except ChangeRefusedError as refusal:
        found.append([refusal.error, str(refusal)])
"""
    mtu, refused, unknown = run_steps("command -v ifconfig > /dev/null", body)
    assert mtu == 1400
    assert (refused[0], unknown[0]) == ("EINVAL", "ENOTSUP")
