"""One process's counts as they were read: plain data, and the sums that everybody needs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hakprof.counters.layout import Field, Layout

Words = NDArray[np.uint64]
"""Counts in the order of a layout."""


class State(StrEnum):
    """How the process stood when this was written."""

    FINISHED = "finished"  # written by its exit handlers: at rest
    RUNNING = "running"  # read or dumped while it ran
    DIED = "died"  # the live file of a process that is gone: killed, crashed, _exit or exec


@dataclass(frozen=True, slots=True)
class Thread:
    """What one thread counted that had not ended."""

    tid: int
    name: str
    started_ns: int
    counts: Words

    @property
    def shared(self) -> bool:
        """The block of everybody who has none of his own."""
        return self.tid == 0


@dataclass(frozen=True, slots=True)
class Dump:
    """The counts of one process image."""

    source: str
    layout: Layout
    state: State
    pid: int
    parent_pid: int
    started_ns: int  # CLOCK_REALTIME
    written_ns: int  # 0: not known (a live file)
    threads_ended: int
    threads_lost: int  # the parent's other threads at a fork: their lists are lost
    threads_sharing: int  # had no block of their own: their fast paths were not counted in full
    info: Mapping[str, Any]
    gauges: Words
    base: Words  # what the parent had counted before the fork: part of `ended`
    ended: Words
    threads: tuple[Thread, ...]
    problems: tuple[str, ...] = field(default=())
    """what could not be read or is suspicious, a line each"""

    @property
    def inherited(self) -> bool:
        """A forked child: it started from what its parent had counted."""
        return bool(self.base.any())

    @property
    def others_running(self) -> int:
        """Threads besides one (the one that dumps) that had not ended."""
        return max(0, sum(not thread.shared for thread in self.threads) - 1)

    def history(self) -> Words:
        """All counts since the first process of the lineage: what the identities are about."""
        total = self.ended.copy()
        for thread in self.threads:
            total += thread.counts
        return total

    def own(self) -> Words:
        """What this process itself counted."""
        return self.history() - self.base

    @property
    def class_bytes(self) -> Sequence[int]:
        """Block size of each class, empty if the dump does not say."""
        sizes = self.info.get("class_bytes")
        if isinstance(sizes, list) and all(isinstance(size, int) for size in sizes):
            return sizes
        return ()


def values(words: Words, field: Field) -> NDArray[np.uint64]:
    """The counter's numbers in the shape of its axes."""
    return words[field.word : field.word + field.size].reshape(field.shape)


def total(words: Words, layout: Layout, name: str, **members: str) -> int:
    """The sum of a counter over all axes, or over one member of some, as in stage="carve".

    A counter that the dump does not have is 0: older and newer dumps differ in what they count.
    """
    found = layout.counters.get(name) or layout.gauges.get(name)
    if found is None or found.word + found.size > len(words):
        return 0
    numbers = values(words, found)
    index = tuple(
        axis.members.index(members[axis.name]) if axis.name in members else slice(None)
        for axis in found.axes
    )
    return int(numbers[index].sum())
