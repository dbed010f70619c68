"""A whole perf.data file in memory: columns of samples, distinct stacks, and what was mapped."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np
from numpy.typing import NDArray

from hakprof.errors import InputError
from hakprof.perfdata.header import Header, read_header
from hakprof.perfdata.layout import Attr, Record, Words
from hakprof.perfdata.records import (
    Chains,
    Forked,
    Lost,
    Mapping,
    Named,
    SampleDecoder,
    Samples,
    decode_side,
)
from hakprof.perfdata.stream import blocks

MAX_SAMPLES = 1 << 27
MAX_STACK_FRAMES = 1 << 27
MAX_SIDE_RECORDS = 1 << 20
"""Limits on what one file may make us keep: about 40 bytes a sample, 8 a frame of a stack."""

SIDE_TYPES = (
    Record.MMAP,
    Record.MMAP2,
    Record.COMM,
    Record.FORK,
    Record.LOST,
    Record.LOST_SAMPLES,
)


@dataclass(frozen=True, slots=True)
class Recording:
    """What one perf.data file holds. Nothing of it is resolved yet (see `spaces`)."""

    path: Path
    header: Header
    samples: Samples  # in the order of the file, which is that of time only between rounds
    stacks: Chains  # the distinct ones
    mappings: tuple[Mapping | Named | Forked, ...]  # in order of time
    lost: int


def read(path: Path) -> Recording:
    """Read `path`. Raises InputError with the path in it: broken, truncated, or not supported."""
    try:
        with path.open("rb", buffering=0) as file:
            header = read_header(file)
            return _read_records(path, file, header)
    except InputError as error:
        raise InputError(f"{path}: {error.message}", advice=error.advice) from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def _read_records(path: Path, file: BinaryIO, header: Header) -> Recording:
    decoder = SampleDecoder(tuple(header.events), header.order)
    columns = _Columns(header.data_size // _shortest_sample(header))
    side: list[Mapping | Named | Forked] = []
    stacks = _StackTable()
    lost = 0
    wanted = np.array(SIDE_TYPES, np.uint64)
    for words, starts in blocks(file, header):
        kinds = header.order.types(words[starts])
        others = starts[np.isin(kinds, wanted)]
        for record in _side_records(words, others, header, header.events[0].attr):
            if isinstance(record, Lost):
                lost += record.count
            else:
                side.append(record)
        if len(side) > MAX_SIDE_RECORDS:
            raise InputError(f"more than {MAX_SIDE_RECORDS} mappings and names")
        sampled = starts[kinds == Record.SAMPLE]
        if sampled.size:
            for samples, chains in decoder.decode(words, sampled):
                columns.append(stacks.add(samples, chains))
    side.sort(key=lambda record: record.time_ns)
    return Recording(path, header, columns.samples(), stacks.chains(), tuple(side), lost)


def _shortest_sample(header: Header) -> int:
    return 8 * min(event.attr.variable_offset for event in header.events)


def _side_records(
    words: Words, starts: NDArray[np.int64], header: Header, attr: Attr
) -> Iterator[Mapping | Named | Forked | Lost]:
    for start in starts:
        record = decode_side(words, int(start), header.order, attr)
        if record is not None:
            yield record


OPTIONAL = ("period", "stack")
"""Columns that not every event has: rows of one that lacks it hold nothing."""


class _Columns:
    """Growing columns of samples. Untouched capacity costs address space, no memory."""

    TYPES: ClassVar = {
        "event": np.uint8,
        "mode": np.uint8,
        "pid": np.int32,
        "time_ns": np.uint64,
        "address": np.uint64,
        "period": np.uint64,
        "stack": np.int32,
    }

    def __init__(self, capacity: int) -> None:
        self.size = 0
        self._capacity = min(capacity, MAX_SAMPLES)
        self._arrays = {name: np.empty(self._capacity, t) for name, t in self.TYPES.items()}
        self._filled: set[str] = set()

    def append(self, part: Samples) -> None:
        """Copy the rows of `part` behind what is there."""
        end = self.size + part.address.size
        if end > MAX_SAMPLES:
            raise InputError(f"more than {MAX_SAMPLES} samples")
        if end > self._capacity:
            self._capacity = max(end, 2 * self._capacity)
            for name, array in self._arrays.items():
                self._arrays[name] = np.empty(self._capacity, array.dtype)
                self._arrays[name][: self.size] = array[: self.size]
        for name, array in self._arrays.items():
            column = getattr(part, name)
            if column is not None:
                array[self.size : end] = column
                self._filled.add(name)
        self.size = end

    def samples(self) -> Samples:
        """What was appended."""
        used = {name: array[: self.size] for name, array in self._arrays.items()}
        missing = dict.fromkeys(set(OPTIONAL) - self._filled)
        columns: dict[str, Any] = {**used, **missing}
        return Samples(**columns)


class _StackTable:
    """Distinct call chains, found by a 64-bit hash of the whole chain."""

    def __init__(self) -> None:
        self._index: dict[int, int] = {}
        self._frames: list[Words] = []
        self._lengths: list[NDArray[np.int64]] = []
        self._size = 0

    def add(self, samples: Samples, chains: Chains) -> Samples:
        """The samples with `stack` filled in, if there are chains."""
        if chains.offsets.size <= 1:
            return samples
        hashes, first, which = np.unique(_hashes(chains), return_index=True, return_inverse=True)
        fresh = [i for i, one in enumerate(hashes.tolist()) if one not in self._index]
        ids = np.empty(hashes.size, np.int32)
        for i in fresh:
            self._index[int(hashes[i])] = len(self._index)
        ids[:] = [self._index[one] for one in hashes.tolist()]
        self._keep(chains, first[fresh])
        return replace(samples, stack=ids[which])

    def _keep(self, chains: Chains, rows: NDArray[np.int64]) -> None:
        starts = chains.offsets[rows]
        lengths = chains.offsets[rows + 1] - starts
        ends = np.cumsum(lengths)
        total = int(ends[-1]) if ends.size else 0
        self._size += total
        if self._size > MAX_STACK_FRAMES:
            raise InputError(f"its distinct call chains have more than {MAX_STACK_FRAMES} frames")
        self._frames.append(
            chains.frames[np.arange(total) + np.repeat(starts - (ends - lengths), lengths)]
        )
        self._lengths.append(lengths)

    def chains(self) -> Chains:
        """All distinct chains."""
        lengths = np.concatenate([np.empty(0, np.int64), *self._lengths])
        offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))
        return Chains(np.concatenate([np.empty(0, np.uint64), *self._frames]), offsets)


MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def _hashes(chains: Chains) -> Words:
    """A hash of each chain: its frames, mixed, each times an odd number for its depth."""
    lengths = np.diff(chains.offsets)
    weights = _depth_weights(int(lengths.max(initial=0)))
    depth = np.arange(chains.frames.size) - np.repeat(chains.offsets[:-1], lengths)
    mixed = chains.frames ^ (chains.frames >> np.uint64(29))
    mixed *= MULTIPLIER
    mixed ^= mixed >> np.uint64(32)
    mixed *= weights[depth]
    sums = np.concatenate((np.zeros(1, np.uint64), np.cumsum(mixed, dtype=np.uint64)))
    return sums[chains.offsets[1:]] - sums[chains.offsets[:-1]]


def _depth_weights(count: int) -> Words:
    return np.random.default_rng(1).integers(0, 1 << 63, count, np.uint64) * 2 + 1
