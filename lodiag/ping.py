"""Echo probes to loopback addresses: does it answer, how fast, how steadily."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodiag.echo.options import MOST_PROBES, PingOptions
from lodiag.echo.run import PingRun
from lodiag.errors import ConfigError
from lodiag.limits import require_whole

if TYPE_CHECKING:
    from lodiag.model import Report
    from lodiag.model.ping import PingRecord, PingSummary
    from lodiag.system import System


def ping_address(  # noqa: PLR0913 - ping has this many options
    *targets: str,
    count: int | None = None,
    interval_s: float = 0.2,
    flood: bool = False,
    preload: int | None = None,
    timeout_s: float = 1.0,
    deadline_s: float | None = None,
    size_bytes: int = 56,
    ttl: int | None = None,
    source_address: str | None = None,
    family: str | None = None,
    method: str = "auto",
    clock: str = "auto",
    max_loss_ratio: float | None = None,
    max_rtt_ms: float | None = None,
    once: bool = False,
    reachable: int | None = None,
    system: System | None = None,
) -> Report[PingRecord, PingSummary]:
    """Ping loopback addresses side by side and report what each answered.

    Args:
        *targets: Names and addresses; a name stands for every loopback address that it resolves to.
        count: Probes per address, at least 1 here; by default 4, or with a deadline as many as fit.
        interval_s: See ``PingOptions``, as for all that follow.
        flood: Whether to send in bursts without a pause; it needs a count or a deadline here.
        preload: Probes to have under way at once.
        timeout_s: Seconds after which a probe counts as lost.
        deadline_s: Seconds after which the whole run ends.
        size_bytes: Bytes of payload.
        ttl: TTL or hop limit of the probes.
        source_address: Loopback address to send from.
        family: ``ipv4``, ``ipv6``, or ``None`` for both.
        method: ``auto``, ``icmp`` or ``udp``.
        clock: ``auto``, ``kernel``, ``kernel-rx`` or ``user``.
        max_loss_ratio: Loss above which the run fails, 0 to 1.
        max_rtt_ms: Round trip above which the run fails.
        once: Whether an address is probed no more once it has answered.
        reachable: So many addresses are to answer; with ``once`` the run ends then.
        system: The machine; a test's own stands in for it.

    Returns:
        A report with one ``PingRecord`` per address, in the order of the arguments.

    Raises:
        TargetError: A target is malformed, unknown, or not on the loopback; nothing was sent.
        ConfigError: An option is out of range; nothing was sent.
        PrivilegeError: Every method was refused; nothing was sent.
        UnsupportedError: The clock that was asked for is not to be had; nothing was sent.

    """
    if count is not None:
        require_whole("count", count, 1, MOST_PROBES)
    elif flood and deadline_s is None:
        message = "a flood needs a count or a deadline"
        raise ConfigError(message)
    options = PingOptions(
        count=count,
        interval_s=interval_s,
        flood=flood,
        preload=preload,
        timeout_s=timeout_s,
        deadline_s=deadline_s,
        size_bytes=size_bytes,
        ttl=ttl,
        source_address=source_address,
        family=family,
        method=method,
        clock=clock,
        max_loss_ratio=max_loss_ratio,
        max_rtt_ms=max_rtt_ms,
        once=once,
        reachable=reachable,
    )
    run = PingRun(targets or ("localhost",), options, system)
    for _ in run:
        pass
    return run.report()
