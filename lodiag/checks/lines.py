"""Where in a TOML file something stands: tomllib tells what a file says, not on which line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_NAME = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_NAME})\s*\]\]?")
_KEY = re.compile(rf"\s*({_NAME})\s*=")
_TOKEN = re.compile(r'"""|\'\'\'|"(?:[^"\\]|\\.)*"|\'[^\']*\'|#.*|[\[{]|[\]}]')
_OPEN, _CLOSE = frozenset("[{"), frozenset("]}")


def find_line(text: str, place: Sequence[str | int]) -> int | None:
    """Line of a place: names of tables, places (from 0) in arrays of them, and a key. ``None`` if it is not there.

    A key that stands within an inline table is found by the line of that table, and what has no line of its own by that
    of what it is in.
    """
    best, within = 0, None
    for path, line in _list_places(text):
        if path == tuple(place[: len(path)]) and len(path) > best:
            best, within = len(path), line
        elif within is None and tuple(place) == path[: len(place)]:
            within = line  # a table that has no line of its own begins with the first thing in it
    return within


def _list_places(text: str) -> Iterator[tuple[tuple[str | int, ...], int]]:
    """Give each header and each key with its line."""
    table: tuple[str | int, ...] = ()
    counts: dict[tuple[str | int, ...], int] = {}
    for number, line in _list_first_lines(text):
        if header := _HEADER.match(line):
            table = _enter(_split(header[2]), counts, is_array=header[1] == "[[")
            yield table, number
        elif key := _KEY.match(line):
            yield (*table, *_split(key[1])), number


def _enter(names: Sequence[str], counts: dict[tuple[str | int, ...], int], *, is_array: bool) -> tuple[str | int, ...]:
    """Path of a table, with the place of each array that it goes through."""
    path: tuple[str | int, ...] = ()
    for name in names[:-1]:
        path = (*path, name)
        if path in counts:
            path = (*path, counts[path])
    path = (*path, names[-1])
    if is_array:
        counts[path] = counts.get(path, -1) + 1
        path = (*path, counts[path])
    return path


def _split(name: str) -> list[str]:
    return [part.strip("\"'") for part in re.findall(_PART, name)]


def _list_first_lines(text: str) -> Iterator[tuple[int, str]]:
    """Give the lines that may begin a header or a key, with their numbers: those outside of texts and lists."""
    quote, depth = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if not quote and not depth:
            yield number, line
        is_header = not quote and not depth and _HEADER.match(line)
        at = 0
        while not is_header and at < len(line):
            if quote:
                end = line.find(quote, at)
                if end < 0:
                    break
                at, quote = end + 3, ""
                continue
            token = _TOKEN.search(line, at)
            if token is None:
                break
            at = token.end()
            if token[0] in {'"""', "'''"}:
                quote = token[0]
            else:
                depth = max(depth + (token[0] in _OPEN) - (token[0] in _CLOSE), 0)
