"""The service that is asked about: why it does not answer, by knocking at it and by what the kernel knows of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lodiag.clock import NS_PER_S
from lodiag.diagnoses import BOTH, Diagnosis, Found, Seen, SkipError, find, tell, told
from lodiag.diagnoses.culprits import blame
from lodiag.judge.services import is_full
from lodiag.sockets.describing import HIDDEN
from lodiag.targets import ADDRESSES, family_of, is_loopback, is_wildcard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lodiag.diagnoses.survey import Service, Survey
    from lodiag.model import Evidence
    from lodiag.model.who import WhoRecord, WhoSocket, WhoSummary
    from lodiag.system.knocking import Knock

GROUP = "service"
HOOKS = ("input", "prerouting", "output", "postrouting", "ingress")
UNACCEPTED_S = 1.0
"""A server that has not accepted by then is busy, hangs, or is stopped."""
MOST_SHOWN = 3


class _View(NamedTuple):
    """What is known of the service: what clients met, who listens at the port, and the family of each address."""

    survey: Survey
    service: Service
    knocks: Sequence[Knock]
    summary: WhoSummary
    records: Sequence[WhoRecord]

    @property
    def listeners(self) -> list[WhoSocket]:
        """Sockets that listen for TCP at the port, wherever."""
        return [item for item in self.summary.listeners if item.proto == "tcp" and item.state == "listen"]

    def takes(self, address: str) -> WhoSocket | None:
        """Find the socket that gets what is sent to an address."""
        return next((r.socket for r in self.records if r.proto == "tcp" and r.address == address and r.answered), None)


def _need_service(survey: Survey) -> Service:
    if survey.service is None:
        reason = "no service was named: lodiag doctor PORT asks about one"
        raise SkipError(reason)
    return survey.service


def view(survey: Survey) -> _View:
    """Knock at each address that a client tries, and look up who listens."""
    service = _need_service(survey)
    report = survey.answerers
    _ = survey.conns  # before a connection of lodiag's own is among them
    knocks = survey.once("knocks", lambda: knock_all(survey, service))
    return _View(survey, service, knocks, report.summary, report.records)


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


def _tell_knock(knock: Knock) -> Evidence:
    value = knock.error or (f"connected, then {knock.then}" if knock.then else "connected")
    return told(f"connect to {knock.address} port {knock.port}", value, f"{knock.took_ms:g} ms")


def _tell_listener(item: WhoSocket) -> Evidence:
    end = _end(item)
    owners = ", ".join(f"{owner.process or '?'}[{owner.pid}]" for owner in (item.owners or ())[:MOST_SHOWN])
    return told(f"listener {end}", owners or (HIDDEN if item.owners is None else "no process"), "socket table")


def _end(item: WhoSocket) -> str:
    host = f"[{item.local.address}]" if ":" in item.local.address else item.local.address
    return f"{host}{f'%{item.interface}' if item.interface else ''}:{item.local.port}"


def _judge_error(seen: _View, knock: Knock) -> Iterator[Found]:
    family = family_of(knock.address)
    listener = seen.takes(knock.address)
    if seen.survey.canary["tcp", family].error is not None:
        return  # nothing is answered there, whichever service is asked
    if knock.error == "ECONNREFUSED":
        if listener is not None:
            yield _blame_filter(
                seen, knock, "filter-reset", f"a packet filter refuses what {_end(listener)} listens for"
            )
        else:
            yield _judge_refusal(seen, knock)
    elif knock.error == "timeout":
        if listener is not None and is_full(listener):
            yield _judge_full(seen, knock, listener)
        else:
            yield _blame_filter(
                seen, knock, "filter-input", f"a packet filter drops what is sent to {seen.service.name}"
            )
    elif knock.error in {"EADDRNOTAVAIL", "EADDRINUSE"}:
        yield _judge_lack(seen, knock)
    else:
        route = seen.survey.route(knock.address, "tcp", knock.port)
        if route is None or route.type == "local":
            yield _blame_filter(
                seen, knock, "filter-reject", f"a packet filter rejects what is sent to {seen.service.name}"
            )


def _judge_lack(seen: _View, knock: Knock) -> Found:
    """Judge that no port is left to connect from; the socket table tells who has them."""
    return find(
        "no-free-port",
        "fail",
        f"{knock.address} port {knock.port}",
        f"no port is free from which {knock.address} port {knock.port} could be connected to",
        (_tell_knock(knock), tell(seen.survey.settings["port-range"])),
        impact=f"{seen.service.name} cannot be asked.",
        hint="See who has the ports: lodiag conns --stats",
        families={family_of(knock.address)},
        see=("ip(7)",),
    )


def _blame_filter(seen: _View, knock: Knock, code: str, what: str) -> Found:
    family = family_of(knock.address)
    blamed = blame(seen.survey, HOOKS, family, "tcp", knock.port)
    listener = seen.takes(knock.address)
    return find(
        code,
        "fail",
        f"{knock.address} port {knock.port}",
        f"{what} at {knock.address}",
        (_tell_knock(knock), *([_tell_listener(listener)] if listener else []), *blamed.evidence),
        impact=f"{seen.service.name} does not answer.",
        hint=blamed.hint,
        confidence=blamed.confidence,
        families={family},
        fix=blamed.fix,
        see=("nft(8)",),
    )


def _judge_full(seen: _View, knock: Knock, listener: WhoSocket) -> Found:
    return find(
        "accept-queue-full",
        "fail",
        _end(listener),
        f"the accept queue of {_end(listener)} is full: it does not accept, and who connects waits in vain",
        (
            _tell_knock(knock),
            told("accept_queue", listener.accept_queue, "sock_diag"),
            told("backlog", listener.backlog, "sock_diag"),
            told("drops", listener.drops, "sock_diag"),
            _tell_listener(listener),
        ),
        impact=f"{seen.service.name} does not answer.",
        hint="The process does not call accept fast enough, or hangs. Its limit is what it gave to listen(2).",
        families={family_of(knock.address)},
        pids=_pids(listener),
        see=("listen(2)",),
    )


def _pids(item: WhoSocket) -> list[int]:
    return [owner.pid for owner in item.owners or ()]


def _judge_refusal(seen: _View, knock: Knock) -> Found:
    """Judge a refusal where nothing listens at that address: something may listen elsewhere."""
    served = [other for other in seen.knocks if other.error is None]
    others = seen.listeners
    if not others:
        return _judge_nobody(seen, knock)
    bound = [item for item in others if item.interface is not None and item.interface != seen.survey.lo_name]
    if bound:
        return _judge_place(
            seen, knock, "bound-to-device", bound, f"{_end(bound[0])} is bound to the interface {bound[0].interface}"
        )
    own = {address.local for address in seen.survey.addresses}
    lost = [i for i in others if not is_wildcard(i.local.address) and not is_loopback(i.local.address)]
    foreign = [item for item in lost if item.local.address not in own]
    if foreign and own:
        return _judge_place(
            seen,
            knock,
            "bound-nonlocal",
            foreign,
            f"{_end(foreign[0])} is not an address of this machine",
            more=(tell(seen.survey.settings["nonlocal-bind"]),),
        )
    family = family_of(knock.address)
    usual = [i for i in others if i.family != family or is_wildcard(i.local.address)]
    usual = [i for i in usual if is_wildcard(i.local.address) or i.local.address in ADDRESSES.values()]
    if usual:
        return _judge_family(seen, knock, usual, is_served=bool(served))
    return _judge_place(seen, knock, "bound-elsewhere", others, f"the service listens at {_ends(others)} only")


def _ends(items: Sequence[WhoSocket]) -> str:
    return " and ".join(dict.fromkeys(_end(item) for item in items[:MOST_SHOWN]))


def _judge_family(seen: _View, knock: Knock, others: Sequence[WhoSocket], *, is_served: bool) -> Found:
    """Judge that the service answers in the other family only, which a client may or may not try."""
    word = "IPv4" if ":" in knock.address else "IPv6"
    names = told("localhost", " ".join(dict.fromkeys(seen.survey.localhost.addresses)) or "no address", "resolver")
    is_first = seen.service.addresses[:1] == (knock.address,)
    code = "wrong-family" if not is_served else "order-ipv6-first" if is_first else "wrong-family"
    return find(
        code,
        "fail" if not is_served else "warn" if is_first else "info",
        f"{seen.service.name} at {knock.address}",
        f"the service listens on {word} only, at {_ends(others)}, and {knock.address} is refused",
        (_tell_knock(knock), *map(_tell_listener, others[:MOST_SHOWN]), names),
        impact=f"Clients that try {knock.address} {'first, or ' if is_first else ''}alone, fail.",
        hint=f"Have it listen on {knock.address} as well, or clients ask for {others[0].local.address}."
        if not is_wildcard(others[0].local.address)
        else f"Have it listen on {knock.address} as well.",
        families={family_of(knock.address)},
        see=("RFC 6724", "RFC 8305"),
    )


def _judge_place(  # noqa: PLR0913 - the parts of a finding
    seen: _View,
    knock: Knock,
    code: str,
    items: Sequence[WhoSocket],
    what: str,
    *,
    more: tuple[Evidence, ...] = (),
) -> Found:
    is_served = any(other.error is None for other in seen.knocks)
    return find(
        code,
        "warn" if is_served else "fail",
        f"{seen.service.name} at {_ends(items)}",
        f"{what}, so {knock.address} port {knock.port} is refused",
        (_tell_knock(knock), *map(_tell_listener, items[:MOST_SHOWN]), *more),
        impact=f"{seen.service.name} does not answer.",
        hint=f"Have it listen at {knock.address}, or ask where it listens.",
        families={family_of(knock.address)},
        see=("ip(7)", "socket(7)"),
    )


def _judge_nobody(seen: _View, knock: Knock) -> Found:
    """Judge that nothing listens: say what holds the port, or why nothing may."""
    survey, port = seen.survey, knock.port
    held = [item for item in seen.summary.held if item.proto == "tcp"]
    elsewhere = survey.system.find_listeners_elsewhere(port)
    evidence = [_tell_knock(knock), told("listeners", 0, "socket table")]
    hint, code = "Is the service running, and on that port? See what listens: lodiag conns -l", "nobody-answers"
    if elsewhere:
        code = "other-namespace" if elsewhere[0].is_near else code
        evidence += [told(f"listens in network namespace {ns}", f"pid {pid}", "/proc") for pid, ns, _ in elsewhere[:3]]
        hint = "Localhost of another namespace is another host: publish the port, or run both in one namespace."
    elif held:
        evidence += [told(f"held ({item.state})", _end(item), "socket table") for item in held[:MOST_SHOWN]]
        is_self = any(item.remote == item.local for item in held)
        code = "self-connection" if is_self else "port-held"
        hint = (
            "A client that was given the port is connected to itself: end it before the service starts."
            if is_self
            else "What holds the port does not listen; the service cannot bind it before that is gone."
        )
    elif seen.summary.time_waits:
        code = "time-wait-blocks-bind"
        evidence.append(told("time_waits", seen.summary.time_waits, "socket table"))
        evidence.append(told("time_wait_ms", seen.summary.time_wait_ms, "socket table"))
        hint = "A service that sets SO_REUSEADDR before it binds gets past them; another one must wait."
    elif survey.confinement.container:
        hint = "This is a container: its localhost is its own, not the host's (host.docker.internal, --network host)."
    refused = survey.system.try_to_bind(knock.address, port)
    if refused is not None:
        evidence.append(told(f"bind {knock.address} port {port}", refused, "bind(2)"))
    return find(
        code,
        "fail",
        seen.service.name,
        _NOBODY[code].format(name=seen.service.name, port=port),
        evidence,
        impact=f"{seen.service.name} does not answer.",
        hint=hint,
        families=BOTH if len(seen.knocks) > 1 else {family_of(knock.address)},
        see=("listen(2)",),
    )


_NOBODY = {
    "nobody-answers": "nothing listens at {name}",
    "other-namespace": "nothing listens at {name} here, but something does in another network namespace",
    "port-held": "nothing listens at {name}, but the port is held",
    "self-connection": "nothing listens at {name}: a connection to itself holds the port",
    "time-wait-blocks-bind": "nothing listens at {name}; connections that wait out their end hold the port",
}


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


def _judge_conduct(seen: _View, knock: Knock) -> Iterator[Found]:
    listener = seen.takes(knock.address)
    name = _end(listener) if listener else seen.service.name
    if knock.answered_by is not None and knock.answered_by != knock.port:
        blamed = blame(seen.survey, HOOKS, family_of(knock.address), "tcp", knock.port)
        yield find(
            "filter-redirect",
            "warn",
            f"{knock.address} port {knock.port}",
            f"{knock.address} port {knock.port} is answered at port {knock.answered_by}: it is redirected",
            (_tell_knock(knock), told("answered at port", knock.answered_by, "socket table"), *blamed.evidence),
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
                _tell_knock(knock),
                told("accept_queue", knock.waited, "sock_diag"),
                *([_tell_listener(listener)] if listener else []),
            ),
            impact=f"{seen.service.name} is connected, and does not answer.",
            hint="The process hangs, is stopped, or is too busy. Restart it.",
            confidence="likely",
            families={family_of(knock.address)},
            pids=_pids(listener) if listener else (),
            see=("accept(2)",),
        )
    elif knock.then not in {"open", "data", None}:
        is_reset = knock.then != "closed"
        yield find(
            "accept-then-reset" if is_reset else "accept-then-close",
            "fail" if is_reset else "warn",
            name,
            f"{name} accepts a connection and {'resets' if is_reset else 'closes'} it at once",
            (_tell_knock(knock), *([_tell_listener(listener)] if listener else [])),
            impact=f"{seen.service.name} does not answer.",
            hint="The service itself does so, no packet filter: it may refuse this client, or be broken. See its log.",
            families={family_of(knock.address)},
            pids=_pids(listener) if listener else (),
        )


def knock_all(survey: Survey, service: Service) -> list[Knock]:
    """Knock at each address that a client tries."""
    return [survey.system.knock(address, service.port, _inspect(survey)) for address in service.addresses]


def _inspect(survey: Survey) -> Callable[[str, int, int], tuple[int | None, int]]:
    """Make what looks at a connection while it is open: at which port it is answered, and who waits to be accepted."""

    def inspect(address: str, port: int, local_port: int) -> tuple[int | None, int]:
        answered_by = survey.find_far_end(address, port, local_port)
        end_ns = survey.system.monotonic_ns() + round(UNACCEPTED_S * NS_PER_S)
        while True:
            waiting = survey.is_unaccepted(address, port, local_port)
            if not waiting or survey.system.monotonic_ns() > end_ns:
                return answered_by, waiting
            survey.system.wait((), 0.02)

    return inspect


DIAGNOSES = (
    Diagnosis(
        GROUP,
        "answer",
        "is a client connected to the service that was named",
        (
            *("nobody-answers", "wrong-family", "order-ipv6-first", "bound-elsewhere", "bound-to-device"),
            *("bound-nonlocal", "other-namespace", "port-held", "self-connection", "time-wait-blocks-bind"),
            *("accept-queue-full", "filter-reset", "filter-input", "filter-reject", "no-free-port"),
        ),
        look_at_answer,
    ),
    Diagnosis(
        GROUP,
        "conduct",
        "does it accept and stay connected",
        ("accept-then-reset", "accept-then-close", "never-accepted", "filter-redirect"),
        look_at_conduct,
    ),
    Diagnosis(GROUP, "permission", "may this user listen at its port", ("privileged",), look_at_permission),
)
