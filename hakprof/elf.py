"""What an ELF file says of itself: architecture, build id, loader, and the allocation functions.

The only module that touches pyelftools. Its parsers raise all sorts of exceptions on broken
files, so they are contained here: everything that goes wrong is one `InputError`. Only bounded
parts of a file are read, so that a hostile one costs neither time nor memory.

Source of the layouts: the System V ABI (gABI 4.1, chapters 4 and 5) and elf(5).
"""

import functools
import os
import re
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from hakprof.errors import InputError

ENTRY_POINTS = (
    "malloc",
    "free",
    "calloc",
    "realloc",
    "memalign",
    "aligned_alloc",
    "posix_memalign",
    "valloc",
    "pvalloc",
    "malloc_usable_size",
)
"""The functions that an allocator replaces as a whole or not at all."""

MACHINES = {
    "EM_X86_64": "x86-64",
    "EM_386": "x86 (32 bit)",
    "EM_AARCH64": "aarch64",
    "EM_ARM": "arm (32 bit)",
    "EM_RISCV": "riscv",
    "EM_PPC64": "ppc64",
    "EM_S390": "s390x",
}

TABLE_LIMIT_BYTES = 1 << 28
HEADERS_LIMIT = 1 << 16
SHEBANG_LIMIT_BYTES = 256  # what the kernel itself reads of a first line (binfmt_script)
SHEBANG_DEPTH = 5

# An entry point, or a malloc under a private name: je_malloc, mi_malloc, rpmalloc.
_ALLOCATION = re.compile(rb"(?:" + "|".join(ENTRY_POINTS).encode() + rb"|[a-z]{2,4}_?malloc)\0")
_SHN_UNDEF = 0


@dataclass(frozen=True, slots=True)
class ElfFacts:
    """One ELF file. Names are those of its symbol tables, without versions."""

    path: Path
    machine: str
    is_shared_library: bool
    is_static: bool  # an executable that no dynamic loader starts: LD_PRELOAD has no effect
    is_privileged: bool  # setuid, setgid or file capabilities: the loader ignores LD_PRELOAD
    build_id: str  # "" if the linker wrote none
    needed: tuple[str, ...]  # DT_NEEDED
    imports: frozenset[str]
    exports: frozenset[str]  # allocation functions that others can bind to
    hidden: frozenset[str]  # allocation functions of its own that nobody else can bind to
    has_symbol_table: bool  # without .symtab nobody knows what is hidden


def read(path: Path) -> ElfFacts:
    """Facts of the file at `path`, remembered until it changes. Raises InputError."""
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror}", advice="check the path"
        ) from error
    if not stat.S_ISREG(status.st_mode):  # opening a pipe or a terminal could wait for ever
        raise InputError(f"{path} is not a regular file", advice="name a program or a library")
    identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_mode)
    return _read(path, identity)


def started_file(program: Path) -> Path:
    """The file that the kernel maps to run `program`: itself, or the interpreter of a script."""
    found = program
    for _ in range(SHEBANG_DEPTH):
        interpreter = _shebang(found)
        if interpreter is None:
            return found.resolve()
        found = interpreter
    raise InputError(f"{program}: scripts that interpret scripts, too deep", advice="run the last")


def _shebang(path: Path) -> Path | None:
    try:
        with path.open("rb") as file:
            line = file.read(SHEBANG_LIMIT_BYTES).split(b"\n", 1)[0]
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror}", advice="check the path"
        ) from error
    words = line[2:].split(None, 1)
    return Path(os.fsdecode(words[0])) if line.startswith(b"#!") and words else None


@functools.lru_cache(maxsize=256)
def _read(path: Path, identity: tuple[int, ...]) -> ElfFacts:
    del identity  # only part of the key
    from elftools.elf.elffile import ELFFile  # noqa: PLC0415 - 80 ms that most commands never need

    try:
        with path.open("rb") as file:
            _require_elf(path, file)
            return _facts(path, file, ELFFile(file))
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # pyelftools raises KeyError, struct.error and more
        raise InputError(
            f"{path} is a broken ELF file ({type(error).__name__})", advice="build or fetch it anew"
        ) from error


def _require_elf(path: Path, file: BinaryIO) -> None:
    if file.read(4) != b"\x7fELF":
        raise InputError(f"{path} is not an ELF file", advice="name a program or a library")


def _facts(path: Path, file: BinaryIO, elf: Any) -> ElfFacts:  # noqa: ANN401 - an untyped library
    if elf.num_segments() > HEADERS_LIMIT or elf.num_sections() > HEADERS_LIMIT:
        raise InputError(f"{path} is a broken ELF file (too many headers)")
    segments = list(elf.iter_segments())
    kinds = {segment["p_type"] for segment in segments}
    dynamic = next((s for s in segments if s["p_type"] == "PT_DYNAMIC"), None)
    tags = list(dynamic.iter_tags()) if dynamic else []
    imports, exports = _split(_symbols(elf, ".dynsym"))
    _, defined = _split(_symbols(elf, ".symtab"))
    is_library = elf["e_type"] == "ET_DYN" and not _is_pie(tags, kinds)
    machine = elf["e_machine"]
    return ElfFacts(
        path=path,
        machine=MACHINES.get(machine, str(machine).removeprefix("EM_").lower()),
        is_shared_library=is_library,
        is_static="PT_INTERP" not in kinds and not is_library,
        is_privileged=_privileged(path, file),
        build_id=_build_id(segments),
        needed=tuple(tag.needed for tag in tags if tag["d_tag"] == "DT_NEEDED"),
        imports=frozenset(imports),
        exports=frozenset(exports),
        hidden=frozenset(defined) - frozenset(exports),
        has_symbol_table=elf.get_section_by_name(".symtab") is not None,
    )


def _is_pie(tags: list[Any], segment_kinds: set[str]) -> bool:
    """A position-independent executable says so, or (by an old linker) names a loader.

    A library may name a loader as well: libc.so.6 can be run. But it has a name of its own.
    """
    flags = next((tag["d_val"] for tag in tags if tag["d_tag"] == "DT_FLAGS_1"), 0)
    named = any(tag["d_tag"] == "DT_SONAME" for tag in tags)
    return bool(flags & 0x08000000) or ("PT_INTERP" in segment_kinds and not named)  # DF_1_PIE


def _build_id(segments: list[Any]) -> str:
    for segment in segments:
        if segment["p_type"] == "PT_NOTE" and segment["p_filesz"] < TABLE_LIMIT_BYTES:
            for note in segment.iter_notes():
                if note["n_type"] == "NT_GNU_BUILD_ID":
                    return str(note["n_desc"])
    return ""


def _privileged(path: Path, file: BinaryIO) -> bool:
    if os.fstat(file.fileno()).st_mode & (stat.S_ISUID | stat.S_ISGID):
        return True
    try:
        return bool(os.getxattr(path, "security.capability"))
    except OSError:  # none, or a file system without attributes
        return False


def _symbols(elf: Any, table: str) -> Iterator[tuple[bytes, int, bool]]:  # noqa: ANN401
    """(string table, offset of the name in it, is defined) of each symbol, read in bulk."""
    section = elf.get_section_by_name(table)
    if section is None or section["sh_type"] == "SHT_NOBITS":
        return
    strings = elf.get_section(section["sh_link"])
    for part in (section, strings):
        if part["sh_size"] > TABLE_LIMIT_BYTES:
            raise InputError(f"{elf.stream.name} is a broken ELF file ({part.name} too large)")
    names = strings.data()
    order = "<" if elf.little_endian else ">"
    layout, index = ("IBBHQQ", 3) if elf.elfclass == 64 else ("IIIBBH", 5)  # noqa: PLR2004 - bits
    entries = section.data()
    entry = struct.Struct(order + layout)
    for fields in entry.iter_unpack(entries[: len(entries) - len(entries) % entry.size]):
        yield names, fields[0], fields[index] != _SHN_UNDEF


def _split(symbols: Iterator[tuple[bytes, int, bool]]) -> tuple[set[str], set[str]]:
    """All undefined names, and the allocation functions among the defined ones."""
    undefined: set[str] = set()
    defined: set[str] = set()
    for names, offset, is_defined in symbols:
        if is_defined:
            if match := _ALLOCATION.match(names, offset):
                defined.add(match[0][:-1].decode())
        elif offset:
            end = names.find(b"\0", offset)
            undefined.add(names[offset:end].decode(errors="replace"))
    return undefined, defined
