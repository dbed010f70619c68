"""Reads the live file: the mapping that hakmem counts in (core/src/counters_file.h).

Every size and offset in it is checked against the length of the file before it is used; what lies
beyond the end is reported and left out.
"""

import json
import os
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from hakprof.counters.dump import Dump, State, Thread, Words
from hakprof.counters.layout import Layout, parse_layout
from hakprof.errors import InputError

MAGIC = b"HAKCOUNT"
MAX_TEXT_BYTES = 1 << 20
MAX_BLOCKS = 1 << 16
BYTE_ORDERS = {b"\x04\x03\x02\x01": "<", b"\x01\x02\x03\x04": ">"}
FORMAT = 1
LIVE, FINISHED = 1, 2  # enum hk_block_state, enum hk_file_state
BLOCK_HEAD = "IIQ16s"


@dataclass(frozen=True, slots=True)
class Header:
    """`struct hk_file_header`, field by field."""

    format: int
    header_bytes: int
    state: int
    pid: int
    parent_pid: int
    started_ns: int
    info_at: int
    info_bytes: int
    layout_at: int
    layout_bytes: int
    gauges_at: int
    base_at: int
    ended_at: int
    blocks_at: int
    block_bytes: int
    counts_at: int
    blocks: int
    blocks_in_memory: int
    threads_ended: int
    threads_lost: int
    threads_sharing: int
    moves: int


HEADER = "IIIII17Q"
HEADER_AT = len(MAGIC) + 4
HEADER_BYTES = HEADER_AT + struct.calcsize("<" + HEADER)


def parse_header(data: bytes) -> tuple[str, Header]:
    """Byte order ("<" or ">") and header. Raises InputError if this is not a live file."""
    if not data.startswith(MAGIC):
        raise InputError("not a counter file")
    if len(data) < HEADER_BYTES:
        raise InputError(f"cut short: {len(data)} bytes, the header alone has {HEADER_BYTES}")
    order = BYTE_ORDERS.get(data[len(MAGIC) : HEADER_AT])
    if order is None:
        raise InputError("the byte order mark is damaged")
    header = Header(*struct.unpack_from(order + HEADER, data, HEADER_AT))
    if header.format != FORMAT:
        raise InputError(
            f"file format {header.format}, this hakprof reads format {FORMAT}",
            advice="read it with the hakprof that came with this hakmem",
        )
    return order, header


def parse_live(data: bytes, source: str) -> Dump:
    """The counts in a live file. Raises InputError where nothing can be made of it."""
    order, header = parse_header(data)
    problems: list[str] = []
    layout = parse_layout(_text(data, "layout", header.layout_at, header.layout_bytes))
    reader = _Reader(data, order, header, layout, problems)
    info = reader.info()
    threads = reader.threads()
    if header.moves % 2:
        problems.append("written while a thread's counts were being moved: one may count twice")
    if header.blocks_in_memory:
        problems.append(
            f"up to {header.blocks_in_memory} threads counted in memory only, "
            "for their file could not grow: they are missing until they end"
        )
    return Dump(
        source=source,
        layout=layout,
        state=State.FINISHED if header.state == FINISHED else _running_or_died(header.pid),
        pid=header.pid,
        parent_pid=header.parent_pid,
        started_ns=header.started_ns,
        written_ns=0,
        threads_ended=header.threads_ended,
        threads_lost=header.threads_lost,
        threads_sharing=header.threads_sharing,
        info=info,
        gauges=reader.words("gauges", header.gauges_at, layout.gauge_words),
        base=reader.counts("base", header.base_at),
        ended=reader.counts("ended", header.ended_at),
        threads=threads,
        problems=tuple(problems),
    )


def _running_or_died(pid: int) -> State:
    if pid == 0:
        return State.DIED
    try:
        os.kill(pid, 0)
    except PermissionError:
        return State.RUNNING
    except (ProcessLookupError, OverflowError):
        return State.DIED
    return State.RUNNING


def _text(data: bytes, name: str, at: int, size: int) -> Any:  # noqa: ANN401 # any JSON
    if size > MAX_TEXT_BYTES or at + size > len(data):
        raise InputError(f"the {name} lies outside of the file: {size} bytes at {at}")
    try:
        return json.loads(data[at : at + size].decode(errors="replace"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"the {name} is damaged: {error}") from error


@dataclass(frozen=True, slots=True)
class _Reader:
    data: bytes
    order: str
    header: Header
    layout: Layout
    problems: list[str]

    def info(self) -> dict[str, Any]:
        try:
            found = _text(self.data, "info", self.header.info_at, self.header.info_bytes)
        except InputError as error:
            self.problems.append(error.message)
            return {}
        return found if isinstance(found, dict) else {}

    def words(self, name: str, at: int, count: int) -> Words:
        """`count` words at `at`; zeros and a problem where they are not in the file."""
        if at % 8 or at + 8 * count > len(self.data):
            self.problems.append(f"cut short: {name} is not in the file")
            return np.zeros(count, np.uint64)
        return np.frombuffer(self.data, self.order + "u8", count, at).astype(np.uint64)

    def counts(self, name: str, block_at: int) -> Words:
        return self.words(name, block_at + self.header.counts_at, self.layout.counter_words)

    def threads(self) -> tuple[Thread, ...]:
        head = self.header
        block_head = struct.calcsize("<" + BLOCK_HEAD)
        counts_end = max(head.counts_at, block_head) + 8 * self.layout.counter_words
        if head.block_bytes < counts_end:
            self.problems.append(f"a block of {head.block_bytes} bytes cannot hold its counts")
            return ()
        inside = max(0, len(self.data) - head.blocks_at) // head.block_bytes
        if head.blocks > min(inside, MAX_BLOCKS):
            self.problems.append(f"cut short: {inside} of {head.blocks} thread blocks are there")
        found = []
        for index in range(min(head.blocks, inside, MAX_BLOCKS)):
            at = head.blocks_at + index * head.block_bytes
            state, tid, started_ns, name = struct.unpack_from(
                self.order + BLOCK_HEAD, self.data, at
            )
            if state == LIVE:
                text = name.split(b"\0")[0].decode(errors="replace")
                found.append(Thread(tid, text, started_ns, self.counts(f"thread {tid}", at)))
        return tuple(found)
