"""Why a service refuses a client: where it listens instead, or what holds its port."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.diagnoses import BOTH, Found, find, tell, told
from lodiag.diagnoses.knocks import MOST_SHOWN, tell_knock, tell_listener, write_end, write_ends
from lodiag.targets import ADDRESSES, family_of, is_loopback, is_wildcard

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lodiag.diagnoses.knocks import View
    from lodiag.model import Evidence
    from lodiag.model.who import WhoSocket
    from lodiag.system.knocking import Knock


def judge_refusal(seen: View, knock: Knock) -> Found:
    """Judge a refusal where nothing listens at that address: something may listen elsewhere."""
    served = [other for other in seen.knocks if other.error is None]
    others = seen.listeners
    if not others:
        return _judge_nobody(seen, knock)
    bound = [item for item in others if item.interface is not None and item.interface != seen.survey.lo_name]
    if bound:
        return _judge_place(
            seen,
            knock,
            "bound-to-device",
            bound,
            f"{write_end(bound[0])} is bound to the interface {bound[0].interface}",
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
            f"{write_end(foreign[0])} is not an address of this machine",
            more=(tell(seen.survey.settings["nonlocal-bind"]),),
        )
    family = family_of(knock.address)
    usual = [i for i in others if i.family != family or is_wildcard(i.local.address)]
    usual = [i for i in usual if is_wildcard(i.local.address) or i.local.address in ADDRESSES.values()]
    if usual:
        return _judge_family(seen, knock, usual, is_served=bool(served))
    return _judge_place(seen, knock, "bound-elsewhere", others, f"the service listens at {write_ends(others)} only")


def _judge_family(seen: View, knock: Knock, others: Sequence[WhoSocket], *, is_served: bool) -> Found:
    """Judge that the service answers in the other family only, which a client may or may not try."""
    word = "IPv4" if ":" in knock.address else "IPv6"
    names = told("localhost", " ".join(dict.fromkeys(seen.survey.localhost.addresses)) or "no address", "resolver")
    is_first = seen.service.addresses[:1] == (knock.address,)
    code = "wrong-family" if not is_served else "order-v6-first" if is_first else "wrong-family"
    return find(
        code,
        "fail" if not is_served else "warn" if is_first else "info",
        f"{seen.service.name} at {knock.address}",
        f"the service listens on {word} only, at {write_ends(others)}, and {knock.address} is refused",
        (tell_knock(knock), *map(tell_listener, others[:MOST_SHOWN]), names),
        impact=f"Clients that try {knock.address} {'first, or ' if is_first else ''}alone, fail.",
        hint=f"Have it listen on {knock.address} as well, or clients ask for {others[0].local.address}."
        if not is_wildcard(others[0].local.address)
        else f"Have it listen on {knock.address} as well.",
        families={family_of(knock.address)},
        see=("RFC 6724", "RFC 8305"),
    )


def _judge_place(  # noqa: PLR0913 - the parts of a finding
    seen: View,
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
        f"{seen.service.name} at {write_ends(items)}",
        f"{what}, so {knock.address} port {knock.port} is refused",
        (tell_knock(knock), *map(tell_listener, items[:MOST_SHOWN]), *more),
        impact=f"{seen.service.name} does not answer.",
        hint=f"Have it listen at {knock.address}, or ask where it listens.",
        families={family_of(knock.address)},
        see=("ip(7)", "socket(7)"),
    )


def _judge_nobody(seen: View, knock: Knock) -> Found:
    """Judge that nothing listens: say what holds the port, or why nothing may."""
    survey, port = seen.survey, knock.port
    held = [item for item in seen.summary.held if item.proto == "tcp"]
    elsewhere = survey.system.find_listeners_elsewhere(port)
    evidence = [tell_knock(knock), told("listeners", 0, "socket table")]
    hint, code = "Is the service running, and on that port? See what listens: lodiag conns -l", "nobody-answers"
    if elsewhere:
        code = "other-namespace" if elsewhere[0].is_near else code
        evidence += [told(f"listens in network namespace {ns}", f"pid {pid}", "/proc") for pid, ns, _ in elsewhere[:3]]
        hint = "Localhost of another namespace is another host: publish the port, or run both in one namespace."
    elif held:
        evidence += [told(f"held ({item.state})", write_end(item), "socket table") for item in held[:MOST_SHOWN]]
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
