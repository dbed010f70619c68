"""The parts of an ELF file that addresses are translated with: segments, sections, build id.

Broken files end in one InputError; no count or size of the file is believed before it is checked
against the file's length. Layout: System V ABI, chapters 4 and 5.
"""

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from hakprof.errors import InputError
from hakprof.profile import Addresses

ELF_HEADER_BYTES = 64
PT_LOAD, PT_NOTE = 1, 4
SHT_NOBITS = 8
PF_X = 1
NT_GNU_BUILD_ID = 3
MAX_READ_BYTES = 1 << 29


@dataclass(frozen=True, slots=True)
class ElfClass:
    """What lies where in files of 32 and of 64 bits, as struct's format characters."""

    bits: int
    tables: tuple[str, int]  # of segments and of sections: their offsets, and where these stand
    counts_at: int  # size and number of segments, of sections, index of the section of names
    section: str
    segment: str
    flags: int  # index in a segment's row; the rest of it has the same order in both


CLASSES = {
    1: ElfClass(32, ("II", 28), 42, "10I", "8I", 6),
    2: ElfClass(64, ("QQ", 32), 54, "IIQQQQIIQQ", "IIQQQQQQ", 1),
}
"""EI_CLASS -> layout."""


@dataclass(frozen=True, slots=True)
class Section:
    """One row of the section table."""

    name: str
    type: int
    address: int
    offset: int
    size: int
    link: int
    entry_size: int


@dataclass(frozen=True, slots=True)
class Segment:
    """One PT_LOAD: bytes of the file that are mapped at an address."""

    address: int
    offset: int
    size: int  # in the file
    executable: bool


@dataclass(frozen=True, slots=True)
class ElfImage:
    """An opened ELF file. Addresses are the file's own, before it is moved anywhere."""

    path: Path
    prefix: Literal["<", ">"]
    bits: int  # 32 or 64
    machine: int  # e_machine
    sections: tuple[Section, ...]
    segments: tuple[Segment, ...]
    build_id: str  # "" if it has none

    @property
    def by_name(self) -> Mapping[str, Section]:
        """Sections by name."""
        return {section.name: section for section in self.sections}

    @property
    def has_debug_info(self) -> bool:
        """Whether it says which line an address comes from."""
        info = self.by_name.get(".debug_info")
        return info is not None and info.type != SHT_NOBITS

    def read(self, section: Section) -> bytes:
        """The contents of a section; empty where the file does not hold them."""
        if section.type == SHT_NOBITS:
            return b""
        return _read(self.path, section.offset, section.size)

    def read_code(self, address: int, size: int) -> bytes:
        """Bytes as they are mapped at `address`, as many of `size` as its segment has."""
        for segment in self.segments:
            inside = address - segment.address
            if 0 <= inside < segment.size:
                return _read(self.path, segment.offset + inside, min(size, segment.size - inside))
        return b""

    def addresses(self, offsets: Addresses) -> Addresses:
        """File offsets to addresses; an offset outside of all code stays as it is."""
        found = offsets.copy()
        for segment in sorted(self.segments, key=lambda s: s.executable):
            inside = offsets - np.uint64(segment.offset) < np.uint64(segment.size)
            found[inside] = offsets[inside] + np.uint64((segment.address - segment.offset) % 2**64)
        return found

    def offsets(self, addresses: Addresses) -> Addresses:
        """The other way round."""
        found = addresses.copy()
        for segment in sorted(self.segments, key=lambda s: s.executable):
            inside = addresses - np.uint64(segment.address) < np.uint64(segment.size)
            moved = np.uint64((segment.offset - segment.address) % 2**64)
            found[inside] = addresses[inside] + moved
        return found


def open_image(path: Path) -> ElfImage:
    """Read headers and build id of the file at `path`. Raises InputError."""
    try:
        head = _read(path, 0, ELF_HEADER_BYTES)
        if head[:4] != b"\x7fELF":
            raise InputError(f"{path}: not an ELF file")
        if head[4] not in CLASSES:
            raise InputError(f"{path}: broken ELF file (neither of 32 nor of 64 bits)")
        prefix: Literal["<", ">"] = "<" if head[5] == 1 else ">"
        return _parse(path, prefix, CLASSES[head[4]], head)
    except (struct.error, IndexError) as error:
        raise InputError(f"{path}: broken ELF file ({error})") from error


def parse_build_id(notes: bytes, prefix: str) -> str:
    """The GNU build id among a segment's notes, "" if it is not there."""
    at = 0
    while at + 12 <= len(notes):
        name_size, size, kind = struct.unpack_from(prefix + "III", notes, at)
        name = at + 12
        body = name + (name_size + 3 & ~3)
        if kind == NT_GNU_BUILD_ID and notes[name : name + 4] == b"GNU\0":
            return notes[body : body + size].hex()
        at = body + (size + 3 & ~3)
    return ""


def _read(path: Path, offset: int, size: int) -> bytes:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            there = os.fstat(file).st_size
            if size > MAX_READ_BYTES or offset + size > there:
                raise InputError(f"{path}: broken ELF file ({size} bytes at {offset} of {there})")
            return os.pread(file, size, offset)
        finally:
            os.close(file)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from error
    except ValueError as error:  # a name with a zero byte
        raise InputError(f"{str(path)!r} cannot be read ({error})") from error


def _parse(path: Path, prefix: Literal["<", ">"], layout: ElfClass, head: bytes) -> ElfImage:
    machine = struct.unpack_from(prefix + "H", head, 18)[0]
    words, tables_at = layout.tables
    segments_at, sections_at = struct.unpack_from(prefix + words, head, tables_at)
    segment_size, segment_count, section_size, section_count, names_at = struct.unpack_from(
        prefix + "5H", head, layout.counts_at
    )
    rows = _rows(path, prefix + layout.section, sections_at, section_size, section_count)
    sections = _sections(path, rows, names_at)
    segments = []
    build_id = ""
    for row in _rows(path, prefix + layout.segment, segments_at, segment_size, segment_count):
        flags = row[layout.flags]
        kind, offset, address, _, size = (*row[: layout.flags], *row[layout.flags + 1 :])[:5]
        if kind == PT_LOAD:
            segments.append(Segment(address, offset, size, bool(flags & PF_X)))
        elif kind == PT_NOTE and not build_id:
            build_id = _note_id(path, prefix, offset, size)
    if not build_id:  # a debug file's segments may point to nothing; its sections do not
        note = next((s for s in sections if s.name == ".note.gnu.build-id"), None)
        if note is not None and note.type != SHT_NOBITS:
            build_id = parse_build_id(_read(path, note.offset, note.size), prefix)
    return ElfImage(path, prefix, layout.bits, machine, tuple(sections), tuple(segments), build_id)


def _note_id(path: Path, prefix: str, offset: int, size: int) -> str:
    try:
        return parse_build_id(_read(path, offset, size), prefix)
    except InputError:
        return ""


def _sections(path: Path, rows: list[tuple[int, ...]], names_at: int) -> list[Section]:
    if names_at >= len(rows):
        return []
    strings = rows[names_at]
    names = b"" if strings[1] == SHT_NOBITS else _read(path, strings[4], strings[5])
    return [
        Section(
            name=c_string(names, row[0]),
            type=row[1],
            address=row[3],
            offset=row[4],
            size=row[5],
            link=row[6],
            entry_size=row[9],
        )
        for row in rows
    ]


def _rows(path: Path, form: str, at: int, size: int, count: int) -> list[tuple[int, ...]]:
    if not count:
        return []
    if size < struct.calcsize(form):
        raise InputError(f"{path}: broken ELF file (a table of rows of {size} bytes)")
    table = _read(path, at, size * count)
    return [struct.unpack_from(form, table, size * i) for i in range(count)]


def c_string(table: bytes, at: int) -> str:
    """The zero-terminated string at `at` of a string table."""
    end = table.find(b"\0", at)
    return table[at : end if end >= 0 else len(table)].decode("utf-8", "backslashreplace")
