"""The functions of one ELF file, sorted by address and bounded by their size.

Addresses behind a function's end belong to nobody: without that bound `_int_free` becomes its
neighbour. Of several names for one address the one that a programmer knows wins: `malloc`, not
`operator new` or `__libc_malloc`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hakprof.errors import InputError
from hakprof.profile import Addresses, Ints
from hakprof.symbols.elf_image import SHT_NOBITS, ElfImage, Section, c_string

_INFO = [("info", "u1"), ("other", "u1"), ("section", "u2")]
SYMBOL = {
    32: np.dtype([("name", "u4"), ("address", "u4"), ("size", "u4"), *_INFO]),
    64: np.dtype([("name", "u4"), *_INFO, ("address", "u8"), ("size", "u8")]),
}
"""Bits of the file -> a row of a symbol table."""

CODE_TYPES = (2, 10)  # STT_FUNC, STT_GNU_IFUNC
BIND_WEAK = 2
RANK_OF_BINDING = (3, 1, 2)  # local, global, weak
RANKS, MANGLED = 10, 100
SHT_SYMTAB, SHT_DYNSYM = 2, 11
KNOWN = frozenset(
    {"malloc", "free", "calloc", "realloc", "memalign", "aligned_alloc", "posix_memalign"}
)
NESTING = 8
"""How many functions that begin later may end before the one that covers an address."""

PLT_SECTIONS = {3: (".plt.sec", 0), 62: (".plt.sec", 0), 183: (".plt", 32)}
"""e_machine -> section of the stubs, and bytes before the first; 16 bytes a stub."""

PLT_STUB_BYTES = 16
RELOCATIONS = {
    32: (".rel.plt", np.dtype([("offset", "u4"), ("info", "u4")]), 8),
    64: (".rela.plt", np.dtype([("offset", "u8"), ("info", "u8"), ("addend", "i8")]), 32),
}
"""Bits of the file -> section of the stubs' relocations, a row, by what `info` holds the symbol."""

SymbolRows = np.ndarray[tuple[int], np.dtype[np.void]]


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
    rank: Ints  # of several names for an address the one with the lowest is wanted
    suffix: str = ""  # of the names from row `suffix_from` on
    suffix_from: int = 1 << 62

    def name_at(self, row: int) -> str:
        """The name; that of an ELF symbol without the version that some linkers append."""
        name = c_string(self.strings, int(self.name[row]))
        if self.suffix:
            name = name.split("@", 1)[0]
        return name + self.suffix if row >= self.suffix_from else name


class FunctionTable:
    """Functions of one file, one an address. Names are decoded when somebody asks."""

    def __init__(self, columns: Columns) -> None:
        order = np.argsort(columns.start, kind="stable")
        starts = columns.start[order]
        first = np.ones(starts.size, np.bool_)
        first[1:] = starts[1:] != starts[:-1]
        self._columns = columns
        self._order = order
        self._first = np.append(np.flatnonzero(first), starts.size)
        self._starts = starts[first]
        sizes = columns.size[order]
        longest = np.maximum.reduceat(sizes, self._first[:-1]) if starts.size else sizes
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
        rows = self._order[self._first[index] : self._first[index + 1]]
        names = [self._columns.name_at(int(row)) for row in rows]
        if len(names) > 1:
            wanted = [
                _unwanted(n, int(self._columns.rank[r])) for n, r in zip(names, rows, strict=True)
            ]
            return Function(names[wanted.index(min(wanted))], start, end - start)
        return Function(names[0], start, end - start)

    def all(self) -> Iterator[Function]:
        """Every function."""
        return (self.function(i) for i in range(len(self)))


def function_table(image: ElfImage) -> FunctionTable:
    """Functions out of .symtab, else .dynsym, and the stubs of the PLT. Raises InputError."""
    symbols, strings = _symbols(image)
    stubs, stub_names, stub_strings = _plt_stubs(image)
    binding = np.minimum(symbols["info"] >> 4, BIND_WEAK)
    count = stubs.size
    return FunctionTable(
        Columns(
            np.append(symbols["address"].astype(np.uint64), stubs),
            np.append(symbols["size"].astype(np.uint64), np.full(count, PLT_STUB_BYTES, np.uint64)),
            np.append(symbols["name"].astype(np.int64), stub_names + len(strings)),
            strings + stub_strings,
            np.append(np.choose(binding, RANK_OF_BINDING), np.zeros(count, np.int64)),
            suffix="@plt",
            suffix_from=symbols.size,
        )
    )


def table_of(functions: list[Function]) -> FunctionTable:
    """A table of functions that come from elsewhere; the first of each address wins."""
    raw = [function.name.encode() + b"\0" for function in functions]
    return FunctionTable(
        Columns(
            np.array([function.start for function in functions], np.uint64),
            np.array([function.size for function in functions], np.uint64),
            np.cumsum([0, *map(len, raw)], dtype=np.int64)[: len(raw)],
            b"".join(raw),
            np.arange(len(functions)) * RANKS,
        )
    )


def has_symbols(image: ElfImage) -> bool:
    """Whether it has the full symbol table; a stripped file has only what it exports."""
    return any(s.type == SHT_SYMTAB for s in image.sections)


def _symbols(image: ElfImage) -> tuple[SymbolRows, bytes]:
    """Code symbols, and the names that they point into."""
    section = _symbol_section(image)
    if section is None:
        return np.empty(0, SYMBOL[image.bits]), b""
    symbols = _rows(image, section, SYMBOL[image.bits])
    code = np.isin(symbols["info"] & 15, CODE_TYPES) & (symbols["section"] != 0)
    return symbols[code], _strings(image, section)


def _rows(image: ElfImage, section: Section, row: np.dtype[np.void]) -> SymbolRows:
    data = image.read(section)
    usable = len(data) - len(data) % row.itemsize
    return np.frombuffer(data[:usable], row.newbyteorder(image.prefix))


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


def _unwanted(name: str, rank: int) -> int:
    """How little a name is wanted among those of one address."""
    if name in KNOWN:
        return -1
    underscores = len(name) - len(name.lstrip("_"))
    return rank + RANKS * underscores + MANGLED * name.startswith("_Z")


def _plt_stubs(image: ElfImage) -> tuple[Addresses, Ints, bytes]:
    """Starts of `malloc@plt` and the like, their names, and what these point into.

    Stub i belongs to relocation i.
    """
    by_name = image.by_name
    name, skip = PLT_SECTIONS.get(image.machine, ("", 0))
    plt = by_name.get(name)
    if plt is None and image.machine in PLT_SECTIONS:
        plt, skip = by_name.get(".plt"), max(skip, PLT_STUB_BYTES)
    section, row, shift = RELOCATIONS[image.bits]
    relocations, symbols = by_name.get(section), by_name.get(".dynsym")
    if plt is None or relocations is None or symbols is None:
        return np.empty(0, np.uint64), np.empty(0, np.int64), b""
    index = (_rows(image, relocations, row)["info"].astype(np.int64) >> shift) & 0xFFFFFFFF
    table = _rows(image, symbols, SYMBOL[image.bits])
    # Wraps as addresses do: a broken file may claim any address.
    first = np.uint64((plt.address + skip) % (1 << 64))
    starts = first + np.uint64(PLT_STUB_BYTES) * np.arange(index.size, dtype=np.uint64)
    good = (index > 0) & (index < table.size) & (starts < plt.address + plt.size)
    names = table["name"][index[good]].astype(np.int64)
    return starts[good].astype(np.uint64), names, _strings(image, symbols)
