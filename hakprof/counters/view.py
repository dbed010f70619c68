"""Counts with questions asked of them: sums, shares, rates. The arithmetic of every table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hakprof.counters.dump import Dump, Words, total, values
from hakprof.counters.identities import CLASS
from hakprof.counters.layout import Layout

SMALL_ALLOCS = ("cache_hit", "refill_served")
SMALL_FREES = ("tls_sll", "tls_sll_overflow", "threadless_free")
ALLOCS = (*SMALL_ALLOCS, "run_alloc", "large_alloc")
FREES = (*SMALL_FREES, "run_free", "large_free")


@dataclass(frozen=True, slots=True)
class View:
    """Counts of one or more processes, or the difference of two dumps."""

    layout: Layout
    counts: Words
    gauges: Mapping[str, int] = field(default_factory=dict)  # without those split by an axis
    class_bytes: Sequence[int] = ()

    def sum(self, *names: str, **members: str) -> int:
        """The sum of some counters over all axes, or over one member: stage="carve"."""
        return sum(total(self.counts, self.layout, name, **members) for name in names)

    def by_class(self, *names: str) -> list[int]:
        """The sum of some counters for each size class; other axes are summed up."""
        sums = np.zeros(self.layout.axes[CLASS].size if CLASS in self.layout.axes else 0, np.uint64)
        for name in names:
            found = self.layout.counters.get(name)
            if found is not None and CLASS in (axis.name for axis in found.axes):
                position = [axis.name for axis in found.axes].index(CLASS)
                others = tuple(i for i in range(len(found.axes)) if i != position)
                sums += values(self.counts, found).sum(axis=others)
        return [int(number) for number in sums]

    def members(self, axis: str) -> tuple[str, ...]:
        """The names on an axis, () if the layout has no such axis."""
        return self.layout.axes[axis].members if axis in self.layout.axes else ()

    @property
    def allocs(self) -> int:
        """Blocks handed out."""
        return self.sum(*ALLOCS)

    @property
    def frees(self) -> int:
        """Blocks taken back."""
        return self.sum(*FREES)

    @property
    def ops(self) -> int:
        """Calls of an allocation or a free function that had an effect."""
        return self.allocs + self.frees

    @property
    def small_given_bytes(self) -> int:
        """Bytes of the small blocks handed out; 0 if the dump has no block sizes."""
        calls = self.by_class(*SMALL_ALLOCS)
        return sum(n * size for n, size in zip(calls, self.class_bytes, strict=False))


def view_of(dump: Dump) -> View:
    """What one process itself counted."""
    return View(dump.layout, dump.own(), _plain_gauges(dump), dump.class_bytes)


def thread_view(dump: Dump, counts: Words) -> View:
    """What one thread of a process counted."""
    return View(dump.layout, counts, {}, dump.class_bytes)


def merged_view(dumps: Sequence[Dump]) -> View:
    """What several processes counted together; all must have one layout."""
    counts = sum((dump.own() for dump in dumps[1:]), start=dumps[0].own())
    gauges: dict[str, int] = {}
    for dump in dumps:
        for name, value in _plain_gauges(dump).items():
            gauges[name] = gauges.get(name, 0) + value
    return View(dumps[0].layout, counts, gauges, dumps[0].class_bytes)


def difference_view(before: Dump, after: Dump) -> View:
    """What one process counted between two dumps of it."""
    return View(
        after.layout,
        after.history() - before.history(),
        _plain_gauges(after),
        after.class_bytes,
    )


def _plain_gauges(dump: Dump) -> dict[str, int]:
    words: Any = dump.gauges
    return {
        name: int(words[found.word]) for name, found in dump.layout.gauges.items() if not found.axes
    }


def share(part: float, whole: float) -> float | None:
    """A fraction, None if there is no whole."""
    return part / whole if whole else None
