"""What need not be asked anew at each reading of a table that is watched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from lodiag.system import System
    from lodiag.system.facts import Holder

MOST_READINGS = 10
"""Readings for which holders are believed at most.

A socket may be handed to another process, by fork(2) or SCM_RIGHTS, or be closed by one of several, and keeps its
inode: only a new search finds that. Ten readings make the search, which takes longer than all else, cost little.
"""


class _Memory:
    """A ``System`` that searches for the holders of sockets only if there may be others than it found last."""

    def __init__(self, system: System) -> None:
        """Know nothing yet."""
        self._system = system
        self._asked: frozenset[int] = frozenset()
        self._holders: Mapping[int, tuple[Holder, ...]] = {}
        self._readings = 0

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever System has
        return getattr(self._system, name)

    def find_holders(self, inodes: Collection[int]) -> Mapping[int, tuple[Holder, ...]]:
        """Find the holders of sockets as ``System.find_holders`` does.

        All are searched for at once: the search looks at every descriptor of every process anyway.
        """
        self._readings += 1
        if self._readings > MOST_READINGS or not self._asked.issuperset(inodes) or self._has_one_ended():
            self._holders = self._system.find_holders(inodes)
            self._asked = frozenset(inodes)
            self._readings = 1
        return self._holders

    def _has_one_ended(self) -> bool:
        pids = {holder.pid for holders in self._holders.values() for holder in holders}
        return any(self._system.describe_process(pid, with_cmdline=False).name is None for pid in pids)


def remember_holders(system: System) -> System:
    """Give a machine as ``system``, which remembers who holds which socket."""
    return cast("System", _Memory(system))
