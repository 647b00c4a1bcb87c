"""Ports and limits: which ports may be bound, which are given to clients, and what of the kernel runs out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.diagnoses import Diagnosis, Found, Seen, SkipError, find, tell, told

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lodiag.diagnoses.survey import Survey
    from lodiag.system.attempts import Met

PORTS, LIMITS = "ports", "limits"
USUAL_FIRST_FREE = 1024
"""First port that needs no privilege (Documentation/networking/ip-sysctl.rst)."""
USUAL_FIRST_CLIENT = 32768
"""First port that Linux gives to clients, likewise."""
FEW_PORTS = 64
"""Fewer than a client with a few connections to one service needs; Linux gives 28232 if it is not told otherwise."""
LACKS = {"EADDRNOTAVAIL", "EADDRINUSE", "EAGAIN"}
"""What bind(2) and connect(2) say where no port is left; UDP's connect says EAGAIN."""
ALMOST = 0.95
MOST_SHOWN = 5


def look_at_privilege(survey: Survey) -> Seen:
    """Find that ports which usually need no privilege do here."""
    first = survey.number("unprivileged-ports")
    if first is None:
        reason = "this system does not tell it"
        raise SkipError(reason)
    measured = f"free from port {first} on"
    if first <= USUAL_FIRST_FREE:
        return Seen(measured)
    setting = survey.settings["unprivileged-ports"]
    held = survey.confinement.capabilities
    is_allowed = held is not None and "CAP_NET_BIND_SERVICE" in held
    found = find(
        "privileged",
        "warn" if is_allowed else "fail",
        setting.name,
        f"ports below {first} can be bound with CAP_NET_BIND_SERVICE only; usually that is so below {USUAL_FIRST_FREE}",
        (tell(setting), told("CAP_NET_BIND_SERVICE", is_allowed, "/proc/self/status")),
        impact=f"Services without that capability cannot listen at ports {USUAL_FIRST_FREE} to {first - 1} (EACCES).",
        fix=survey.system.prescribe("first-free-port", parameter=setting.name, value=setting.value),
        see=("ip(7)", "capabilities(7)"),
    )
    return Seen(measured, (found,))


def read_ports(text: str | None) -> set[int]:
    """Read a list of ports and spans, as in ``8080,9000-9010``."""
    ports: set[int] = set()
    for part in (text or "").split(","):
        first, dash, last = part.strip().partition("-")
        if first.isdecimal():
            ports |= set(range(int(first), int(last if dash and last.isdecimal() else first) + 1))
    return ports


def look_at_range(survey: Survey) -> Seen:
    """Find that ports of services may be given to clients, once the services are not there."""
    words = (survey.setting("port-range") or "").split()
    if len(words) != 2:  # noqa: PLR2004 - first and last
        reason = "this system does not tell the range of ports for clients"
        raise SkipError(reason)
    first, last = map(int, words)
    measured = f"clients get ports {first} to {last}"
    reserved = read_ports(survey.setting("reserved-ports"))
    count = len(set(range(first, last + 1)) - reserved)
    if count < FEW_PORTS:
        return Seen(measured, (_judge_few(survey, count, last + 1 - first),))
    if first >= USUAL_FIRST_CLIENT:
        return Seen(measured)
    exposed = sorted(
        port
        for port in survey.listening_ports()
        if max(first, 1024) <= port < USUAL_FIRST_CLIENT and port not in reserved
    )
    if not exposed:
        return Seen(measured)
    return Seen(measured, (_judge_overlap(survey, first, last, exposed, reserved),))


def _judge_few(survey: Survey, count: int, span: int) -> Found:
    """Judge that clients have almost no ports; a lack of them is met as an error of bind or connect."""
    setting, reserved = survey.settings["port-range"], survey.settings["reserved-ports"]
    is_met = any(met.error in LACKS and met.stage in {"bind", "connect"} for met in survey.canary.values())
    of_role = "port-range" if span < FEW_PORTS else "no-reserved-ports"
    blamed = setting if span < FEW_PORTS else reserved
    return find(
        "ephemeral-low",
        "fail" if is_met else "warn",
        setting.name,
        f"clients have {count} ports only, from which they connect to each service",
        (tell(setting), tell(reserved), told("ports for clients", count, "kernel parameters")),
        impact="Who connects, or asks for any free port, fails with EADDRNOTAVAIL, EADDRINUSE or EAGAIN.",
        fix=survey.system.prescribe(of_role, parameter=blamed.name, value=blamed.value),
        see=("ip(7)", "RFC 6056 2.2"),
    )


def _judge_overlap(survey: Survey, first: int, last: int, exposed: list[int], reserved: Iterable[int]) -> Found:
    setting = survey.settings["reserved-ports"]
    shown = ", ".join(map(str, exposed[:MOST_SHOWN])) + (" ..." if len(exposed) > MOST_SHOWN else "")
    ports = ",".join(map(str, sorted({*exposed, *reserved})))
    return find(
        "ports-overlap",
        "warn",
        survey.settings["port-range"].name,
        f"the range of ports for clients, {first} to {last}, covers ports of services: {shown}",
        (tell(survey.settings["port-range"]), tell(setting)),
        impact="While such a service is restarted, a client may be given its port, and it finds it in use.",
        fix=survey.system.prescribe("reserve-ports", parameter=setting.name, value=setting.value, ports=ports),
        see=("ip(7)",),
    )


def look_at_conntrack(survey: Survey) -> Seen:
    """Find that the table of tracked connections is full, in which loopback traffic is too."""
    count, most = survey.number("conntrack-count"), survey.number("conntrack-max")
    if count is None or not most:
        reason = "connections are not tracked here"
        raise SkipError(reason)
    measured = f"{count} of {most} tracked connections"
    if count < most * ALMOST:
        return Seen(measured)
    is_full = count >= most
    setting = survey.settings["conntrack-max"]
    found = find(
        "conntrack-full",
        "fail" if is_full else "warn",
        setting.name,
        f"the table of tracked connections is {'full' if is_full else 'almost full'}: {count} of {most}",
        (tell(survey.settings["conntrack-count"]), tell(setting)),
        impact="New connections and datagrams are dropped, also over the loopback; what is connected lives on.",
        fix=survey.system.prescribe("conntrack", wanted=2 * most, value=most),
        see=("nf_conntrack sysctl",),
    )
    return Seen(measured, (found,))


def look_at_files(survey: Survey) -> Seen:
    """Find that the whole system runs out of open files."""
    own = [met for met in survey.canary.values() if met.error == "EMFILE"]
    if own:
        return Seen("this process may open no more", (_judge_own_files(own),))
    words = (survey.setting("files") or "").split()
    if len(words) != 3:  # noqa: PLR2004 - used, free, most (proc_sys_fs(5))
        reason = "this system does not tell it"
        raise SkipError(reason)
    used, most = int(words[0]), int(words[2])
    if used < most * ALMOST:
        return Seen(f"{used} open files")
    found = find(
        "system-files-exhausted",
        "warn",
        survey.settings["files"].name,
        f"almost all files that this system may open are open: {used} of {most}",
        (tell(survey.settings["files"]),),
        impact="Soon nothing can open a socket (ENFILE).",
        see=("proc_sys_fs(5)",),
    )
    return Seen(f"{used} of {most} open files", (found,))


def _judge_own_files(met: Sequence[Met]) -> Found:
    return find(
        "files-exhausted",
        "fail",
        "this process",
        "this process may not open as many files as a diagnosis needs: others that were started like it may neither",
        tuple(told(f"{item.proto} {item.address}", item.error, f"{item.stage}(2)") for item in met[:3]),
        impact="Programs that are started here fail with EMFILE when they open sockets.",
        hint="The limit is that of the shell or unit that started it: ulimit -n 1024, LimitNOFILE=.",
        see=("getrlimit(2)",),
    )


DIAGNOSES = (
    Diagnosis(PORTS, "privilege", "which ports may be bound by anybody", ("privileged",), look_at_privilege),
    Diagnosis(
        PORTS, "range", "are ports of services given to clients", ("ports-overlap", "ephemeral-low"), look_at_range
    ),
    Diagnosis(LIMITS, "conntrack", "is there room for tracked connections", ("conntrack-full",), look_at_conntrack),
    Diagnosis(LIMITS, "files", "may files be opened", ("system-files-exhausted", "files-exhausted"), look_at_files),
)
