"""The header of a perf.data file: events, and the sections that say where it comes from."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from hakprof.errors import InputError
from hakprof.perfdata.layout import (
    HEADER_SIZE,
    MAGIC,
    MISC_BUILD_ID_SIZE,
    PIPE_HEADER_SIZE,
    Attr,
    Feature,
    Order,
    parse_attr,
)

MAX_SECTION_BYTES = 64 << 20
"""More than any section but the data ever holds."""

MAX_EVENTS = 4096
ID_SECTION_BYTES = 16
BUILD_ID_BYTES = 20
BUILD_ID_EVENT_BYTES = 36


@dataclass(frozen=True, slots=True)
class Event:
    """One recorded event: its name as perf wrote it, its attributes, the ids of its samples."""

    name: str
    attr: Attr
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Header:
    """What the file says of itself. Strings are empty where the section is missing."""

    order: Order
    data_offset: int
    data_size: int
    events: tuple[Event, ...]
    features: frozenset[int]
    hostname: str
    os_release: str
    perf_version: str
    arch: str
    command: tuple[str, ...]
    build_ids: Mapping[str, str]  # path as in the mappings -> hexadecimal build id


def read_header(file: BinaryIO) -> Header:
    """Decode everything but the records. Raises InputError."""
    size = os.fstat(file.fileno()).st_size
    order, fields = _fixed_part(file, size)
    attr_size, attrs, data = fields[0], fields[1:3], fields[3:5]
    bitmap = fields[7:11]
    if data[1] == 0:
        raise InputError(
            "the recording was never finished (its data size is 0)",
            advice="record again and let perf end by itself or by Ctrl-C",
        )
    if sum(data) > size:
        raise InputError(
            f"truncated: its data should end at byte {sum(data)}, the file at {size}",
            advice="copy or record it again",
        )
    features = frozenset(
        64 * i + bit for i, word in enumerate(bitmap) for bit in range(64) if word >> bit & 1
    )
    if Feature.DIR_FORMAT in features:
        raise InputError(
            "a perf.data directory (perf record --threads) is not read",
            advice="record without --threads",
        )
    sections = _feature_sections(file, order, sum(data), features)
    bare = _events(_pread(file, *attrs), attr_size, order, file)
    return Header(
        order=order,
        data_offset=data[0],
        data_size=data[1],
        events=_named(bare, sections.get(Feature.EVENT_DESC, b""), order),
        features=features,
        hostname=_string(sections.get(Feature.HOSTNAME), order),
        os_release=_string(sections.get(Feature.OSRELEASE), order),
        perf_version=_string(sections.get(Feature.VERSION), order),
        arch=_string(sections.get(Feature.ARCH), order),
        command=_strings(sections.get(Feature.CMDLINE), order),
        build_ids=_build_ids(sections.get(Feature.BUILD_ID, b""), order),
    )


def _fixed_part(file: BinaryIO, size: int) -> tuple[Order, tuple[int, ...]]:
    """The byte order, and what follows magic and size: 11 words."""
    head = os.pread(file.fileno(), HEADER_SIZE, 0)
    if head[:8] == MAGIC:
        order = Order("<")
    elif head[:8] == MAGIC[::-1]:
        order = Order(">")
    elif head[:8] == b"PERFFILE":
        raise InputError("written by perf older than 2.6.33", advice="record with a newer perf")
    else:
        raise InputError("not a perf.data file (no PERFILE2 at its start)")
    if len(head) < PIPE_HEADER_SIZE:
        raise InputError(f"truncated: only {size} bytes")
    if order.unpack("Q", head, 8)[0] == PIPE_HEADER_SIZE:
        raise InputError(
            "recorded through a pipe (perf record -o -), which has no table of contents",
            advice="record into a file: perf record -o FILE",
        )
    if len(head) < HEADER_SIZE:
        raise InputError(f"truncated: only {size} bytes")
    return order, order.unpack("11Q", head, 16)


def _pread(file: BinaryIO, offset: int, size: int) -> bytes:
    if size > MAX_SECTION_BYTES:
        raise InputError(f"a section claims {size} bytes")
    data = os.pread(file.fileno(), size, offset) if offset < 1 << 62 else b""
    if len(data) != size:
        raise InputError(f"truncated: {size} bytes at {offset} are not all there")
    return data


def _feature_sections(
    file: BinaryIO, order: Order, at: int, features: frozenset[int]
) -> dict[int, bytes]:
    """Feature -> its bytes. The table of (offset, size) lies right behind the data."""
    wanted = {f.value for f in Feature}
    table = _pread(file, at, 16 * len(features))
    return {
        feature: _pread(file, *order.unpack("QQ", table, 16 * i))
        for i, feature in enumerate(sorted(features))
        if feature in wanted
    }


def _events(data: bytes, entry_size: int, order: Order, file: BinaryIO) -> list[Event]:
    """The attribute section: entries of one attribute and the place of its ids."""
    if entry_size <= ID_SECTION_BYTES or not data or len(data) % entry_size:
        raise InputError(f"{len(data)} bytes of events of {entry_size} bytes each")
    if len(data) // entry_size > MAX_EVENTS:
        raise InputError(f"{len(data) // entry_size} events, the most is {MAX_EVENTS}")
    events = []
    for at in range(0, len(data), entry_size):
        ids_at, ids_size = order.unpack("QQ", data, at + entry_size - ID_SECTION_BYTES)
        ids = order.unpack(f"{ids_size // 8}Q", _pread(file, ids_at, ids_size))
        attr = parse_attr(data[at : at + entry_size - ID_SECTION_BYTES], order)
        events.append(Event("", attr, ids))
    return events


def _named(events: list[Event], data: bytes, order: Order) -> tuple[Event, ...]:
    """The events with the names of the EVENT_DESC section, which lists them in the same order."""
    names: list[str] = []
    if data:
        count, attr_size = order.unpack("II", data)
        at = 8
        for _ in range(min(count, len(events))):
            (ids,) = order.unpack("I", data, at + attr_size)
            name, at = _string_at(data, at + attr_size + 4, order)
            at += 8 * ids
            names.append(name)
    names += [f"event {e.attr.type}:{e.attr.config:#x}" for e in events[len(names) :]]
    return tuple(
        Event(name, event.attr, event.ids) for name, event in zip(names, events, strict=True)
    )


def _string_at(data: bytes, at: int, order: Order) -> tuple[str, int]:
    """A counted string (zero padded) and the place behind it."""
    (length,) = order.unpack("I", data, at)
    if at + 4 + length > len(data):
        raise InputError(f"a string of {length} bytes does not fit its section")
    return text(data[at + 4 : at + 4 + length]), at + 4 + length


def _string(data: bytes | None, order: Order) -> str:
    return _string_at(data, 0, order)[0] if data else ""


def _strings(data: bytes | None, order: Order) -> tuple[str, ...]:
    if not data:
        return ()
    (count,) = order.unpack("I", data)
    at, found = 4, []
    for _ in range(count):
        one, at = _string_at(data, at, order)
        found.append(one)
    return tuple(found)


def _build_ids(data: bytes, order: Order) -> dict[str, str]:
    """The BUILD_ID section: records of pid, id (20 bytes, then its length) and path."""
    found = {}
    at = 0
    while at < len(data):
        _, misc, size = order.unpack("IHH", data, at)
        if size <= BUILD_ID_EVENT_BYTES or at + size > len(data):
            raise InputError(f"a build id entry claims {size} bytes")
        raw = data[at + 12 : at + 12 + BUILD_ID_BYTES]
        length = data[at + 32] if misc & MISC_BUILD_ID_SIZE else BUILD_ID_BYTES
        path = text(data[at + BUILD_ID_EVENT_BYTES : at + size])
        found[path] = raw[:length].hex()
        at += size
    return found


def text(raw: bytes) -> str:
    """A zero-terminated string; bytes that are no UTF-8 stay visible as escapes."""
    return raw.split(b"\0", 1)[0].decode("utf-8", "backslashreplace")
