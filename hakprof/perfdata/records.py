"""Records to values: samples by the column; mappings, names, forks and losses one by one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hakprof.errors import InputError
from hakprof.perfdata.chains import Chains
from hakprof.perfdata.header import BUILD_ID_BYTES, Event, text
from hakprof.perfdata.layout import (
    MISC_BUILD_ID,
    MISC_CPUMODE,
    MISC_EXEC_OR_DATA,
    Attr,
    Field,
    Order,
    ReadFormat,
    Record,
    Words,
)
from hakprof.perfdata.stream import Block

PROT_EXEC = 4


@dataclass(frozen=True, slots=True)
class Samples:
    """Columns, one row a sample. None: not recorded."""

    event: NDArray[np.uint8]  # index into the events
    mode: NDArray[np.uint8]  # CpuMode
    pid: NDArray[np.int32]
    time_ns: NDArray[np.uint64]
    address: NDArray[np.uint64]
    period: NDArray[np.uint64] | None  # events since the sample before; None: always the same
    stack: Words | None  # key of the call chain, see `chains`


@dataclass(frozen=True, slots=True)
class Mapping:
    """Code that became visible to a process (pid -1: to the kernel)."""

    time_ns: int
    pid: int
    start: int
    size_bytes: int
    file_offset: int
    path: str
    build_id: str  # "" if the record does not carry it


@dataclass(frozen=True, slots=True)
class Named:
    """A thread got a name; after an exec its process starts with no mappings."""

    time_ns: int
    pid: int
    tid: int
    name: str
    after_exec: bool


@dataclass(frozen=True, slots=True)
class Forked:
    """A process (pid) came out of another one and has its mappings."""

    time_ns: int
    pid: int
    parent: int


@dataclass(frozen=True, slots=True)
class Lost:
    """Samples that the kernel could not deliver."""

    count: int


Side = Mapping | Named | Forked | Lost


class SampleDecoder:
    """Decodes the samples of a block. All events lie in it: with several, samples carry an id."""

    def __init__(self, events: tuple[Event, ...], order: Order) -> None:
        self._events = events
        self._order = order
        self._by_id = {one: i for i, event in enumerate(events) for one in event.ids}
        self._id_at = self._common_id_offset() if len(events) > 1 else None

    def _common_id_offset(self) -> int:
        """Where all events keep the id: in IDENTIFIER, or in ID if they agree on its place."""
        if all(event.attr.sample_type & Field.IDENTIFIER for event in self._events):
            return 1
        places = {event.attr.offset(Field.ID) for event in self._events}
        place = places.pop()
        if places or place is None:
            raise InputError("several events, but nothing in a sample tells which one it is of")
        return place

    def decode(self, block: Block) -> list[tuple[Samples, Chains]]:
        """Samples of a block that holds nothing else, grouped by event. Raises InputError."""
        if self._id_at is None:
            return [self._of_event(0, block)]
        ids = _field(block, self._id_at, self._order)
        known, which = np.unique(ids, return_inverse=True)
        of_known = np.array([self._by_id.get(int(one), -1) for one in known])
        if (of_known < 0).any():
            raise InputError(f"a sample of an event ({int(known[of_known < 0][0])}) not described")
        event = of_known[which]
        groups = [(int(i), event == i) for i in np.unique(event)]
        return [
            self._of_event(i, Block(block.words, block.starts[rows], block.headers[rows]))
            for i, rows in groups
        ]

    def _of_event(self, index: int, block: Block) -> tuple[Samples, Chains]:
        attr = self._events[index].attr
        order = self._order
        words, starts, headers = block.words, block.starts, block.headers
        size = (order.sizes(headers) >> np.uint64(3)).astype(np.int64)
        if (size < attr.variable_offset).any():
            raise InputError("a sample is shorter than its fields")

        def column(field: Field) -> Words | None:
            at = attr.offset(field)
            return None if at is None else words[starts + at]

        zeros = np.zeros(starts.size, np.uint64)
        samples = Samples(
            event=np.full(starts.size, index, np.uint8),
            mode=(order.miscs(headers) & np.uint64(MISC_CPUMODE)).astype(np.uint8),
            pid=order.first_halves(_or(column(Field.TID), zeros)).astype(np.int32),
            time_ns=_or(column(Field.TIME), zeros),
            address=_or(column(Field.IP), zeros),
            period=column(Field.PERIOD),
            stack=None,
        )
        return samples, _chains(words, starts, size, attr)


def _or(column: Words | None, other: Words) -> Words:
    return other if column is None else column


def _field(block: Block, at: int, order: Order) -> Words:
    if (order.sizes(block.headers) >> np.uint64(3) <= np.uint64(at)).any():
        raise InputError("a sample is shorter than its fields")
    return block.words[block.starts + at]


def _chains(words: Words, starts: NDArray[np.int64], size: NDArray[np.int64], attr: Attr) -> Chains:
    if not attr.sample_type & Field.CALLCHAIN:
        return Chains(words, starts[:0], size[:0])
    at = starts + attr.variable_offset
    ends = starts + size
    if attr.sample_type & Field.READ:
        at = at + _read_words(words, at, ends, attr.read_format)
    counts = _within(words, at, ends)
    if (counts > (ends - at - 1).astype(np.uint64)).any():
        raise InputError("a call chain is longer than its sample")
    return Chains(words, at + 1, counts.astype(np.int64))


def _read_words(
    words: Words, at: NDArray[np.int64], ends: NDArray[np.int64], form: ReadFormat
) -> NDArray[np.int64]:
    """How many words the READ field of each sample takes."""
    times = bool(form & ReadFormat.ENABLED) + bool(form & ReadFormat.RUNNING)
    each = 1 + bool(form & ReadFormat.ID) + bool(form & ReadFormat.LOST)
    if not form & ReadFormat.GROUP:
        return np.full(at.size, times + each)
    members = np.minimum(_within(words, at, ends), np.uint64(1 << 13)).astype(np.int64)
    return 1 + times + each * members


def _within(words: Words, at: NDArray[np.int64], ends: NDArray[np.int64]) -> Words:
    """words[at], each of which must lie before `ends`."""
    if (at >= ends).any():
        raise InputError("a sample is shorter than its fields")
    return words[at]


def decode_side(words: Words, start: int, order: Order, attr: Attr) -> Side | None:
    """One record that is no sample, None if it means nothing here. Raises InputError."""
    header = words[start : start + 1]
    size = int(order.sizes(header)[0]) >> 3
    body = words[start + 1 : start + size]
    kind = int(order.types(header)[0])
    misc = int(order.miscs(header)[0])
    data = (body if order.little else body.byteswap()).tobytes()
    if kind in {Record.MMAP, Record.MMAP2}:
        return _mapping(data, kind, misc, order, attr)
    if kind == Record.COMM:
        pid, tid = order.unpack("ii", data)
        name = text(data[8 : len(data) - attr.trailer_bytes])
        return Named(_time(data, order, attr), pid, tid, name, bool(misc & MISC_EXEC_OR_DATA))
    if kind == Record.FORK:
        pid, parent, _, _, time_ns = order.unpack("iiiiQ", data)
        return Forked(time_ns, pid, parent) if pid != parent else None
    if kind == Record.LOST:
        return Lost(order.unpack("QQ", data)[1])
    if kind == Record.LOST_SAMPLES:
        return Lost(order.unpack("Q", data)[0])
    return None


def _mapping(data: bytes, kind: int, misc: int, order: Order, attr: Attr) -> Mapping | None:
    """A mapping of code; None for one of data."""
    pid, _, start, size, offset = order.unpack("iIQQQ", data)
    build_id, name_at = "", 32
    if kind == Record.MMAP2:
        prot = order.unpack("I", data, 56)[0]
        name_at = 64
        if misc & MISC_BUILD_ID:
            build_id = data[36 : 36 + min(data[32], BUILD_ID_BYTES)].hex()
        executable = bool(prot & PROT_EXEC) or pid == -1
    else:
        executable = not misc & MISC_EXEC_OR_DATA
    if not executable:
        return None
    path = text(data[name_at : len(data) - attr.trailer_bytes])
    return Mapping(_time(data, order, attr), pid, start, size, offset, path, build_id)


def _time(data: bytes, order: Order, attr: Attr) -> int:
    back = attr.trailer_offset(Field.TIME)
    if back is None or 8 * back > len(data):
        return 0
    return order.unpack("Q", data, len(data) - 8 * back)[0]
