"""From a recording to a profile: every address to the file it came from, equal ones summed."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hakprof.errors import InputError
from hakprof.model import Kind
from hakprof.perfdata.header import Event
from hakprof.perfdata.layout import CONTEXT_MAX, CONTEXT_MODES, Attr, CpuMode, Field, Words
from hakprof.perfdata.reader import Recording
from hakprof.perfdata.records import Forked, Mapping, Named
from hakprof.perfdata.spaces import Epoch, replay
from hakprof.perfdata.summing import summed
from hakprof.profile import (
    Addresses,
    Floats,
    Image,
    ImageKind,
    Ints,
    Key,
    Profile,
    Stacks,
    distinct,
)

KERNEL_PID = -1
KERNEL_PATH = "[kernel.kallsyms]"
ANONYMOUS = ("//anon", "[heap]", "[stack", "[anon", "/SYSV", "/dev/zero", "/memfd:", "/anon_huge")
CLOCK_EVENTS = {(1, 0): "cpu-clock", (1, 1): "task-clock"}
"""(type, config) of events whose period is nanoseconds: what was opened, whatever perf calls it."""

COPIED_STACKS = (
    "stacks were copied (perf record --call-graph dwarf) and are not unwound: each shows the "
    "function and what is inlined into it, no callers; record with --call-graph fp (build with "
    "-fno-omit-frame-pointer) or lbr"
)

Rows = Ints | slice
"""Which rows: a slice where they are all."""

FEW = 16
"""Up to so many parts, a comparison for each is faster than sorting."""


def resolve(recording: Recording, event: int = 0) -> Profile:
    """The profile of one event of a recording. Raises InputError if it has no samples."""
    described = recording.header.events[event]
    mine = recording.samples.event == event
    if not mine.any():
        raise InputError(
            f"{recording.path}: no samples of {described.name}",
            advice="record for longer, or the program slept all the time",
        )
    rows = slice(0, mine.size) if mine.all() else np.flatnonzero(mine)
    builder = _Builder(recording, described.attr)
    for group in _groups(recording, rows, described):
        builder.add(group)
    return builder.profile(described)


@dataclass(frozen=True, slots=True)
class _Group:
    """Samples of one process under one table of mappings."""

    pid: int
    epoch: Epoch
    rows: "Rows"


def _groups(recording: Recording, rows: Rows, event: Event) -> Iterator[_Group]:
    samples = recording.samples
    timed = bool(event.attr.sample_type & Field.TIME)
    by_pid = dict(_split(samples.pid[rows], rows))

    def sampled_between(pid: int, first_ns: int, last_ns: int) -> bool:
        if not timed or pid not in by_pid:
            return False
        times = samples.time_ns[by_pid[pid]]
        return bool(((times >= first_ns) & (times < last_ns)).any())

    spaces = replay(recording.mappings, sampled_between)
    for pid, own in by_pid.items():
        epochs = spaces.get(pid, [Epoch(0, ())])
        if len(epochs) == 1:
            yield _Group(pid, epochs[0], own)
            continue
        since = np.array([epoch.since_ns for epoch in epochs], np.uint64)
        which = np.searchsorted(since, samples.time_ns[own], side="right") - 1
        for i, part in _split(np.maximum(which, 0), own):
            yield _Group(pid, epochs[i], part)


def _split(keys: NDArray[np.integer], rows: Rows) -> Iterator[tuple[int, Rows]]:
    """(key, the rows that have it), keys ascending."""
    if keys.size and keys.min() == keys.max():
        yield int(keys[0]), rows
        return
    numbers = np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows
    values = np.flatnonzero(np.bincount(keys)) if keys.dtype == np.uint8 else distinct(keys)
    if values.size <= FEW:
        for value in values:
            yield int(value), numbers[keys == value]
        return
    which = np.searchsorted(values, keys)
    small = np.uint16 if values.size < 1 << 16 else np.int64  # 16 bits are sorted by radix
    order = np.argsort(which.astype(small), kind="stable")
    counts = np.bincount(which)
    for value, part in zip(values, np.split(numbers[order], np.cumsum(counts)[:-1]), strict=True):
        yield int(value), part


def _distinct(keys: NDArray[Key]) -> tuple[NDArray[Key], Ints]:
    """The distinct keys, ascending, and the place of each key among them.

    Three times faster than np.unique(return_inverse=True), which sorts all keys, where few differ.
    """
    values = distinct(keys)
    return values, np.searchsorted(values, keys).astype(np.int64, copy=False)


class _Builder:
    """Sums up groups. The address table grows by what each group saw."""

    def __init__(self, recording: Recording, attr: Attr) -> None:
        self._attr = attr
        self._recording = recording
        self._build_ids = recording.header.build_ids
        self._images: dict[Image, int] = {}
        self._table: list[tuple[Ints, Addresses]] = []
        self._weights: list[tuple[Floats, Ints]] = []
        self._size = 0
        self._stacks: list[tuple[Ints, Ints, Floats]] = []
        self._stack_process: list[Ints] = []
        self._processes: dict[str, int] = {}
        kernel = replay(
            (m for m in recording.mappings if m.pid == KERNEL_PID), lambda *_: False
        ).get(KERNEL_PID, [Epoch(0, ())])
        self._kernel = kernel[-1]
        self._names = _process_names(recording)

    def add(self, group: _Group) -> None:
        """Resolve and sum the samples of one group."""
        samples = self._recording.samples
        for mode, rows in _split(samples.mode[group.rows], group.rows):
            addresses, weight, count = summed(
                samples.address[rows], self._period(rows), self._attr.constant_period
            )
            self._append(self._locate(addresses, mode, group), weight, count)
        fields = self._attr.sample_type & (Field.CALLCHAIN | Field.STACK_USER)
        if samples.stack is not None and fields == Field.CALLCHAIN:
            self._add_stacks(group, samples.stack[group.rows])

    def _period(self, rows: Rows) -> NDArray[np.uint64] | None:
        """The column, if samples of this event have it."""
        period = self._recording.samples.period
        if period is None or not self._attr.sample_type & Field.PERIOD:
            return None
        return period[rows]

    def _add_stacks(self, group: _Group, stack: Words) -> None:
        keys, weight, _ = summed(stack, self._period(group.rows), self._attr.constant_period)
        frames, starts = self._recording.stacks.frames(keys)
        modes, caller = _frame_modes(frames, starts)
        real = frames < np.uint64(CONTEXT_MAX)
        row_of = np.full(frames.size, -1)
        places = (frames - caller.astype(np.uint64))[real]
        for mode, part in _split(modes[real], np.flatnonzero(real)):
            unique, back = _distinct(places[modes[real] == mode])
            base = self._size
            nothing = np.zeros(unique.size)
            self._append(self._locate(unique, mode, group), nothing, nothing.astype(np.int64))
            row_of[part] = base + back
        kept = np.concatenate((np.zeros(1, np.int64), np.cumsum(real)))[starts]
        self._stacks.append((row_of[real], np.diff(kept), weight))
        name = self._names.get(group.pid, f"process {group.pid}")
        self._stack_process.append(
            np.full(keys.size, self._processes.setdefault(name, len(self._processes)))
        )

    def _append(
        self,
        located: tuple[Ints, Addresses],
        weight: Floats,
        count: Ints,
    ) -> None:
        self._table.append(located)
        self._weights.append((weight, count))
        self._size += weight.size

    def _locate(self, addresses: Addresses, mode: int, group: _Group) -> tuple[Ints, Addresses]:
        """(image index, offset in it) of each address."""
        if mode == CpuMode.KERNEL:
            kernel = self._image(
                ImageKind.KERNEL, KERNEL_PATH, self._build_ids.get(KERNEL_PATH, "")
            )
            return np.full(addresses.size, kernel), addresses
        epoch = group.epoch if mode == CpuMode.USER else Epoch(0, ())
        found = epoch.find(addresses)
        image = np.full(addresses.size, -1)
        offset = addresses.copy()
        for i in distinct(found):
            rows = found == i
            if i < 0:
                image[rows] = self._image(ImageKind.UNKNOWN, "[unknown]")
                continue
            mapping = epoch.mappings[i]
            kind, number = self._image_of(mapping, group.pid)
            image[rows] = number
            if kind is ImageKind.FILE:
                offset[rows] += np.uint64((mapping.file_offset - mapping.start) % (1 << 64))
            elif kind is ImageKind.VDSO:
                offset[rows] -= np.uint64(mapping.start)
        return image, offset

    def _image_of(self, mapping: Mapping, pid: int) -> tuple[ImageKind, int]:
        path = mapping.path
        if path == "[vdso]":
            kind = ImageKind.VDSO
        elif path.startswith(ANONYMOUS):
            kind = ImageKind.JIT
        else:
            kind = ImageKind.FILE if path.startswith("/") else ImageKind.UNKNOWN
        build_id = mapping.build_id or self._build_ids.get(path, "")
        return kind, self._image(kind, path, build_id, pid if kind is ImageKind.JIT else 0)

    def _image(self, kind: ImageKind, path: str, build_id: str = "", pid: int = 0) -> int:
        return self._images.setdefault(Image(kind, path, build_id, pid), len(self._images))

    def profile(self, event: Event) -> Profile:
        """Everything added so far, equal addresses summed."""
        image = np.concatenate([table[0] for table in self._table])
        offset = np.concatenate([table[1] for table in self._table])
        weight = np.concatenate([weights[0] for weights in self._weights])
        count = np.concatenate([weights[1] for weights in self._weights])
        order = np.lexsort((offset, image))
        fresh = np.empty(order.size, np.bool_)
        fresh[:1] = True
        fresh[1:] = (np.diff(image[order]) != 0) | (np.diff(offset[order]) != 0)
        row = np.empty(order.size, np.int64)
        row[order] = np.cumsum(fresh) - 1
        size = int(fresh.sum())
        clock = CLOCK_EVENTS.get((event.attr.type, event.attr.config), "")
        return Profile(
            kind=Kind.SAMPLED,
            event=clock or event.name,
            unit="ns" if clock else "events",
            source=f"perf {self._recording.header.perf_version}".strip(),
            images=tuple(self._images),
            image=image[order][fresh],
            offset=offset[order][fresh],
            weight=np.bincount(row, weight, size).astype(np.float64),
            samples=np.bincount(row, count, size).astype(np.int64),
            stacks=self._joined_stacks(row),
            lost=self._recording.lost,
            remark=COPIED_STACKS if event.attr.sample_type & Field.STACK_USER else "",
        )

    def _joined_stacks(self, row: Ints) -> Stacks | None:
        if not self._stacks:
            return None
        lengths = np.concatenate([part[1] for part in self._stacks])
        return Stacks(
            frames=row[np.concatenate([part[0] for part in self._stacks])],
            starts=np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths))),
            weight=np.concatenate([part[2] for part in self._stacks]),
            process=np.concatenate(self._stack_process),
            processes=tuple(self._processes),
        )


def _process_names(recording: Recording) -> dict[int, str]:
    """Process -> its last name; a child that never got one has its parent's."""
    names: dict[int, str] = {}
    for event in recording.mappings:
        if isinstance(event, Named) and event.pid == event.tid:
            names[event.pid] = event.name
        elif isinstance(event, Forked) and event.parent in names:
            names[event.pid] = names[event.parent]
    return names


def _frame_modes(frames: Addresses, starts: Ints) -> tuple[Ints, NDArray[np.bool_]]:
    """(CpuMode of each frame, whether it is a caller: a return address).

    A mark sets the mode of what follows it in the same stack. The first address of a stack is where
    the sample was taken, and so is the first behind a change to user mode: the interrupted place.
    """
    mark = frames >= np.uint64(CONTEXT_MAX)
    at_mark = np.zeros(frames.size, np.int64)
    for context, mode in CONTEXT_MODES.items():
        at_mark[frames == np.uint64(context)] = mode
    begins = np.zeros(frames.size + 1, np.bool_)
    begins[starts] = True
    begins = begins[:-1]
    sets_mode = mark | begins
    last = np.maximum.accumulate(np.where(sets_mode, np.arange(frames.size), 0))
    modes = np.where(mark[last], at_mark[last], CpuMode.USER)
    caller = ~mark & ~begins
    caller[1:] &= ~mark[:-1]
    return modes, caller
