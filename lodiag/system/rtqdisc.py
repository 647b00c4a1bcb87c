"""Bytes of Linux's rtnetlink: what queues the packets of an interface; no input or output.

Sources: Linux's include/uapi/linux/rtnetlink.h, pkt_sched.h and gen_stats.h. See ``rtnetlink`` for the conventions.
"""

from __future__ import annotations

import struct
from socket import AF_UNSPEC
from typing import TYPE_CHECKING, Any

from lodiag.model.net import Qdisc
from lodiag.system.nlmsg import NLM_F_ACK, NLM_F_DUMP, decode_attributes, encode
from lodiag.system.rtnetlink import number, text

if TYPE_CHECKING:
    from collections.abc import Callable

RTM_NEWQDISC, RTM_DELQDISC, RTM_GETQDISC = 36, 37, 38
QDISC = struct.Struct("=BxxxiIII")
"""struct tcmsg: family, index of the interface, handle, parent, info"""
TCA_KIND, TCA_OPTIONS, TCA_STATS2 = 1, 2, 7
TC_H_ROOT = 0xFFFFFFFF
TCA_STATS_QUEUE = 3
QUEUE = struct.Struct("=IIIII")
"""struct gnet_stats_queue: length, backlog, drops, requeues, overlimits"""

TCA_TBF_PARMS, TCA_TBF_RATE64 = 1, 4
TBF = struct.Struct("=8xI12xI")
"""Of struct tc_tbf_qopt: bytes a second, the limit of the queue in bytes."""
NETEM = struct.Struct("=4xII4xI4x")
"""Of struct tc_netem_qopt: the limit of the queue in packets, and the shares that are lost and doubled."""
TCA_NETEM_REORDER, TCA_NETEM_CORRUPT, TCA_NETEM_RATE = 3, 4, 6
TCA_NETEM_RATE64, TCA_NETEM_LATENCY64, TCA_NETEM_JITTER64 = 8, 10, 11
NS_PER_MS = 1_000_000
WHOLE = 0xFFFFFFFF
"""A share of 1."""
BITS_PER_BYTE = 8
FIFOS = frozenset({"pfifo", "bfifo", "pfifo_head_drop"})


def encode_qdiscs() -> bytes:
    """Ask for what queues the packets of all interfaces."""
    return encode(RTM_GETQDISC, NLM_F_DUMP, QDISC.pack(AF_UNSPEC, 0, 0, 0, 0))


def encode_no_qdisc(index: int) -> bytes:
    """Ask to take away what queues the packets of an interface; the kernel puts back what is there by default."""
    return encode(RTM_DELQDISC, NLM_F_ACK, QDISC.pack(AF_UNSPEC, index, 0, TC_H_ROOT, 0))


def decode_qdisc(payload: bytes, name: Callable[[int], str | None]) -> Qdisc | None:
    """Decode what RTM_NEWQDISC tells; ``None`` if it is cut short. ``name`` names an interface by its index."""
    if len(payload) < QDISC.size:
        return None
    _, index, _, parent, _ = QDISC.unpack_from(payload)
    told = decode_attributes(payload[QDISC.size :])
    kind = text(told.get(TCA_KIND, b""))
    known: dict[str, Any] = dict.fromkeys(Qdisc._fields)
    known |= {"dev": name(index) or str(index), "kind": kind, "root": parent == TC_H_ROOT}
    queue = decode_attributes(told.get(TCA_STATS2, b"")).get(TCA_STATS_QUEUE, b"")
    if len(queue) >= QUEUE.size:
        _, known["backlog_bytes"], known["drops"], _, known["overlimits"] = QUEUE.unpack_from(queue)
    options = told.get(TCA_OPTIONS, b"")
    if kind == "tbf":
        known |= _decode_tbf(decode_attributes(options))
    elif kind == "netem":
        known |= _decode_netem(options)
    elif kind in FIFOS:
        known["limit"] = number(options)
    return Qdisc(**known)


def _decode_tbf(told: dict[int, bytes]) -> dict[str, Any]:
    shape = told.get(TCA_TBF_PARMS, b"")
    if len(shape) < TBF.size:
        return {}
    rate, limit = TBF.unpack_from(shape)
    rate = number(told.get(TCA_TBF_RATE64)) or rate
    return {"rate_bps": rate * BITS_PER_BYTE, "limit": limit}


def _decode_netem(options: bytes) -> dict[str, Any]:
    if len(options) < NETEM.size:
        return {}
    limit, loss, duplicate = NETEM.unpack_from(options)
    told = decode_attributes(options[NETEM.size :])
    delay, jitter = (number(told.get(key)) for key in (TCA_NETEM_LATENCY64, TCA_NETEM_JITTER64))
    rate = number(told.get(TCA_NETEM_RATE64)) or number(told.get(TCA_NETEM_RATE, b"")[:4])
    reorder, corrupt = (number(told.get(key, b"")[:4]) for key in (TCA_NETEM_REORDER, TCA_NETEM_CORRUPT))
    return {
        "limit": limit,
        "loss_ratio": loss / WHOLE,
        "duplicate_ratio": duplicate / WHOLE,
        "delay_ms": None if delay is None else delay / NS_PER_MS,
        "jitter_ms": None if jitter is None else jitter / NS_PER_MS,
        "rate_bps": rate * BITS_PER_BYTE if rate else None,
        "reorder_ratio": None if reorder is None else reorder / WHOLE,
        "corrupt_ratio": None if corrupt is None else corrupt / WHOLE,
    }
