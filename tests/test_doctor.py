"""The frame of doctor: statuses, folding, groups and codes, explanations, and the allow-list."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

import pytest
from running import LO_UP, assert_refused, parse, run_in_world, run_lodiag
from samples import make_who_socket

from lodiag import System, diagnose
from lodiag.diagnoses import BOTH, Found, find, told
from lodiag.diagnoses.catalogue import CODES, DIAGNOSES, GROUPS
from lodiag.diagnoses.causes import EXPLAINED_BY, fold, unite
from lodiag.diagnoses.explaining import ALIASES, explain, list_all, load_pages
from lodiag.diagnoses.knocks import tell_listener
from lodiag.doctor import _tell_verdict
from lodiag.errors import ConfigError
from lodiag.model.doctor import STATUSES
from lodiag.system.ruleset import parse as parse_rules
from lodiag.system.sandbox import strip_secrets

if TYPE_CHECKING:
    from collections.abc import Collection

    from lodiag.system.resolving import Answer, HostsFile


class Broken(System):
    """A machine of which one question crashes."""

    def read_hosts(self, names: Collection[str]) -> HostsFile:
        """Crash."""
        raise ZeroDivisionError(str(names))


class Hanging(System):
    """A machine whose resolver never answers."""

    def look_up_name(self, name: str, family: str | None = None, *, addrconfig: bool = False) -> Answer:
        """Wait for ever."""
        threading.Event().wait()
        raise AssertionError((name, family, addrconfig))


def test_a_diagnosis_that_crashes_is_a_result() -> None:
    report = diagnose("names", system=Broken())
    statuses = {record.diagnosis: record.status for record in report.records}
    assert statuses["hosts"] == "error"
    assert statuses["nsswitch"] in {"ok", "skipped"}, "the others go on"
    assert any("ZeroDivisionError" in str(record.why) for record in report.records)
    assert "failed themselves" in report.summary.verdict
    assert "diagnosis-failed" in {finding.code for finding in report.findings}
    assert report.exit_status == 1, "nobody may take it for all being well"


def test_a_diagnosis_that_hangs_is_given_up() -> None:
    report = diagnose("names", "ports", deadline_s=1, system=Hanging())
    statuses = {record.diagnosis: record.status for record in report.records}
    assert statuses["localhost"] == "error"
    assert statuses["privilege"] in {"ok", "finding", "skipped"}
    assert any("did not end within 1 s" in str(record.why) for record in report.records)


def test_only_the_groups_that_are_asked_for() -> None:
    report = diagnose("ports", "limits")
    assert {record.group for record in report.records} == {"ports", "limits"}


def test_one_diagnosis_is_not_several() -> None:
    several = _tell_verdict((), dict.fromkeys(STATUSES, 0) | {"ok": 38, "skipped": 2}, None)
    assert several == "nothing is wrong with the loopback: 40 diagnoses (2 diagnoses could not look)"
    verdict = _tell_verdict((), dict.fromkeys(STATUSES, 0) | {"skipped": 1}, None)
    assert verdict == "nothing is wrong with the loopback: 1 diagnosis (1 diagnosis could not look)"


def test_a_listener_of_another_user_has_an_unseen_owner() -> None:
    told_owner = tell_listener(make_who_socket(owners=None)).value
    assert told_owner == "an unseen process of postgres in postgresql.service"


def test_a_group_whose_finding_another_explains_has_a_symptom() -> None:
    done = run_in_world("", command=(sys.executable, "-m", "lodiag", "doctor", "lo-down"))
    told_of = {row[0]: row[1] for row in map(str.split, done.stdout.splitlines()) if len(row) > 1}
    assert (told_of["canary"], told_of["interface"]) == ("symptom", "fail"), done.stdout


def test_a_code_is_looked_for_with_all_that_may_cause_it() -> None:
    report = diagnose("lo-down")
    assert {record.group for record in report.records} == set(GROUPS) - {"service"}
    assert report.findings == ()


def test_what_is_unknown_is_refused() -> None:
    with pytest.raises(ConfigError, match="neither a group"):
        diagnose("nmaes")


def make(code: str, address: str = "127.0.0.1", severity: str = "fail") -> Found:
    """Make a finding about an address."""
    families = {"ipv6" if ":" in address else "ipv4"}
    return find(code, severity, address, f"{address} is silent", (told("x", 1, "test"),), families=families)


def test_what_a_cause_explains_is_folded_under_it() -> None:
    cause = find("lo-down", "fail", "lo", "lo is down", (), families=BOTH)
    (kept,) = fold([make("timeout"), make("fw-input"), cause, make("address-not-available", "::1")])
    assert kept.finding.code == "lo-down"
    assert kept.finding.explains == ("timeout", "fw-input", "address-not-available")


def test_a_cause_in_one_family_does_not_explain_the_other() -> None:
    kept = fold([make("lo-mtu", "::1"), make("timeout", "127.0.0.1")])
    assert [item.finding.code for item in kept] == ["lo-mtu", "timeout"]


def test_what_is_the_same_in_both_families_is_told_once() -> None:
    (one,) = unite([make("fw-input"), make("fw-input", "::1")])
    assert (one.finding.message, one.families) == ("127.0.0.1 and ::1 is silent", BOTH)


def test_no_cause_is_its_own_consequence() -> None:
    """Each code leads, by whatever way, to codes that nothing explains."""
    for code in EXPLAINED_BY:
        seen, waiting = set(), [code]
        while waiting:
            for cause in EXPLAINED_BY.get(waiting.pop(), ()):
                assert cause != code, code
                if cause not in seen:
                    seen.add(cause)
                    waiting.append(cause)


@pytest.mark.parametrize("code", CODES)
def test_each_code_has_a_page(code: str) -> None:
    page = explain(code)
    assert page.startswith(f"{code}\n\n")
    assert all(word in page for word in ("looks: ", "why: ", "mend: "))
    assert max(map(len, page.splitlines())) <= 80


def test_pages_and_causes_speak_of_known_codes() -> None:
    assert set(load_pages()) == set(CODES)
    assert set(ALIASES.values()) <= set(CODES)
    known = set(CODES) | {"send-failed", "hostname-unresolved", "service-timeout", "service-silent"}
    assert {code for causes in EXPLAINED_BY.values() for code in causes} <= known


def test_the_list_names_all() -> None:
    text = list_all()
    assert max(map(len, text.splitlines())) <= 80
    words = " ".join(text.split())
    assert all(f"{diagnosis.name} {diagnosis.purpose}" in words for diagnosis in DIAGNOSES)
    assert run_lodiag("doctor", "--list").stdout == text


def test_another_name_of_a_code_is_understood() -> None:
    assert run_lodiag("doctor", "--explain", "backlog").stdout.startswith("accept-queue-full (backlog)\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--explain", "nothing"), "is not a code"),
        (("nmaes",), "neither a group"),
        (("1", "2"), "one service at a time"),
        (("0",), "port"),
        (("192.0.2.1:80",), "not on the loopback"),
        (("--json", "--fix"), "changes nothing"),
        (("--fix",), "no terminal"),
        (("--yes",), "--fix alone"),
    ],
)
def test_what_cannot_be_done_is_refused(arguments: tuple[str, ...], words: str) -> None:
    assert_refused(run_lodiag("doctor", *arguments), words)


def test_what_is_broken_is_repaired_and_looked_at_again() -> None:
    """In a namespace that is new; the report is that of the second look, and tells what was done."""
    report = parse(run_in_world("", "doctor", "--fix", "--yes", "--json"))
    assert [(item["command"], item["failure"], item["undo"]) for item in report["summary"]["repairs"]] == [
        ("ip link set lo up", None, ["ip link set lo down"])
    ]
    assert report["summary"]["failed"] == 0


def test_who_may_not_repair_is_told_so() -> None:
    done = run_in_world("", "doctor", "--fix", "--yes", as_nobody=True)
    assert done.returncode == 1
    assert "not permitted" in done.stdout


def test_a_warning_fails_where_that_is_asked_for() -> None:
    setup = f"{LO_UP}\necho 1 >/proc/sys/net/ipv4/icmp_echo_ignore_all"
    command = (sys.executable, "-m", "lodiag", "doctor", "icmp-ignored")
    statuses = [run_in_world(setup, command=(*command, *further)).returncode for further in ((), ("--fail-on", "warn"))]
    assert statuses == [0, 1]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://user:secret@proxy.example:3128/?token=secret", "http://proxy.example:3128"),
        ("user:secret@proxy:8080", "//proxy:8080"),
        ("socks5h://[::1]:1080", "socks5h://[::1]:1080"),
        ("http://[", "(not a URL)"),
    ],
)
def test_proxies_lose_their_secrets(url: str, shown: str) -> None:
    assert strip_secrets(url) == shown.removeprefix("//")


RULES = """table inet filter { # handle 3
\tset s { # handle 4
\t\ttype ipv4_addr
\t}

\tchain input { # handle 1
\t\ttype filter hook input priority filter; policy drop;
\t\tiif "lo" accept # handle 5
\t\tjump other # handle 6
\t}

\tchain other { # handle 2
\t\ttcp dport 22 accept # handle 7
\t}
}
table netdev fault { # handle 5
\tchain c { # handle 1
\t\ttype filter hook ingress device "lo" priority filter; policy accept;
\t}
}
"""


def test_rules_are_taken_apart() -> None:
    chains = {(chain.table, chain.name): chain for chain in parse_rules(RULES)}
    assert set(chains) == {("filter", "input"), ("filter", "other"), ("fault", "c")}
    assert chains["filter", "input"][3:6] == ("filter", "input", "drop")
    assert [rule.text for rule in chains["filter", "input"].rules] == ['iif "lo" accept', "jump other"]
    assert chains["fault", "c"].hook == "ingress"
