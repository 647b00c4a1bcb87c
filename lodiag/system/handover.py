"""Becoming another program."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from errno import ENOENT
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""What a shell exits with for a command that is not there, or cannot be run (POSIX sh 2.8.2)."""


def hand_over(command: Sequence[str], tell: Callable[[str], None]) -> int:
    """Become ``command``, so that its exit status is that of this process; return a status only if that fails."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # one may be closed
            stream.flush()
    try:
        if sys.platform == "win32":  # there, exec begins another process and ends this one at once
            import subprocess

            return subprocess.call([*command])  # noqa: S603 - it is what was asked for
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and what is ignored stays so
        os.execvp(command[0], [*command])  # noqa: S606 - it is what was asked for
    except (OSError, ValueError) as error:
        tell(f"lodiag: error [cannot-run]: {command[0][:200]!r}: {getattr(error, 'strerror', None) or error}")
        return NOT_FOUND if getattr(error, "errno", None) == ENOENT else NOT_EXECUTABLE
    return 0
