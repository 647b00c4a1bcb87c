"""What a client meets that asks for a name and a port, in a sentence."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

from lodiag.judge.services import are_strangers, is_full
from lodiag.judge.who_words import find_shadowed, name_answer, name_owners, sockets_of
from lodiag.targets import is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lodiag.model.who import WhoRecord, WhoSummary
    from lodiag.system.facts import Condition

MOST_HOLDERS = 3
MS_PER_S = 1000


def tell_what_is_met(summary: WhoSummary, records: Sequence[WhoRecord], processes: Mapping[int, Condition]) -> str:
    """Say what a client meets that asks for the name and tries its addresses in the resolver's order.

    Where nobody answers, say what holds the port all the same.
    """
    subject = f"A client that asks for {summary.name}"
    if not summary.resolved:
        return f"{subject} finds no address for it here."
    return f"{subject} {_tell_ways(summary, records, processes)}{'' if summary.answered else _tell_hold(summary)}."


def _tell_hold(summary: WhoSummary) -> str:
    if summary.held:
        states = " or ".join(dict.fromkeys(item.state for item in summary.held))
        names = list(dict.fromkeys(map(name_owners, summary.held)))
        more = f" and {len(names) - MOST_HOLDERS} more" if len(names) > MOST_HOLDERS else ""
        return f"; the port is held ({states}) by {', '.join(names[:MOST_HOLDERS])}{more}"
    wait_ms = summary.time_wait_ms
    return "" if wait_ms is None else f"; the port is held for {-(-wait_ms // MS_PER_S)} s more by TIME_WAIT"


def _tell_ways(summary: WhoSummary, records: Sequence[WhoRecord], processes: Mapping[int, Condition]) -> str:
    """Say it for each protocol by which somebody answers, or for all."""
    protos = list(dict.fromkeys(record.proto for record in records))
    met = {p: {r.address: r for r in records if r.proto == p and r.address in summary.resolved} for p in protos}
    told = {proto: _tell_way(summary, met[proto], processes) for proto in protos}
    for proto in protos:
        elsewhere = [record.address for record in records if record.proto == proto and record.answered]
        if elsewhere and not any(address in met[proto] for address in elsewhere):
            told[proto] += f", though {' and '.join(elsewhere)} would answer"
    answered = [proto for proto in protos if any(r.answered for r in records if r.proto == proto)]
    shown = answered or protos
    if len(set(map(told.get, shown))) == 1:
        return f"by {' or '.join(proto.upper() for proto in shown)} {told[shown[0]]}"
    first, *rest = shown
    return f"by {first.upper()} {told[first]}" + "".join(f"; by {p.upper()} it {told[p]}" for p in rest)


def _tell_way(summary: WhoSummary, met: Mapping[str, WhoRecord], processes: Mapping[int, Condition]) -> str:
    """Say what happens to one that goes from address to address until it is answered."""
    order = summary.resolved
    missed = list(takewhile(lambda address: not (address in met and met[address].answered), order))
    if len(missed) == len(order):
        return " and ".join(_tell_miss(address, met) for address in order)
    first, *rest = order[len(missed) :]
    steps = [*(_tell_miss(address, met) for address in missed), _tell_answer(summary, met[first], processes)]
    own = sockets_of(met[first])
    same = [
        address
        for address in rest
        if address in met and met[address].answered and not are_strangers(own, sockets_of(met[address]), processes)
    ]
    text = ", then ".join(steps) + "".join(f" and at {address} too" for address in same)
    text += ", if it tries that as well" if missed else ""
    others = [address for address in rest if address not in same]
    for address in others:
        is_answered = address in met and met[address].answered
        what = _tell_answer(summary, met[address], processes) if is_answered else _tell_miss(address, met)
        text += f", but one that tries {address} first {what}"
    return text


def _tell_answer(summary: WhoSummary, record: WhoRecord, processes: Mapping[int, Condition]) -> str:
    full = ", whose queue is full," if all(map(is_full, sockets_of(record))) else ""
    shadowed = find_shadowed(summary, record)
    before = [name_owners(item) for item in shadowed if are_strangers(sockets_of(record), [item], processes)]
    shadow = f", before the wildcard of {' and '.join(dict.fromkeys(before))}" if before else ""
    return f"reaches {name_answer(record)}{full} at {record.address}{shadow}"


def _tell_miss(address: str, met: Mapping[str, WhoRecord]) -> str:
    if address not in met:
        return f"leaves the loopback for {address}" if not is_loopback(address) else f"is not followed to {address}"
    return {
        "refused": f"is refused at {address}",
        "no-address": f"cannot reach {address}, which this machine does not have",
        "lo-down": f"cannot reach {address}, because the loopback interface is down",
        "unknown": f"may or may not be answered at {address}, as it is not told whether [::] takes IPv4",
    }[met[address].status]
