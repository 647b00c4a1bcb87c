"""Graphviz, which draws graphs: the program ``dot``, where it is installed."""

from __future__ import annotations

import shutil
import subprocess

from lodiag.errors import UnsupportedError

PROGRAM = "dot"
WAIT_S = 60
HINT = "Install Graphviz (the package is called graphviz), or draw elsewhere what --format dot prints."


def find() -> str:
    """Path of the program; ``UnsupportedError`` if there is none."""
    path = shutil.which(PROGRAM)
    if path is None:
        message = "an SVG is drawn by Graphviz, and its program dot is not installed"
        raise UnsupportedError(message, HINT)
    return path


def draw(graph: str, wait_s: float = WAIT_S) -> str:
    """Draw a graph, given in Graphviz's language, as SVG; ``UnsupportedError`` if that fails."""
    try:
        done = subprocess.run(  # noqa: S603 - the graph is its standard input, and nothing of it an argument
            [find(), "-Tsvg"], input=graph.encode(), capture_output=True, timeout=wait_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        message = f"Graphviz did not draw the graph within {wait_s:g} seconds"
        raise UnsupportedError(message, "Draw less of it, by --port or --process, or take --format dot.") from error
    except OSError as error:
        message = f"Graphviz cannot be run: {error.strerror}"
        raise UnsupportedError(message, HINT) from error
    if done.returncode or not done.stdout:
        reason = done.stderr.decode("utf-8", "replace").strip().partition("\n")[0]
        message = f"Graphviz did not draw the graph: {reason[:200] or f'its status is {done.returncode}'}"
        raise UnsupportedError(message, "Take --format dot, and draw it elsewhere.")
    return done.stdout.decode("utf-8")
