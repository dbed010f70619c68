"""Reads the JSON document that hakmem writes at exit and on demand (core/src/counters_dump.c).

It is read member by member, so that of a document that is cut short everything up to the cut is
there.
"""

import json
import math
import re
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hakprof.counters.dump import Dump, State, Thread, Words
from hakprof.counters.layout import Axis, Field, Layout, parse_layout
from hakprof.errors import InputError

BLANK = re.compile(r"[ \t\r\n]*")
FORMAT = 1
FINISHED = 2
MAX_COUNT = 2**64 - 1
MAX_DIGITS = 7  # of a number on an axis
MAX_PROBLEMS = 20  # more of them say nothing new
DECODER = json.JSONDecoder()


def parse_document(text: str, source: str) -> tuple[Dump, str]:
    """The first document of `text`, and what follows it (a descriptor may receive several)."""
    problems: list[str] = []
    members, end = _members(text, problems)
    if "hakmem_counters" not in members:
        raise InputError("not a counter document")
    if members["hakmem_counters"] != FORMAT:
        raise InputError(
            f"document format {members['hakmem_counters']!r:.20}, this hakprof reads {FORMAT}",
            advice="read it with the hakprof that came with this hakmem",
        )
    layout = parse_layout(members.get("layout"))
    filler = _Filler(layout, problems)
    info = members.get("info")
    dump = Dump(
        source=source,
        layout=layout,
        state=State.FINISHED if members.get("state") == FINISHED else State.RUNNING,
        pid=_number(members, "pid"),
        parent_pid=_number(members, "parent_pid"),
        started_ns=_number(members, "started_ns"),
        written_ns=_number(members, "written_ns"),
        threads_ended=_number(members, "threads_ended"),
        threads_lost=_number(members, "threads_lost"),
        threads_sharing=_number(members, "threads_sharing"),
        info=info if isinstance(info, dict) else {},
        gauges=filler.gauges(members.get("gauges")),
        base=filler.counts(members.get("base")),
        ended=filler.counts(members.get("ended")),
        threads=filler.threads(members.get("threads")),
        problems=tuple(problems),
    )
    return dump, text[end:].lstrip()


def _members(text: str, problems: list[str]) -> tuple[dict[str, Any], int]:
    """The members of the outermost object, as far as they can be read, and where it ends."""
    members: dict[str, Any] = {}
    at = _skip(text, 0)
    if not text.startswith("{", at):
        raise InputError("not a counter document")
    name = ""
    try:
        while not text.startswith("}", at):
            name, at = DECODER.raw_decode(text, _skip(text, at + 1))
            at = _skip(text, at)
            if not isinstance(name, str) or not text.startswith(":", at):
                raise ValueError("no member")  # noqa: TRY301 # one place says where it broke
            if name == "threads":
                members[name] = []
                at = _elements(text, _skip(text, at + 1), members[name])
            else:
                members[name], at = DECODER.raw_decode(text, _skip(text, at + 1))
            at = _skip(text, at)
            if not text.startswith((",", "}"), at):
                raise ValueError("no end")  # noqa: TRY301
    except (ValueError, RecursionError):
        problems.append(f"cut short or damaged in {name!r:.40}, byte {at}")
        return members, len(text)
    return members, at + 1


def _elements(text: str, at: int, into: list[Any]) -> int:
    """Append the elements of the array at `at` one by one; the place after it."""
    if not text.startswith("[", at):
        raise ValueError("no array")
    at = _skip(text, at + 1)
    while not text.startswith("]", at):
        element, at = DECODER.raw_decode(text, at)
        into.append(element)
        at = _skip(text, at)
        if text.startswith(",", at):
            at = _skip(text, at + 1)
    return at + 1


def _skip(text: str, at: int) -> int:
    match = BLANK.match(text, at)
    return match.end() if match else at


def _number(members: Mapping[str, Any], name: str) -> int:
    value = members.get(name)
    return value if isinstance(value, int) and 0 <= value <= MAX_COUNT else 0


@dataclass(frozen=True, slots=True)
class _Filler:
    """Puts trees of names and numbers to the words of a layout; what does not fit is a problem."""

    layout: Layout
    problems: list[str]
    places: dict[tuple[str, str], int | None] = field(default_factory=dict)
    """(axis, label) -> index, of the labels that were met"""

    def gauges(self, tree: object) -> Words:
        return self._words(tree, self.layout.gauges, self.layout.gauge_words)

    def counts(self, holder: object) -> Words:
        tree = holder.get("counts") if isinstance(holder, dict) else None
        return self._words(tree, self.layout.counters, self.layout.counter_words)

    def threads(self, rows: object) -> tuple[Thread, ...]:
        return tuple(
            Thread(
                tid=_number(row, "tid"),
                name=str(row.get("name", ""))[:16],
                started_ns=_number(row, "started_ns"),
                counts=self.counts(row),
            )
            for row in (rows if isinstance(rows, list) else ())
            if isinstance(row, dict)
        )

    def _words(self, tree: object, fields: Mapping[str, Field], size: int) -> Words:
        words = array("Q", bytes(8 * size))
        for name, value in tree.items() if isinstance(tree, dict) else ():
            found = fields.get(name)
            if found is None:
                self._complain(f"counter {name:.64} is not in the layout")
            else:
                self._fill(words, found.word, found.axes, value, name)
        return np.frombuffer(words, np.uint64)

    def _fill(
        self, words: "array[int]", at: int, axes: tuple[Axis, ...], value: object, name: str
    ) -> None:
        """Put a number, or a tree of them along the axes, to the words from `at` on."""
        if not axes:
            if isinstance(value, int) and 0 <= value <= MAX_COUNT:
                words[at] = value
            else:
                self._complain(f"counter {name:.64} is no count: {value!r:.40}")
            return
        step = math.prod(axis.size for axis in axes[1:])
        for label, inner in value.items() if isinstance(value, dict) else ():
            index = self._index(axes[0], label)
            if index is None:
                self._complain(f"counter {name:.64} has no {axes[0].name:.64} {label:.40}")
            else:
                self._fill(words, at + index * step, axes[1:], inner, name)

    def _index(self, axis: Axis, label: str) -> int | None:
        key = axis.name, label
        if key not in self.places:
            self.places[key] = _place(axis, label)
        return self.places[key]

    def _complain(self, problem: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(problem)


def _place(axis: Axis, label: str) -> int | None:
    if axis.members:
        return axis.members.index(label) if label in axis.members else None
    if label.isascii() and label.isdigit() and len(label) <= MAX_DIGITS and int(label) < axis.size:
        return int(label)
    return None
