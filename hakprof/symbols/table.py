"""The functions of one ELF file, sorted by address and bounded by their size.

Addresses behind a function's end belong to nobody: without that bound `_int_free` becomes its
neighbour. Of several names for one address the one that a programmer knows wins: `malloc`, not
`operator new` or `__libc_malloc`.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hakprof.errors import InputError
from hakprof.profile import Addresses, Ints
from hakprof.symbols.elf_image import SHT_NOBITS, ElfImage, Section, c_string

SYMBOL = np.dtype(
    [
        ("name", "u4"),
        ("info", "u1"),
        ("other", "u1"),
        ("section", "u2"),
        ("address", "u8"),
        ("size", "u8"),
    ]
)
CODE_TYPES = (2, 10)  # STT_FUNC, STT_GNU_IFUNC
BIND_WEAK = 2
RANK_OF_BINDING = (3, 1, 2)  # local, global, weak
SHT_SYMTAB, SHT_DYNSYM = 2, 11
KNOWN = frozenset(
    {"malloc", "free", "calloc", "realloc", "memalign", "aligned_alloc", "posix_memalign"}
)
NESTING = 8
"""How many functions that begin later may end before the one that covers an address."""

PLT_SECTIONS = {62: (".plt.sec", 0), 183: (".plt", 32)}
"""e_machine -> section of the stubs, and bytes before the first; 16 bytes a stub."""

PLT_STUB_BYTES = 16
RELOCATION = "QQq"


@dataclass(frozen=True, slots=True)
class Function:
    """A stretch of code with a name."""

    name: str
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class Columns:
    """Functions as arrays; names are zero-terminated and lie in `strings` at `name`."""

    start: Addresses
    size: Addresses  # 0: up to the next one
    name: Ints
    strings: bytes

    def name_at(self, row: int) -> str:
        """The name, without the version that some linkers append."""
        return c_string(self.strings, int(self.name[row])).split("@@", 1)[0]

    def joined(self, functions: list[Function]) -> "Columns":
        """With further functions behind."""
        raw = [function.name.encode() + b"\0" for function in functions]
        places = np.cumsum([len(self.strings), *map(len, raw)][: len(raw)], dtype=np.int64)
        return Columns(
            np.append(self.start, np.array([f.start for f in functions], np.uint64)),
            np.append(self.size, np.array([f.size for f in functions], np.uint64)),
            np.append(self.name, places),
            b"".join([self.strings, *raw]),
        )


NO_FUNCTIONS = Columns(np.empty(0, np.uint64), np.empty(0, np.uint64), np.empty(0, np.int64), b"")


class FunctionTable:
    """Functions of one file, one an address. Names are decoded when somebody asks."""

    def __init__(self, columns: Columns, rank: Ints | None = None) -> None:
        keys = (columns.start,) if rank is None else (rank, columns.start)
        order = np.lexsort(keys)
        starts = columns.start[order]
        first = np.ones(starts.size, np.bool_)
        first[1:] = starts[1:] != starts[:-1]
        self._columns = columns
        self._rows = order[first]
        self._starts = starts[first]
        sizes = columns.size[order]
        longest = np.maximum.reduceat(sizes, np.flatnonzero(first)) if starts.size else sizes
        following = np.append(self._starts[1:], self._starts[-1:] + np.uint64(1))
        self._ends = np.where(longest > 0, self._starts + longest, following)
        self._reach = np.maximum.accumulate(self._ends) if starts.size else self._ends

    def __len__(self) -> int:
        return int(self._starts.size)

    def find(self, addresses: Addresses) -> Ints:
        """Index of the function that covers each address, -1 where none does."""
        if not len(self):
            return np.full(addresses.size, -1)
        at = np.searchsorted(self._starts, addresses, side="right").astype(np.int64) - 1
        for _ in range(NESTING):
            outside = (at >= 0) & (addresses >= self._ends[at]) & (addresses < self._reach[at])
            if not outside.any():
                break
            at[outside] -= 1
        return np.where((at >= 0) & (addresses < self._ends[at]), at, -1)

    def function(self, index: int) -> Function:
        """The function of an index that `find` gave."""
        start, end = int(self._starts[index]), int(self._ends[index])
        return Function(self._columns.name_at(int(self._rows[index])), start, end - start)

    def all(self) -> Iterator[Function]:
        """Every function."""
        return (self.function(i) for i in range(len(self)))


def function_table(image: ElfImage) -> FunctionTable:
    """Functions out of .symtab, else .dynsym, and the stubs of the PLT. Raises InputError."""
    columns, bindings = _symbols(image)
    rank = _rank(columns, bindings)
    stubs = list(_plt_stubs(image))
    return FunctionTable(columns.joined(stubs), np.append(rank, np.zeros(len(stubs), np.int64)))


def table_of(functions: list[Function]) -> FunctionTable:
    """A table of functions that come from elsewhere; the first of each address wins."""
    return FunctionTable(NO_FUNCTIONS.joined(functions))


def has_symbols(image: ElfImage) -> bool:
    """Whether it has the full symbol table; a stripped file has only what it exports."""
    return any(s.type == SHT_SYMTAB for s in image.sections)


def _symbols(image: ElfImage) -> tuple[Columns, NDArray[np.uint8]]:
    """Code symbols, and how each is bound."""
    section = _symbol_section(image)
    if section is None:
        return NO_FUNCTIONS, np.empty(0, np.uint8)
    usable = section.size - section.size % SYMBOL.itemsize
    symbols = np.frombuffer(image.read(section)[:usable], SYMBOL.newbyteorder(image.prefix))
    symbols = symbols[np.isin(symbols["info"] & 15, CODE_TYPES) & (symbols["section"] != 0)]
    columns = Columns(
        symbols["address"].astype(np.uint64),
        symbols["size"].astype(np.uint64),
        symbols["name"].astype(np.int64),
        _strings(image, section),
    )
    return columns, symbols["info"] >> 4


def _symbol_section(image: ElfImage) -> Section | None:
    for wanted in (SHT_SYMTAB, SHT_DYNSYM):
        for section in image.sections:
            if section.type == wanted and section.size and section.type != SHT_NOBITS:
                return section
    return None


def _strings(image: ElfImage, symbols: Section) -> bytes:
    if symbols.link >= len(image.sections):
        raise InputError(f"{image.path}: broken ELF file (symbols without names)")
    return image.read(image.sections[symbols.link])


def _rank(columns: Columns, bindings: NDArray[np.uint8]) -> Ints:
    """How little a name is wanted for its address: the lowest wins."""
    rank = np.choose(np.minimum(bindings, BIND_WEAK), RANK_OF_BINDING).astype(np.int64)
    order = np.argsort(columns.start)
    same = columns.start[order][1:] == columns.start[order][:-1]
    shared = np.unique(np.concatenate((order[1:][same], order[:-1][same])))
    for i in shared:  # only addresses with several names
        name = columns.name_at(int(i))
        underscores = len(name) - len(name.lstrip("_"))
        if name in KNOWN:
            rank[i] = -1
        else:
            rank[i] += 10 * underscores + 100 * name.startswith("_Z")
    return rank


def _plt_stubs(image: ElfImage) -> Iterator[Function]:
    """`malloc@plt` and the like: stub i belongs to relocation i of .rela.plt."""
    by_name = image.by_name
    name, skip = PLT_SECTIONS.get(image.machine, ("", 0))
    plt = by_name.get(name)
    if plt is None and image.machine in PLT_SECTIONS:
        plt, skip = by_name.get(".plt"), max(skip, PLT_STUB_BYTES)
    relocations, symbols = by_name.get(".rela.plt"), by_name.get(".dynsym")
    if plt is None or relocations is None or symbols is None:
        return
    table, entries, names = image.read(symbols), image.read(relocations), _strings(image, symbols)
    usable = len(entries) - len(entries) % struct.calcsize(RELOCATION)
    for i, (_, info, _) in enumerate(
        struct.iter_unpack(image.prefix + RELOCATION, entries[:usable])
    ):
        at = (info >> 32) * SYMBOL.itemsize
        start = plt.address + skip + i * PLT_STUB_BYTES
        if 0 < at <= len(table) - SYMBOL.itemsize and start < plt.address + plt.size:
            symbol = c_string(names, struct.unpack_from(image.prefix + "I", table, at)[0])
            yield Function(f"{symbol.split('@', 1)[0]}@plt", start, PLT_STUB_BYTES)
