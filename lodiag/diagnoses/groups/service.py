"""The service that is asked about: why it does not answer, by knocking at it and by what the kernel knows of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.diagnoses import Diagnosis, Found, Seen, find, tell, told
from lodiag.diagnoses.culprits import blame
from lodiag.diagnoses.knocks import UNACCEPTED_S, list_pids, tell_knock, tell_listener, view, write_end
from lodiag.diagnoses.refusals import judge_refusal
from lodiag.judge.services import is_full
from lodiag.targets import family_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lodiag.diagnoses.knocks import View
    from lodiag.diagnoses.survey import Survey
    from lodiag.model.who import WhoSocket
    from lodiag.system.knocking import Knock

GROUP = "service"
HOOKS = ("input", "prerouting", "output", "postrouting", "ingress")


def look_at_answer(survey: Survey) -> Seen:
    """Find why a client is not connected."""
    seen = view(survey)
    measured = ", ".join(f"{knock.address} {knock.error or f'{knock.took_ms:g} ms'}" for knock in seen.knocks)
    found = [item for knock in seen.knocks if knock.error is not None for item in _judge_error(seen, knock)]
    return Seen(measured or "no address", tuple(_merge(found)))


def _merge(found: Sequence[Found]) -> Iterator[Found]:
    """Tell what is the same at several addresses once."""
    by_code: dict[tuple[str, str], Found] = {}
    for item in found:
        key = item.finding.code, item.finding.subject
        first = by_code.setdefault(key, item)
        if first is not item:
            by_code[key] = first._replace(families=first.families | item.families)
    yield from by_code.values()


def _judge_error(seen: View, knock: Knock) -> Iterator[Found]:
    family = family_of(knock.address)
    listener = seen.takes(knock.address)
    if seen.survey.canary["tcp", family].error is not None:
        return  # nothing is answered there, whichever service is asked
    if knock.error == "ECONNREFUSED":
        if listener is not None:
            yield _blame_filter(
                seen, knock, "fw-reset", f"a packet filter refuses what {write_end(listener)} listens for"
            )
        else:
            yield judge_refusal(seen, knock)
    elif knock.error == "timeout":
        if listener is not None and is_full(listener):
            yield _judge_full(seen, knock, listener)
        else:
            yield _blame_filter(seen, knock, "fw-input", f"a packet filter drops what is sent to {seen.service.name}")
    elif knock.error in {"EADDRNOTAVAIL", "EADDRINUSE"}:
        yield _judge_lack(seen, knock)
    else:
        route = seen.survey.route(knock.address, "tcp", knock.port)
        if route is None or route.type == "local":
            yield _blame_filter(
                seen, knock, "fw-reject", f"a packet filter rejects what is sent to {seen.service.name}"
            )


def _judge_lack(seen: View, knock: Knock) -> Found:
    """Judge that no port is left to connect from; the socket table tells who has them."""
    return find(
        "no-free-port",
        "fail",
        f"{knock.address} port {knock.port}",
        f"no port is free from which {knock.address} port {knock.port} could be connected to",
        (tell_knock(knock), tell(seen.survey.settings["port-range"])),
        impact=f"{seen.service.name} cannot be asked.",
        hint="See who has the ports: lodiag conns --stats",
        families={family_of(knock.address)},
        see=("ip(7)",),
    )


def _blame_filter(seen: View, knock: Knock, code: str, what: str) -> Found:
    family = family_of(knock.address)
    blamed = blame(seen.survey, HOOKS, family, "tcp", knock.port)
    listener = seen.takes(knock.address)
    return find(
        code,
        "fail",
        f"{knock.address} port {knock.port}",
        f"{what} at {knock.address}",
        (tell_knock(knock), *([tell_listener(listener)] if listener else []), *blamed.evidence),
        impact=f"{seen.service.name} does not answer.",
        hint=blamed.hint,
        confidence=blamed.confidence,
        families={family},
        fix=blamed.fix,
        see=("nft(8)",),
    )


def _judge_full(seen: View, knock: Knock, listener: WhoSocket) -> Found:
    return find(
        "accept-queue-full",
        "fail",
        write_end(listener),
        f"the accept queue of {write_end(listener)} is full: it does not accept, and who connects waits in vain",
        (
            tell_knock(knock),
            told("accept_queue", listener.accept_queue, "sock_diag"),
            told("backlog", listener.backlog, "sock_diag"),
            told("drops", listener.drops, "sock_diag"),
            tell_listener(listener),
        ),
        impact=f"{seen.service.name} does not answer.",
        hint="The process does not call accept fast enough, or hangs. Its limit is what it gave to listen(2).",
        families={family_of(knock.address)},
        pids=list_pids(listener),
        see=("listen(2)",),
    )


def look_at_permission(survey: Survey) -> Seen:
    """Find that this user may not listen at the port."""
    seen = view(survey)
    first = survey.number("unprivileged-ports")
    held = survey.confinement.capabilities
    may = held is not None and "CAP_NET_BIND_SERVICE" in held
    port = seen.service.port
    if first is None or port >= first or may or seen.listeners:
        return Seen(f"port {port} may be bound")
    setting = survey.settings["unprivileged-ports"]
    found = find(
        "privileged",
        "info",
        f"port {port}",
        f"port {port} is below {first}: to listen there takes CAP_NET_BIND_SERVICE, which this user lacks",
        (tell(setting), told("bind", survey.system.try_to_bind("127.0.0.1", port), "bind(2)")),
        impact="A service that this user starts cannot listen there (EACCES).",
        hint="Choose a higher port, give the program the capability (setcap), or lower the parameter.",
        fix=survey.system.prescribe("first-free-port-lower", parameter=setting.name, value=setting.value, port=port),
        see=("ip(7)", "capabilities(7)"),
    )
    return Seen(f"port {port} may not be bound", (found,))


def look_at_conduct(survey: Survey) -> Seen:
    """Find that the service connects and then resets, does not accept, or is another one."""
    seen = view(survey)
    found = [item for knock in seen.knocks if knock.error is None for item in _judge_conduct(seen, knock)]
    measured = ", ".join(f"{knock.address} {knock.then}" for knock in seen.knocks if knock.error is None)
    return Seen(measured or "nobody is connected", tuple(_merge(found)))


def _judge_conduct(seen: View, knock: Knock) -> Iterator[Found]:
    listener = seen.takes(knock.address)
    name = write_end(listener) if listener else seen.service.name
    if knock.answered_by is not None and knock.answered_by != knock.port:
        blamed = blame(seen.survey, HOOKS, family_of(knock.address), "tcp", knock.port)
        yield find(
            "fw-redirect",
            "warn",
            f"{knock.address} port {knock.port}",
            f"{knock.address} port {knock.port} is answered at port {knock.answered_by}: it is redirected",
            (tell_knock(knock), told("answered at port", knock.answered_by, "socket table"), *blamed.evidence),
            impact="Another service answers than the one that listens there.",
            hint=blamed.hint or "Rules of NAT that redirect are meant by those who wrote them: nothing is proposed.",
            families={family_of(knock.address)},
            see=("nft(8)",),
        )
        return
    if knock.waited:
        yield find(
            "never-accepted",
            "fail",
            name,
            f"{name} is connected by the kernel, but does not accept within {UNACCEPTED_S:g} s",
            (
                tell_knock(knock),
                told("accept_queue", knock.waited, "sock_diag"),
                *([tell_listener(listener)] if listener else []),
            ),
            impact=f"{seen.service.name} is connected, and does not answer.",
            hint="The process hangs, is stopped, or is too busy. Restart it.",
            confidence="likely",
            families={family_of(knock.address)},
            pids=list_pids(listener) if listener else (),
            see=("accept(2)",),
        )
    elif knock.then not in {"open", "data", None}:
        is_reset = knock.then != "closed"
        yield find(
            "accept-then-reset" if is_reset else "accept-then-close",
            "fail" if is_reset else "warn",
            name,
            f"{name} accepts a connection and {'resets' if is_reset else 'closes'} it at once",
            (tell_knock(knock), *([tell_listener(listener)] if listener else [])),
            impact=f"{seen.service.name} does not answer.",
            hint="The service itself does so, no packet filter: it may refuse this client, or be broken. See its log.",
            families={family_of(knock.address)},
            pids=list_pids(listener) if listener else (),
        )


DIAGNOSES = (
    Diagnosis(
        GROUP,
        "answer",
        "is a client connected to the service that was named",
        (
            *("nobody-answers", "wrong-family", "order-v6-first", "bound-elsewhere", "bound-to-device"),
            *("bound-nonlocal", "other-namespace", "port-held", "self-connection", "time-wait-blocks-bind"),
            *("accept-queue-full", "fw-reset", "fw-input", "fw-reject", "no-free-port"),
        ),
        look_at_answer,
    ),
    Diagnosis(
        GROUP,
        "conduct",
        "does it accept and stay connected",
        ("accept-then-reset", "accept-then-close", "never-accepted", "fw-redirect"),
        look_at_conduct,
    ),
    Diagnosis(GROUP, "permission", "may this user listen at its port", ("privileged",), look_at_permission),
)
