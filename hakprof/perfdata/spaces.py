"""Who was mapped where and when: address spaces of processes over time.

A process's mappings seldom change once it runs, so a space is a few *epochs*, each a table that
does not change. A new one begins where a mapping takes the place of another one (or an exec of
all) and samples were taken before it.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hakprof.errors import InputError
from hakprof.perfdata.records import Forked, Mapping, Named

SampledBetween = Callable[[int, int, int], bool]
"""Whether a process (pid) has samples from one time (ns) to before another; False without times."""

MAX_MAPPINGS = 1 << 17
"""Mappings of code in one process; the kernel's own limit is 65,530 of all kinds."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """Mappings of one process that hold from a time on, sorted by start, without overlap."""

    since_ns: int
    mappings: tuple[Mapping, ...]

    def find(self, addresses: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Index of the mapping of each address, -1 where there is none."""
        if not self.mappings:
            return np.full(addresses.size, -1)
        starts = np.array([m.start for m in self.mappings], np.uint64)
        sizes = np.array([m.size_bytes for m in self.mappings], np.uint64)
        at = np.searchsorted(starts, addresses, side="right") - 1
        inside = (at >= 0) & (addresses - starts[at] < sizes[at])
        return np.where(inside, at, -1)


@dataclass(slots=True)
class _Space:
    """A process while its events are replayed."""

    since_ns: int = 0
    starts: list[int] = field(default_factory=list)
    mappings: list[Mapping] = field(default_factory=list)
    past: list[Epoch] = field(default_factory=list)

    def close_epoch(self, pid: int, now_ns: int, sampled: SampledBetween) -> None:
        """Keep what was mapped so far, if samples were taken under it."""
        if sampled(pid, self.since_ns, now_ns):
            self.past.append(Epoch(self.since_ns, tuple(self.mappings)))
            self.since_ns = now_ns

    def overlapped(self, new: Mapping) -> slice:
        """The mappings that `new` touches."""
        first = bisect_left(self.starts, new.start)
        if first and self._end(first - 1) > new.start:
            first -= 1
        return slice(first, bisect_left(self.starts, new.start + new.size_bytes, lo=first))

    def insert(self, new: Mapping, place: slice) -> None:
        """Put `new` over what it touches; what sticks out on either side stays."""
        kept_before, kept_after = [], []
        for old in self.mappings[place]:
            if old.start < new.start:
                kept_before.append(_cut(old, old.start, new.start))
            if old.start + old.size_bytes > new.start + new.size_bytes:
                kept_after.append(_cut(old, new.start + new.size_bytes, old.start + old.size_bytes))
        pieces = [*kept_before, new, *kept_after]
        self.mappings[place] = pieces
        self.starts[place] = [piece.start for piece in pieces]
        if len(self.starts) > MAX_MAPPINGS:
            raise InputError(f"more than {MAX_MAPPINGS} mappings of code in process {new.pid}")

    def _end(self, i: int) -> int:
        return self.mappings[i].start + self.mappings[i].size_bytes


def replay(
    events: Iterable[Mapping | Named | Forked], sampled: SampledBetween
) -> dict[int, list[Epoch]]:
    """Epochs of each process, in order of time."""
    spaces: dict[int, _Space] = {}
    for event in events:
        space = spaces.setdefault(event.pid, _Space())
        if isinstance(event, Mapping):
            _map(space, event, sampled)
        elif isinstance(event, Forked):
            parent = spaces.setdefault(event.parent, _Space())
            space.close_epoch(event.pid, event.time_ns, sampled)
            space.mappings, space.starts = list(parent.mappings), list(parent.starts)
        elif event.after_exec:
            space.close_epoch(event.pid, event.time_ns, sampled)
            space.mappings, space.starts = [], []
    return {
        pid: [*space.past, Epoch(space.since_ns, tuple(space.mappings))]
        for pid, space in spaces.items()
    }


def _map(space: _Space, new: Mapping, sampled: SampledBetween) -> None:
    if not 0 < new.size_bytes <= (1 << 64) - new.start:
        return  # covers nothing
    place = space.overlapped(new)
    if any(not _same_code(old, new) for old in space.mappings[place]):
        space.close_epoch(new.pid, new.time_ns, sampled)
    space.insert(new, place)


def _same_code(old: Mapping, new: Mapping) -> bool:
    """Whether both show the same bytes where they overlap."""
    same_place = old.file_offset - old.start == new.file_offset - new.start
    return old.path == new.path and (same_place or old.path.startswith(("//", "[")))


def _cut(old: Mapping, start: int, end: int) -> Mapping:
    return Mapping(
        old.time_ns,
        old.pid,
        start,
        end - start,
        old.file_offset + start - old.start,
        old.path,
        old.build_id,
    )
