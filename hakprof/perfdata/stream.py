"""The data section as blocks of whole records, and where each record starts.

Records lie one behind the other, each with its size in its header: a chain that can only be
followed one by one, half a microsecond each in Python. `record_starts` follows some thousand
links at once: it guesses a record start every 8 KiB, walks all stretches in step, and
accepts a stretch only if the one before it ends exactly where it starts. What was guessed wrong is
walked one by one, so the answer never depends on a guess.
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
from hakprof.profile import distinct

Starts = NDArray[np.int64]

BLOCK_BYTES = 1 << 20
"""How much is looked at at once: it fits the processor's cache. A record has at most 64 KiB."""

KEPT_BYTES = 8 * BLOCK_BYTES
"""What is made of one block fits into this."""

STRETCH_WORDS = 1024
STEPS = 16
"""How often stretches go on before anybody looks whether they are at their ends."""

GUESS_WINDOW = 64
"""Words searched for a record start in each stretch; longer records are walked one by one."""

LONG_RUN = 256
"""So many records of one size in a row let expect more of them."""

PATIENCE = 16
"""After so many shorter runs, sizes vary: the rest of the block is walked in stretches."""

MAX_TYPE = 128
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
    one_by_one = Feature.AUXTRACE in header.features
    at, end = header.data_offset, header.data_offset + header.data_size
    buffer = memoryview(bytearray(min(BLOCK_BYTES, header.data_size)))
    while at < end:
        data = buffer[: os.preadv(file.fileno(), [buffer[: end - at]], at)]
        words = header.order.words(data)
        starts, used = record_starts(words, header.order, one_by_one=one_by_one)
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


def record_starts(words: Words, order: Order, *, one_by_one: bool = False) -> tuple[Starts, int]:
    """Word index of each whole record, and the number of words they take."""
    if words.size == 0:
        return np.empty(0, np.int64), 0
    parts: list[Starts] = []
    at = 0
    patience = 0 if one_by_one else PATIENCE
    while at < words.size and patience:
        run, at = _run(words, order, at)
        parts.append(run)
        patience = patience - 1 if run.size < LONG_RUN else PATIENCE
    if at < words.size:
        rest, used = _any_sizes(words[at:], order, one_by_one=one_by_one)
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


def _any_sizes(words: Words, order: Order, *, one_by_one: bool) -> tuple[list[Starts], int]:
    """Records of any sizes, in parts, and where the last one ends: maybe behind the words."""
    stretches = _Stretches(words, order, one_by_one=one_by_one)
    parts: list[Starts] = []
    at = 0
    while at < words.size:
        verified = stretches.from_start(at)
        if verified is None:
            part, at = _walk(words, order, at, stretches.starts_set)
        else:
            part, at = verified
        parts.append(part)
    return parts, at


class _Stretches:
    """Guessed record starts, one every STRETCH_WORDS, and what follows from each."""

    def __init__(self, words: Words, order: Order, *, one_by_one: bool) -> None:
        guesses = np.empty(0, np.int64) if one_by_one else _guess(words, order)
        self.starts_set = {int(start): i for i, start in enumerate(guesses)}
        self._starts = guesses
        limits = np.append(guesses[1:], words.size)
        trail, self._exits = _walk_in_step(words, order, guesses, limits)
        inside = trail < limits
        self._counts = np.concatenate(([0], np.cumsum(inside.sum(axis=0))))
        self._visited = trail.T[inside.T]
        wrong = self._exits[:-1] != guesses[1:] if guesses.size else np.empty(0, bool)
        self._breaks = np.append(np.flatnonzero(wrong), guesses.size - 1)

    def from_start(self, at: int) -> tuple[Starts, int] | None:
        """Records from `at` on to the next wrong guess, and where they end; None if no guess."""
        first = self.starts_set.get(at)
        if first is None:
            return None
        last = int(self._breaks[np.searchsorted(self._breaks, first)])
        end = int(self._exits[last])
        visited = self._visited[self._counts[first] : self._counts[last + 1]]
        if end < 0:
            raise _zero_size(int(visited[-1]))
        return visited, end


def _guess(words: Words, order: Order) -> Starts:
    """A likely record start in each stretch: a header that leads to another header."""
    whole = words.size // STRETCH_WORDS
    windows = words[: whole * STRETCH_WORDS].reshape(whole, STRETCH_WORDS)[:, :GUESS_WINDOW]
    stretch, place = np.nonzero(_plausible(windows, order))
    spots = stretch * STRETCH_WORDS + place
    targets = spots + order.steps(words[spots])
    good = targets < words.size
    good[good] = _plausible(words[targets[good]], order)
    _, first = np.unique(stretch[good], return_index=True)
    return distinct(np.append(spots[good][first], 0))


def _plausible(headers: Words, order: Order) -> NDArray[np.bool_]:
    """Whether a word could be a record's header."""
    kind, size = order.types(headers), order.sizes(headers)
    plausible: NDArray[np.bool_] = (kind > 0) & (kind < MAX_TYPE) & (size >= MIN_RECORD_BYTES)
    plausible &= size & np.uint64(7) == 0
    return plausible


def _walk_in_step(
    words: Words, order: Order, starts: Starts, limits: Starts
) -> tuple[Starts, Starts]:
    """(positions [steps, stretches], exits): -1 as exit where a record claims no size.

    All stretches take the same number of steps: what lies behind a stretch's limit means nothing.
    """
    following = np.arange(words.size + 1)
    following[:-1] += order.steps(words)
    np.minimum(following, words.size, out=following)
    trail = [starts]
    at = starts
    while ((at < limits) & (following[at] != at)).any():
        for _ in range(STEPS):
            at = following[at]
            trail.append(at)
    positions = np.array(trail)
    steps = (positions < limits).sum(axis=0)
    stuck = steps == len(trail)
    exits = positions[np.where(stuck, 0, steps), np.arange(starts.size)]
    return positions, np.where(stuck, -1, exits)


def _walk(words: Words, order: Order, at: int, stops: dict[int, int]) -> tuple[Starts, int]:
    """Follow the chain one by one from `at` to a guessed start or the end."""
    found: list[int] = []
    plain: memoryview[int] = words.data  # gives Python's integers, ten times faster than NumPy's
    while at < words.size and (not found or at not in stops):
        found.append(at)
        kind, size = order.type_and_size(plain[at])
        step = size >> 3
        if step == 0:
            raise _zero_size(at)
        if kind == Record.AUXTRACE and 1 < step <= words.size - at:
            step += (plain[at + 1] + 7) >> 3  # raw trace data follows the record
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
