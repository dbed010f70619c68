"""A whole perf.data file in memory: columns of samples, distinct stacks, and what was mapped."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np
from numpy.typing import NDArray

from hakprof.errors import InputError
from hakprof.perfdata.chains import ChainTable, DistinctChains
from hakprof.perfdata.header import Header, read_header
from hakprof.perfdata.layout import Attr, Record, Words
from hakprof.perfdata.records import (
    Forked,
    Lost,
    Mapping,
    Named,
    SampleDecoder,
    Samples,
    decode_side,
)
from hakprof.perfdata.stream import Block, blocks

MAX_SAMPLES = 1 << 27
MAX_SIDE_RECORDS = 1 << 20
"""Limits on what one file may make us keep: about 40 bytes a sample."""

SIDE_TYPES = np.array(
    [
        Record.MMAP,
        Record.MMAP2,
        Record.COMM,
        Record.FORK,
        Record.LOST,
        Record.LOST_SAMPLES,
    ],
    np.uint64,
)


@dataclass(frozen=True, slots=True)
class Recording:
    """What one perf.data file holds. Nothing of it is resolved yet (see `spaces`)."""

    path: Path
    header: Header
    samples: Samples  # in the order of the file, which is that of time only between rounds
    stacks: DistinctChains  # the distinct ones
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


def machine_of(path: Path) -> str:
    """`host x86_64`: where `path` was recorded, "" if it does not say. Raises InputError."""
    try:
        with path.open("rb", buffering=0) as file:
            header = read_header(file)
    except InputError as error:
        raise InputError(f"{path}: {error.message}", advice=error.advice) from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    return f"{header.hostname} {header.arch}" if header.hostname and header.arch else ""


def _read_records(path: Path, file: BinaryIO, header: Header) -> Recording:
    decoder = SampleDecoder(tuple(header.events), header.order)
    columns = _Columns(header.data_size // _shortest_sample(header))
    side: list[Mapping | Named | Forked] = []
    stacks = ChainTable()
    lost = 0
    for block in blocks(file, header):
        kinds = header.order.types(block.headers)
        is_sample = kinds == Record.SAMPLE
        others = np.flatnonzero(~is_sample)
        others = block.starts[others[np.isin(kinds[others], SIDE_TYPES)]]
        for record in _side_records(block.words, others, header, header.events[0].attr):
            if isinstance(record, Lost):
                lost += record.count
            else:
                side.append(record)
        if len(side) > MAX_SIDE_RECORDS:
            raise InputError(f"more than {MAX_SIDE_RECORDS} mappings and names")
        if is_sample.any():
            sampled = Block(block.words, block.starts[is_sample], block.headers[is_sample])
            for samples, chains in decoder.decode(sampled):
                columns.append(replace(samples, stack=stacks.add(chains)))
    side.sort(key=lambda record: record.time_ns)
    return Recording(path, header, columns.samples(), stacks.distinct(), tuple(side), lost)


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
        "stack": np.uint64,
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
