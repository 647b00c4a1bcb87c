"""A ``lodiag conns --watch``, or ``trace --watch``, that runs beside the test, whose output is read as it comes."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Self

from running import environment

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_S = 30.0
"""How long what must come is waited for; on an idle machine it takes a tenth of a second."""


class Watcher:
    """The process, and the end of its standard output that the test reads."""

    def __init__(
        self,
        *arguments: str,
        pipe: tuple[int, int] | None = None,
        env: dict[str, str] | None = None,
        prefix: tuple[str, ...] = (),
        command: str = "conns",
    ) -> None:
        """Start the command with these arguments; ``pipe`` is where to read and to write, by default a pipe."""
        self.reader, writer = pipe or os.pipe()
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "lodiag", command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=writer,
            stderr=subprocess.PIPE,
            env=env or environment(),
            cwd="/",
        )
        os.close(writer)
        self.text = ""
        self.lines: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        """Give this watcher."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave no process behind."""
        self.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def close(self) -> None:
        """Stop reading."""
        if self.reader >= 0:
            os.close(self.reader)
            self.reader = -1

    def read(self) -> bool:
        """Read what is there, or wait for some of it; false at the end."""
        ready, _, _ = select.select([self.reader], [], [], PATIENCE_S)
        assert ready, f"nothing came: {self.text[-2000:]}"
        try:
            piece = os.read(self.reader, 65536)
        except OSError:  # so ends what a terminal's other end closed
            return False
        self.text += piece.decode()
        return bool(piece)

    def await_text(self, is_there: Callable[[str], object]) -> None:
        """Read until the text so far is such."""
        patience = time.monotonic() + PATIENCE_S
        while not is_there(self.text):
            assert time.monotonic() < patience, self.text[-2000:]
            assert self.read(), self.text[-2000:]

    def await_line(self, is_wanted: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """Read until a line comes that was not asked for yet and is such; those before it are in ``lines``."""
        patience = time.monotonic() + PATIENCE_S
        while True:
            while "\n" in self.text:
                line, _, self.text = self.text.partition("\n")
                self.lines.append(json.loads(line))
                if is_wanted(self.lines[-1]):
                    return self.lines[-1]
            assert time.monotonic() < patience, self.lines[-5:]
            assert self.read(), self.process.communicate()

    def end(self) -> tuple[int, str]:
        """Wait for its end: exit status and what it said on standard error."""
        _, said = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, said.decode()
