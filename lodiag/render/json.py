"""The whole report as one JSON document."""

from __future__ import annotations

from itertools import islice
from json.encoder import JSONEncoder, encode_basestring_ascii
from types import NoneType
from typing import TYPE_CHECKING, Any

from lodiag.model import Records, column, names_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lodiag.model import Report

CHUNK = 2048
"""Records written at once."""


def render(report: Report[Any, Any]) -> Iterator[str]:
    """Write the report as the schema has it, in ASCII: no locale can garble it.

    Each key of the report is on a line of its own, and so is each record: whole indentation would take three times as
    long and as much room, and ``jq`` does it.
    """
    lead = "{\n"
    for name in names_of(type(report)):
        value = getattr(report, name)
        yield f'{lead}  "{name}": '
        if name in {"missing", "findings", "records"} and value:
            separator = "[\n    "
            for at in range(0, len(value), CHUNK):
                yield separator + ",\n    ".join(_encode(value[at : at + CHUNK]))
                separator = ",\n    "
            yield "\n  ]"
        else:
            yield _encode([value])[0]
        lead = ",\n"
    yield "\n}\n"


def _encode(values: Sequence[Any]) -> Sequence[str]:
    """Encode values that are alike: those of one field of many records, of which most are of one type.

    A field is encoded for all of them at once, and once for all where it is the same in all; that takes a third of
    the time that making an object of each record would.
    """
    if isinstance(values, Records):
        return _encode_objects(values, names_of(type(values[0])))
    kinds = set(map(type, values))
    if len(kinds) > 1:
        return _encode_by_type(values, kinds)
    (kind,) = kinds
    if kind in _WRITERS:
        return [*map(_WRITERS[kind], values)]
    names = names_of(kind)
    return _encode_objects(values, names) if names else _encode_arrays(values)


_WRITERS: dict[type, Callable[[Any], str]] = {
    NoneType: {None: "null"}.__getitem__,
    bool: {True: "true", False: "false"}.__getitem__,
    int: repr,
    float: JSONEncoder(allow_nan=False).encode,
    str: encode_basestring_ascii,
}


def _encode_by_type(values: Sequence[Any], kinds: set[type]) -> Sequence[str]:
    """Encode the values of each type together, and put them in their places."""
    texts = {kind: iter(_encode([value for value in values if type(value) is kind])) for kind in kinds}
    return [next(texts[type(value)]) for value in values]


def _encode_objects(values: Sequence[Any], names: Sequence[str]) -> Sequence[str]:
    """Encode what has fields; one that is the same in all becomes part of the template."""
    template, varying = [], []
    for name in names:
        found = column(values, name)
        if type(found[0]) is int and set(map(type, found)) == {int}:
            template.append(f'"{name}": %d')
            varying.append(found)
        # Only what is equal to nothing of another type, as 1 is to True, is known to be the same by being equal.
        elif type(found[0]) in {NoneType, str} and found.count(found[0]) == len(found):
            template.append(f'"{name}": {_encode(found[:1])[0].replace("%", "%%")}')
        else:
            template.append(f'"{name}": %s')
            varying.append(_encode(found))
    write = f"{{{', '.join(template)}}}"
    return [write % row for row in zip(*varying, strict=True)] if varying else [write % ()] * len(values)


def _encode_arrays(values: Sequence[Any]) -> Sequence[str]:
    """Encode sequences, of which the parts are alike."""
    parts = [part for value in values for part in value]
    texts = iter(_encode(parts) if parts else ())
    return [f"[{', '.join(islice(texts, len(value)))}]" for value in values]
