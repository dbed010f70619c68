"""The data section as blocks of whole records, and where each record starts.

Records lie one behind the other, each with its size in its header: a chain that can only be
followed one by one, half a microsecond each in Python. `record_starts` finds all words that may be
a header at once, and accepts one only if the record before it, accepted itself, ends exactly there.
What looks otherwise is walked one by one, so the answer never depends on what looks likely.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

import numpy as np
import zstandard
from numpy.typing import NDArray

from hakprof.errors import InputError
from hakprof.perfdata.header import Header
from hakprof.perfdata.layout import Feature, Order, Record, Words

Starts = NDArray[np.int64]

BLOCK_BYTES = 1 << 20
"""How much is looked at at once: it fits the processor's cache. A record has at most 64 KiB."""

KEPT_BYTES = 8 * BLOCK_BYTES
"""What is made of one block fits into this."""

LONG_RUN = 256
"""So many records of one size in a row let expect more of them."""

PATIENCE = 4
"""After so many shorter runs, sizes vary, and the rest of the block is not looked at in runs."""

MAX_RECORD_BYTES = 1 << 16
MAX_PLAIN_BYTES = 256 << 20
MAX_EXPANSION = 4096
"""Compressed records that grow by more than this are an attack, not a recording."""

MIN_RECORD_BYTES = 8
COMPRESSED2_HEADER_BYTES = 16


@dataclass(frozen=True, slots=True)
class Block:
    """Part of the data, and the whole records that start in it."""

    words: Words
    starts: Starts  # word index of each record
    headers: Words  # its first word


def blocks(file: BinaryIO, header: Header) -> Iterator[Block]:
    """All records, in the order of the file. Raises InputError.

    The words are valid until the next step only: one buffer serves all blocks.
    """
    _reuse_memory()
    if Feature.COMPRESSED in header.features:
        yield from _compressed_blocks(file, header)
        return
    has_trace = Feature.AUXTRACE in header.features
    at, end = header.data_offset, header.data_offset + header.data_size
    buffer = memoryview(bytearray(min(BLOCK_BYTES, header.data_size)))
    while at < end:
        data = buffer[: os.preadv(file.fileno(), [buffer[: end - at]], at)]
        words = header.order.words(data)
        starts, used = record_starts(words, header.order, has_trace=has_trace)
        if used == 0:
            raise InputError(f"truncated: the record at byte {at} goes beyond the end of the data")
        yield _block(words, starts, header.order)
        at += 8 * used


def _reuse_memory() -> None:
    """Have glibc's malloc keep what is freed from now on, up to twice KEPT_BYTES.

    It raises its limit to the largest block that was ever freed (mallopt(3), M_MMAP_THRESHOLD).
    Else the kernel clears the pages of each array anew, which takes half of the time.
    """
    np.empty(KEPT_BYTES, np.uint8)


def record_starts(words: Words, order: Order, *, has_trace: bool = False) -> tuple[Starts, int]:
    """Word index of each whole record, and the number of words they take."""
    if words.size == 0:
        return np.empty(0, np.int64), 0
    parts: list[Starts] = []
    at = 0
    patience = 0 if has_trace else PATIENCE
    while at < words.size and patience:
        run, at = _run(words, order, at)
        parts.append(run)
        patience = patience - 1 if run.size < LONG_RUN else PATIENCE
    if at < words.size:
        rest, used = _any_sizes(words[at:], order)
        parts += [part + at for part in rest]
        at += used
    starts = np.concatenate(parts)
    last = int(starts[-1])
    if last + (int(order.sizes(words[last])) >> 3) > words.size:
        starts, at = starts[:-1], last  # it continues in the next block
    return starts, at


def _block(words: Words, starts: Starts, order: Order) -> Block:
    headers = words[starts]
    uneven = order.sizes(headers) & np.uint64(7) != 0
    if uneven.any():
        wrong = 8 * int(starts[np.argmax(uneven)])
        raise InputError(f"a record of a size that is no multiple of 8 ({wrong} bytes on)")
    return Block(words, starts, headers)


def _run(words: Words, order: Order, at: int) -> tuple[Starts, int]:
    """Records from `at` on that have the same type and size one after the other; their end."""
    step = order.type_and_size(int(words[at]))[1] >> 3
    if step == 0:
        raise _zero_size(at)
    mask = order.all_but_misc
    wanted = words[at] & mask
    count, looked_at = 0, LONG_RUN
    while True:
        headers = words[at + step * count : at + step * (count + looked_at) : step]
        same = headers & mask == wanted
        if not same.all():
            count += int(np.argmin(same))
            break
        count += headers.size
        if headers.size < looked_at:
            break
        looked_at *= 2
    return at + step * np.arange(count), at + step * count


def _any_sizes(words: Words, order: Order) -> tuple[list[Starts], int]:
    """Records of any sizes, in parts, and where the last one ends: maybe behind the words."""
    likely = _likely_headers(words, order)
    ends = likely + order.steps(words[likely])
    breaks = np.append(np.flatnonzero(ends[:-1] != likely[1:]), likely.size - 1)
    plain: memoryview[int] = words.data  # gives Python's integers, ten times faster than NumPy's
    parts: list[Starts] = []
    at = 0
    while at < words.size:
        first = int(np.searchsorted(likely, at))
        if first < likely.size and likely[first] == at:
            last = int(breaks[np.searchsorted(breaks, first)])
            parts.append(likely[first : last + 1])
            at = int(ends[last])
        else:
            stop = int(likely[first]) if first < likely.size else words.size
            part, at = _walk(plain, order, at, stop)
            parts.append(part)
    return parts, at


def _likely_headers(words: Words, order: Order) -> Starts:
    """Where a word could be a record's header, but for those that raw trace data follows."""
    spots = np.flatnonzero(words & order.never_in_header == 0)
    headers = words[spots]
    found: Starts = spots[(order.steps(headers) > 0) & (order.types(headers) != Record.AUXTRACE)]
    return found


def _walk(words: "memoryview[int]", order: Order, at: int, stop: int) -> tuple[Starts, int]:
    """Follow the chain one by one from `at` until it reaches `stop`; where it ends."""
    found: list[int] = []
    while at < stop:
        found.append(at)
        kind, size = order.type_and_size(words[at])
        step = size >> 3
        if step == 0:
            raise _zero_size(at)
        if kind == Record.AUXTRACE and 1 < step <= len(words) - at:
            step += (words[at + 1] + 7) >> 3  # raw trace data follows the record
        at += step
    return np.array(found, np.int64), at


def _zero_size(word: int) -> InputError:
    return InputError(f"a record claims a size of 0 ({8 * word} bytes into a block)")


def _compressed_blocks(file: BinaryIO, header: Header) -> Iterator[Block]:
    """The same where perf compressed what it read from the kernel (perf record -z).

    One zstd stream runs through all COMPRESSED records; its output is cut anywhere, so a record
    may begin in one and end in the next. The other records lie between them as they are.
    """
    payloads = _Payloads(file, header)
    limit = MAX_EXPANSION * header.data_size
    rest = b""
    try:
        reader = zstandard.ZstdDecompressor().stream_reader(
            cast("BinaryIO", payloads), read_across_frames=True
        )
        while chunk := reader.read(BLOCK_BYTES):
            limit -= len(chunk)
            if limit < 0:
                raise InputError(f"unpacks to more than {MAX_EXPANSION} times its size")
            if payloads.plain:
                yield _whole(payloads.take_plain(), header.order)
            data = rest + chunk
            words = header.order.words(data)
            starts, used = record_starts(words, header.order)
            yield _block(words, starts, header.order)
            rest = data[8 * used :]
    except zstandard.ZstdError as error:
        raise InputError(f"broken compressed records ({error})") from error
    if rest:
        raise InputError("truncated: the last compressed record is not all there")
    if payloads.plain:
        yield _whole(payloads.take_plain(), header.order)


def _whole(data: bytes, order: Order) -> Block:
    words = order.words(data)
    return _block(words, record_starts(words, order)[0], order)


class _Payloads:
    """What the compressed records hold, as a file to read; sets the plain ones aside."""

    def __init__(self, file: BinaryIO, header: Header) -> None:
        self.plain = bytearray()
        self._order = header.order
        self._file = file
        self._at = header.data_offset
        self._end = header.data_offset + header.data_size

    def take_plain(self) -> bytes:
        """The plain records since the last call."""
        taken = bytes(self.plain)
        self.plain.clear()
        return taken

    def read(self, _size: int = -1) -> bytes:
        """The payload of the next compressed record; empty at the end."""
        while self._at < self._end:
            record = self._next_record()
            kind = self._order.unpack("I", record)[0]
            if kind == Record.COMPRESSED:
                return record[8:]
            if kind == Record.COMPRESSED2:
                (length,) = self._order.unpack("Q", record, 8)
                if COMPRESSED2_HEADER_BYTES + length > len(record):
                    raise InputError("a compressed record is longer than its frame")
                return record[COMPRESSED2_HEADER_BYTES : COMPRESSED2_HEADER_BYTES + length]
            self.plain += record
            if len(self.plain) > MAX_PLAIN_BYTES:
                raise InputError("says that it is compressed, but is not")
        return b""

    def _next_record(self) -> bytes:
        at, left = self._at, self._end - self._at
        head = os.pread(self._file.fileno(), min(MAX_RECORD_BYTES, left), at)
        size = self._order.unpack("IHH", head)[2]
        if not MIN_RECORD_BYTES <= size <= len(head):
            raise InputError(f"truncated: the record at byte {at} claims {size} bytes")
        self._at += size
        return head[:size]
