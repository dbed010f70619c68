"""Frozen records to JSON values and back, driven by their type hints.

What goes in comes out equal. On the way back every value is checked against its type: text from a
file becomes a record only here, and a broken file is an InputError that names the place.
"""

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Hashable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar, cast

from hakprof.errors import InputError

Json = Any
"""dict, list, str, int, float, bool or None, as the json module knows them."""

T = TypeVar("T")


def to_json(value: object) -> Json:
    """Plain JSON values; the fields of a record in the order of its class. Refuses NaN."""
    if dataclasses.is_dataclass(value):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    if isinstance(value, frozenset):
        return sorted(to_json(item) for item in value)
    if isinstance(value, Path | Enum):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} cannot be written as JSON")
    return value


def from_json(cls: type[T], data: Json, where: str = "") -> T:
    """The record of class `cls` that `data` holds. Unknown keys are ignored.

    Raises InputError naming the place (`columns[0].figures[3].unit`) where `data` does not fit.
    """
    if not isinstance(data, dict):
        raise _misfit(where, "an object", data)
    values = {}
    for name, (kind, required) in _fields(cast("Hashable", cls)).items():
        if name in data:
            values[name] = _value(kind, data[name], f"{where}.{name}" if where else name)
        elif required:
            raise InputError(f"{where or 'the document'} lacks {name!r}")
    return cls(**values)


@functools.cache
def _fields(cls: Hashable) -> dict[str, tuple[Any, bool]]:
    """Field name -> (resolved type, has no default)."""
    hints = typing.get_type_hints(cls)
    missing = dataclasses.MISSING
    return {
        f.name: (hints[f.name], f.default is missing and f.default_factory is missing)
        for f in dataclasses.fields(cast("Any", cls))
    }


def _value(kind: Any, data: Json, where: str) -> object:  # noqa: ANN401 (a type form has no type)
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin in {types.UnionType, typing.Union}:
        return _union(parts, data, where)
    if origin is tuple:
        return _tuple(parts, data, where)
    if origin is frozenset:
        return frozenset(_tuple((parts[0], ...), data, where))
    if origin is Mapping:
        if not isinstance(data, dict):
            raise _misfit(where, "an object", data)
        return {key: _value(parts[1], item, f"{where}.{key}") for key, item in data.items()}
    if dataclasses.is_dataclass(kind):
        return from_json(cast("type", kind), data, where)
    return _scalar(kind, data, where)


def _union(parts: tuple[Any, ...], data: Json, where: str) -> object:
    """The first member of the union that `data` fits."""
    problem: InputError | None = None
    for part in parts:
        try:
            return _value(part, data, where)
        except InputError as error:
            problem = error
    raise problem or _misfit(where, "a value", data)


def _tuple(parts: tuple[Any, ...], data: Json, where: str) -> tuple[object, ...]:
    if not isinstance(data, list):
        raise _misfit(where, "a list", data)
    if parts[-1] is Ellipsis:
        parts = (parts[0],) * len(data)
    if len(parts) != len(data):
        raise _misfit(where, f"a list of {len(parts)}", data)
    pairs = enumerate(zip(parts, data, strict=True))
    return tuple(_value(part, item, f"{where}[{i}]") for i, (part, item) in pairs)


def _scalar(kind: Any, data: Json, where: str) -> object:  # noqa: ANN401 (a type form has no type)
    if kind is types.NoneType and data is None:
        return None
    if kind is float and type(data) in {int, float} and math.isfinite(data):
        return float(data)
    if kind in {int, bool, str} and type(data) is kind:
        return data
    if kind is Path and isinstance(data, str):
        return Path(data)
    if isinstance(kind, type) and issubclass(kind, Enum) and isinstance(data, str):
        try:
            return kind(data)
        except ValueError:
            raise _misfit(where, f"one of {', '.join(map(str, kind))}", data) from None
    raise _misfit(where, getattr(kind, "__name__", str(kind)), data)


def _misfit(where: str, wanted: str, data: Json) -> InputError:
    shown = repr(data)
    return InputError(f"{where or 'the document'} should be {wanted}, is {shown[:60]}")
