"""What confines or misleads this process: proxies, filters of system calls, security modules, containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.diagnoses import WORDS, Diagnosis, Seen, find, tell_met, told
from lodiag.targets import ADDRESSES

if TYPE_CHECKING:
    from lodiag.diagnoses.survey import Survey
    from lodiag.model import Evidence

GROUP = "environment"
WANTED = ("localhost", "127.0.0.1", "::1")
NEEDED = ("localhost", "127.0.0.1")
_COVERING = {
    "localhost": {"localhost", ".localhost", "*"},
    "127.0.0.1": {"127.0.0.1", "127.0.0.0/8", "127.*", "*"},
    "::1": {"::1", "[::1]", "::1/128", "*"},
}


def look_at_proxy(survey: Survey) -> Seen:
    """Find that requests to localhost go to a proxy."""
    proxies = survey.system.read_proxies()
    if not proxies:
        return Seen("no proxy")
    excepted = set(survey.system.read_no_proxy())
    exposed = [host for host in NEEDED if not excepted & _COVERING[host]]
    if not exposed:
        return Seen("a proxy, but not for the loopback")
    hosts = ",".join(WANTED)
    found = find(
        "proxy",
        "warn",
        next(iter(proxies)),
        f"the environment sends requests for {' and '.join(exposed)} to a proxy",
        (
            *(told(name, value, "environment, without user and password") for name, value in proxies.items()),
            told(
                "no_proxy",
                ",".join(sorted(excepted & {h for c in _COVERING.values() for h in c})) or "none of these",
                "environment",
            ),
        ),
        impact="HTTP clients do not reach services of this machine, or the proxy answers in their stead (403, 502).",
        hint="Not all clients understand networks such as 127.0.0.0/8 in no_proxy: name the addresses.",
        fix=survey.system.prescribe("no-proxy", hosts=hosts),
        see=("curl(1)",),
    )
    return Seen("a proxy for the loopback", (found,))


def look_at_sockets(survey: Survey) -> Seen:
    """Find that this process may not make sockets that the kernel has."""
    refused = survey.refused
    found = []
    for family, word in WORDS.items():
        if family not in refused or (family == "ipv6" and not survey.system.has_ipv6()):
            continue
        found.append(
            find(
                "seccomp",
                "warn",
                f"sockets of {word}",
                f"this process may not make sockets of {word} ({refused[family]}), though the kernel speaks it",
                (told(f"socket of {word}", refused[family], "socket(2)"), *_tell_seccomp(survey)),
                impact=f"{ADDRESSES[family]} cannot be reached from here; other processes may reach it.",
                hint="A sandbox, such as RestrictAddressFamilies= of a systemd unit, filters its system calls.",
                confidence="likely",
                families={family},
                see=("seccomp(2)",),
            )
        )
    if "netlink" in refused:
        found.append(
            find(
                "netlink-refused",
                "info",
                "AF_NETLINK",
                f"this process may not ask the kernel by netlink ({refused['netlink']}), so less can be told",
                (told("socket(AF_NETLINK)", refused["netlink"], "socket(2)"), *_tell_seccomp(survey)),
                hint="What is told comes from /proc and from probes.",
                see=("seccomp(2)",),
            )
        )
    return Seen("all kinds of sockets" if not refused else f"refused: {', '.join(refused)}", tuple(found))


def _tell_seccomp(survey: Survey) -> tuple[Evidence, ...]:
    has = survey.confinement.has_seccomp
    return () if has is None else (told("Seccomp", has, "/proc/self/status"),)


def look_at_modules(survey: Survey) -> Seen:
    """Find that a security module forbids TCP to this process: no route and no rule says EACCES, and UDP works."""
    barred = [
        family
        for family, address in ADDRESSES.items()
        if survey.canary["tcp", family].error == "EACCES"
        and survey.canary["udp", family].error is None
        and (survey.canary["tcp", family].stage == "bind" or not survey.is_rejected(family))
        and ((route := survey.route(address, "tcp")) is None or route.type == "local")
    ]
    label = survey.confinement.label
    if not barred:
        return Seen(f"no security module in the way{f', label {label}' if label else ''}")
    words = " and ".join(WORDS[family] for family in barred)
    found = find(
        "lsm",
        "warn",
        "TCP",
        f"a security module forbids TCP over {words} to this process (EACCES), though there is a way and UDP works",
        (
            *(tell_met(survey.canary["tcp", family]) for family in barred),
            told("label", label, "/proc/self/attr/current"),
            told("NoNewPrivs", survey.confinement.has_no_new_privs, "/proc/self/status"),
        ),
        impact="Programs that are confined like this one can neither listen nor connect.",
        hint="Landlock, SELinux (setsebool -P httpd_can_network_connect 1) or AppArmor: see its own log.",
        confidence="likely",
        families=barred,
        see=("landlock(7)", "selinux(8)"),
    )
    return Seen("TCP is forbidden", (found,))


def look_at_place(survey: Survey) -> Seen:
    """Tell where this process is."""
    told_by = survey.confinement
    host = survey.system.describe_host()
    words = [f"network namespace {host.netns}" if host.netns else "network namespace unknown"]
    words.append(f"in a container ({told_by.container})" if told_by.container else "no container known")
    if told_by.capabilities is not None:
        words.append(f"capabilities {' '.join(told_by.capabilities) or 'none'}")
    return Seen(", ".join(words))


DIAGNOSES = (
    Diagnosis(GROUP, "proxy", "do proxies take requests to localhost", ("proxy",), look_at_proxy),
    Diagnosis(GROUP, "sockets", "may this process make sockets", ("seccomp", "netlink-refused"), look_at_sockets),
    Diagnosis(GROUP, "modules", "does a security module forbid TCP", ("lsm",), look_at_modules),
    Diagnosis(GROUP, "place", "in which namespace and container is this", (), look_at_place),
)
