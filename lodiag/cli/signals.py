"""What signals do to a ping under way."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from lodiag.cli.output import tell

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

    from lodiag.model.ping import PingRecord


class _Run(Protocol):
    """What is under way."""

    @property
    def records(self) -> Sequence[PingRecord]:
        """How it stands."""
        ...

    def stop(self) -> None:
        """End it before its next step."""
        ...


@contextmanager
def stopping(ping_run: _Run) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the run between two steps: as with ping(8), what was measured is the result.

    An exception in the midst of a step would lose a probe. The second signal raises one all the same.
    """
    usual = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}
    caught = [name for name, handler in usual.items() if handler not in {None, signal.SIG_IGN}]

    def restore() -> None:
        for name in caught:
            signal.signal(name, usual[name])

    def stop(_number: int, _frame: FrameType | None) -> None:
        ping_run.stop()
        restore()

    for name in caught:
        signal.signal(name, stop)
    try:
        yield
    finally:
        restore()


@contextmanager
def telling(ping_run: _Run, *, quietly: bool = False) -> Iterator[None]:
    r"""Let Ctrl-\\ tell on standard error how far the run is, as with ping(8); it goes on.

    ``quietly`` tells nothing, where all is on the screen anyway, but does not let the signal end the run either.
    """
    number = getattr(signal, "SIGQUIT", None)
    usual = signal.getsignal(number) if number is not None else None
    if number is None or usual in {None, signal.SIG_IGN}:
        yield
        return

    def tell_all(_number: int, _frame: FrameType | None) -> None:
        from lodiag.render.interim import render_interim

        for line in () if quietly else render_interim(ping_run.records):
            tell(line)

    signal.signal(number, tell_all)
    try:
        yield
    finally:
        signal.signal(number, usual)
