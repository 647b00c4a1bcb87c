"""Our dataclasses are what the standard library's are: each test is of both."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import sys
import typing
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from lodiag import dataclass as ours
from lodiag.echo.options import PingOptions

if TYPE_CHECKING:
    from types import ModuleType


class Kinds(NamedTuple):
    """Classes that were made by one of the two."""

    module: ModuleType
    point: Any
    named: Any
    plain: Any
    checked: Any


def make_kinds(module: ModuleType) -> Kinds:
    @module.dataclass(frozen=True, slots=True)
    class Point:
        """A point."""

        x: int
        y: int = 7

    @module.dataclass(frozen=True, slots=True, kw_only=True)
    class Named(Point):
        """With more fields."""

        name: str = module.field(metadata={"meaning": "What it is called."})

    @module.dataclass(slots=True)
    class Plain:
        """Not frozen."""

        values: list[int] = module.field(default_factory=list)

    @module.dataclass(frozen=True, slots=True, kw_only=True)
    class Checked:
        """Refuses what is below zero."""

        size: int

        def __post_init__(self) -> None:
            if self.size < 0:
                raise ValueError

    return Kinds(module, Point, Named, Plain, Checked)


@pytest.fixture(params=[ours, dataclasses], ids=lambda module: module.__name__)
def kinds(request: pytest.FixtureRequest) -> Kinds:
    return make_kinds(request.param)


def test_equal_values_make_equal_instances(kinds: Kinds) -> None:
    assert kinds.point(1) == kinds.point(x=1, y=7)
    assert hash(kinds.point(1)) == hash(kinds.point(1, 7))
    assert kinds.point(1) != kinds.point(2)
    assert kinds.point(1, 7) != (1, 7)
    assert kinds.point(1) != kinds.named(x=1, name="a")


def test_it_shows_its_values(kinds: Kinds) -> None:
    assert repr(kinds.named(x=1, name="a")).endswith("Named(x=1, y=7, name='a')")


def test_what_is_frozen_stays_as_it_is(kinds: Kinds) -> None:
    point = kinds.point(1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        point.x = 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        del point.x
    assert point.x == 1


def test_what_is_not_frozen_has_values_of_its_own_and_no_hash(kinds: Kinds) -> None:
    first, second = kinds.plain(), kinds.plain()
    first.values.append(1)
    first.values += [2]
    assert (first.values, second.values) == ([1, 2], [])
    assert kinds.plain.__hash__ is None


@pytest.mark.parametrize(("arguments", "values"), [((), {}), ((1, 2, 3), {}), ((1,), {"z": 1})])
def test_wrong_arguments_are_refused(kinds: Kinds, arguments: tuple[int, ...], values: dict[str, int]) -> None:
    for _ in range(2):
        with pytest.raises(TypeError, match=r"Point\.__init__\(\)"):
            kinds.point(*arguments, **values)


def test_fields_of_keywords_are_given_by_name(kinds: Kinds) -> None:
    with pytest.raises(TypeError):
        kinds.named(1, 2, "a")


def test_there_is_room_for_fields_alone(kinds: Kinds) -> None:
    assert not hasattr(kinds.named(x=1, name="a"), "__dict__")


def test_a_change_is_checked_as_the_first_values_are(kinds: Kinds) -> None:
    checked = kinds.checked(size=1)
    assert kinds.module.replace(checked, size=2).size == 2
    with pytest.raises(ValueError, match=r"^$"):
        kinds.module.replace(checked, size=-1)


def test_a_field_of_any_name_can_be_changed(kinds: Kinds) -> None:
    @kinds.module.dataclass(frozen=True, slots=True)
    class Evidence:
        """With a field that has the name of an argument."""

        value: int = 1

    assert kinds.module.replace(Evidence(), value=2).value == 2


def test_a_pattern_takes_it_apart(kinds: Kinds) -> None:
    match kinds.named(1, 2, name="a"):
        case kinds.named(x, y, name=name):
            assert (x, y, name) == (1, 2, "a")
        case _:
            pytest.fail("no pattern is like it")


@pytest.mark.skipif(sys.version_info < (3, 13), reason="copy.replace came with Python 3.13")
def test_a_copy_with_changes_is_checked_too(kinds: Kinds) -> None:
    make = vars(copy)["replace"]
    assert make(kinds.checked(size=1), size=2) == kinds.checked(size=2)
    with pytest.raises(ValueError, match=r"^$"):
        make(kinds.checked(size=1), size=-1)


def test_types_of_fields_are_found(kinds: Kinds) -> None:
    assert typing.get_type_hints(kinds.named) == {"x": int, "y": int, "name": str}
    assert [item.type for item in kinds.module.fields(kinds.named)] == ["int", "int", "str"]


def test_copies_are_equal(kinds: Kinds) -> None:
    plain = kinds.plain([[1]])
    deep, flat = copy.deepcopy(plain), copy.copy(plain)
    assert deep == flat == plain
    assert deep.values is not plain.values is flat.values


def test_fields_are_told_in_order_with_what_was_said_of_them(kinds: Kinds) -> None:
    assert [item.name for item in kinds.module.fields(kinds.named)] == ["x", "y", "name"]
    assert kinds.module.fields(kinds.named)[2].metadata["meaning"] == "What it is called."
    assert kinds.module.is_dataclass(kinds.named)
    assert not kinds.module.is_dataclass(int)


def test_the_standard_library_takes_it_for_one_of_its_own(kinds: Kinds) -> None:
    named = kinds.named(x=1, name="a")
    assert dataclasses.asdict(named) == {"x": 1, "y": 7, "name": "a"}
    assert dataclasses.replace(named, y=8) == kinds.named(x=1, y=8, name="a")
    assert dataclasses.fields(kinds.named)[2].metadata["meaning"] == "What it is called."
    assert [*inspect.signature(kinds.named).parameters] == ["x", "y", "name"]


def test_it_can_be_pickled() -> None:
    options = PingOptions(count=3)
    assert pickle.loads(pickle.dumps(options)) == options  # noqa: S301 - what was written just before
