"""Opening ICMP sockets: icmplib knows what the systems differ in. On Linux it does no more than what is here.

There it is left alone all the same, because loading it takes longer than the usual run of ping.
"""

from __future__ import annotations

import socket
import sys

from lodiag.system.sockopts import open_socket, translate_open_error

KINDS = {"icmp-raw": socket.SOCK_RAW, "icmp-datagram": socket.SOCK_DGRAM}


def open_icmp_socket(family: str, method: str, source: str | None) -> socket.socket:
    """Open a non-blocking socket bound to ``source``; ``MethodRefusedError`` or ``SendError``."""
    if sys.platform == "linux":
        proto = socket.IPPROTO_ICMP if family == "ipv4" else socket.IPPROTO_ICMPV6
        return open_socket(family, KINDS[method], source, proto)
    return _open_by_icmplib(family, method, source)


def _open_by_icmplib(family: str, method: str, source: str | None) -> socket.socket:
    from icmplib import ICMPv4Socket, ICMPv6Socket
    from icmplib.exceptions import ICMPSocketError

    kind = ICMPv4Socket if family == "ipv4" else ICMPv6Socket
    try:
        opened = kind(address=source, privileged=method == "icmp-raw")
    except ICMPSocketError as error:
        cause = error.__context__
        raise translate_open_error(cause if isinstance(cause, OSError) else OSError(str(error))) from error
    sock = socket.socket(fileno=opened.sock.detach())  # icmplib would close it with its own object
    sock.settimeout(0)
    return sock
