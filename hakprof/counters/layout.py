"""What the words of a counter file mean: axes, counters, gauges, and where each lies.

Every dump carries its layout as JSON, so that a reader of another version understands it:

    {"schema":"hakmem","version":1,"hash":"5f...","axes":{"class":96,"stage":["spare",...]},
     "counters":[["cache_hit",["class"]],...],"gauges":[["superslab_live",[]],...]}

A counter is a row-major array of 64-bit words over its axes; counters follow one another.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hakprof.errors import InputError
from hakprof.schema import Counter, Schema

MAX_WORDS = 1 << 20
"""More than any schema will have; a file that claims more is hostile."""


@dataclass(frozen=True, slots=True)
class Axis:
    """What a counter is split by; `members` is empty where they are only numbers."""

    name: str
    size: int
    members: tuple[str, ...] = ()

    def label(self, index: int) -> str:
        """The name of one member."""
        return self.members[index] if self.members else str(index)


@dataclass(frozen=True, slots=True)
class Field:
    """One counter or gauge: its words are `[word, word + size)`."""

    name: str
    axes: tuple[Axis, ...]
    word: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis, outermost first."""
        return tuple(axis.size for axis in self.axes)

    @property
    def size(self) -> int:
        """How many words it has."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each counter of a thread and each gauge of the process lies."""

    schema: str
    version: int
    axes: Mapping[str, Axis]
    counters: Mapping[str, Field]
    gauges: Mapping[str, Field]

    @property
    def counter_words(self) -> int:
        """Words of one thread."""
        return sum(field.size for field in self.counters.values())

    @property
    def gauge_words(self) -> int:
        """Words of the process."""
        return sum(field.size for field in self.gauges.values())

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that two equal layouts share."""
        text = json.dumps(self._body(), separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def document(self) -> dict[str, Any]:
        """The layout as it is written into a dump."""
        return {
            "schema": self.schema,
            "version": self.version,
            "hash": self.digest,
            **self._body(),
        }

    def _body(self) -> dict[str, Any]:
        return {
            "axes": {a.name: list(a.members) or a.size for a in self.axes.values()},
            "counters": [[f.name, [a.name for a in f.axes]] for f in self.counters.values()],
            "gauges": [[f.name, [a.name for a in f.axes]] for f in self.gauges.values()],
        }


def layout_of(schema: Schema) -> Layout:
    """The layout that a schema describes. Raises InputError."""
    rows = schema.counters.values()
    return _build(
        schema=schema.name,
        version=schema.version,
        axes={name: _axis_rows(row) for name, row in schema.extra.get("axis", {}).items()},
        counters=[(row.name, row.extra.get("by", [])) for row in rows if not is_gauge(row)],
        gauges=[
            pair
            for row in sorted(filter(is_gauge, rows), key=is_looked_up)  # these are the last
            for pair in _gauge_rows(row)
        ],
    )


def is_gauge(counter: Counter) -> bool:
    """Whether it goes up and down for the process instead of growing for each thread."""
    return bool(counter.extra.get("gauge", False))


def is_looked_up(counter: Counter) -> bool:
    """Whether it is a gauge that is found by walking the heap, at the end of the process."""
    return bool(counter.extra.get("look", False))


def _gauge_rows(row: Counter) -> Iterable[tuple[str, list[str]]]:
    by = row.extra.get("by", [])
    yield row.name, by
    if row.extra.get("peak", False):
        yield f"{row.name}_peak", by


def _axis_rows(row: Mapping[str, Any]) -> object:
    return list(row["members"]) if "members" in row else row.get("size")


def parse_layout(document: object) -> Layout:
    """The layout that a dump carries. Raises InputError if it makes no sense."""
    if not isinstance(document, dict):
        raise InputError("the layout is no JSON object")
    axes = document.get("axes")
    if not isinstance(axes, dict):
        raise InputError("the layout has no axes")
    version = document.get("version")
    return _build(
        schema=str(document.get("schema", ""))[:64],
        version=version if isinstance(version, int) else 0,
        axes=axes,
        counters=_pairs(document.get("counters")),
        gauges=_pairs(document.get("gauges")),
    )


def _pairs(rows: object) -> list[tuple[str, list[str]]]:
    if not isinstance(rows, list):
        raise InputError("the layout lists no counters")
    for row in rows:
        match row:
            case [str(), [*axes]] if all(isinstance(name, str) for name in axes):
                continue
        raise InputError(f"the layout has a strange counter, {row!r:.80}")
    return [(name, axes) for name, axes in rows]


def _build(
    *,
    schema: str,
    version: int,
    axes: Mapping[str, object],
    counters: list[tuple[str, list[str]]],
    gauges: list[tuple[str, list[str]]],
) -> Layout:
    known = {name: _axis(name, value) for name, value in axes.items()}
    return Layout(
        schema=schema,
        version=version,
        axes=known,
        counters=_place(counters, known),
        gauges=_place(gauges, known),
    )


def _axis(name: str, value: object) -> Axis:
    match value:
        case int() if 0 < value <= MAX_WORDS:
            return Axis(name, value)
        case [*members] if members:
            names = tuple(member for member in members if isinstance(member, str))
            if len(set(names)) == len(members):
                return Axis(name, len(names), names)
    raise InputError(f"axis {name:.64} has no usable size")


def _place(rows: list[tuple[str, list[str]]], axes: Mapping[str, Axis]) -> dict[str, Field]:
    placed: dict[str, Field] = {}
    word = 0
    for name, by in rows:
        if name in placed:
            raise InputError(f"counter {name:.64} appears twice")
        unknown = [axis for axis in by if axis not in axes]
        if unknown:
            raise InputError(f"counter {name:.64} is split by an unknown axis, {unknown[0]:.64}")
        placed[name] = Field(name, tuple(axes[axis] for axis in by), word)
        word += placed[name].size
        if word > MAX_WORDS:
            raise InputError(f"the layout claims more than {MAX_WORDS} words")
    return placed
