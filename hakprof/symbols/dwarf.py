"""A program: addresses of one ELF file on standard input, a JSON line of inlined calls for each.

    python -m hakprof.symbols.dwarf FILE < addresses

Used where llvm-symbolizer and addr2line are missing. DWARF 4 and 5 by pyelftools, but only in the
compilation units that an address lies in: the top entry of each unit says which addresses it covers
(clang writes no .debug_aranges). It runs on its own because pyelftools meets broken files with any
kind of exception, endless loops and all of the memory; here they end this process and no other.
"""

import bisect
import json
import resource
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Row = tuple[str, str, int]

MEMORY_LIMIT_BYTES = 4 << 30
CPU_LIMIT_S = 110
MAX_DEPTH = 64
FUNCTIONS = ("DW_TAG_subprogram", "DW_TAG_inlined_subroutine")
SCOPES = ("DW_TAG_lexical_block", "DW_TAG_namespace", "DW_TAG_class_type", "DW_TAG_structure_type")


@dataclass(slots=True)
class Scope:
    """A function or an inlined call that covers one of the addresses."""

    die: Any
    ranges: list[tuple[int, int]]
    children: list["Scope"] = field(default_factory=list)

    def covers(self, address: int) -> bool:
        """Whether the address lies in it."""
        return any(low <= address < high for low, high in self.ranges)


def main() -> int:
    """Answer each address of standard input."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT_S, CPU_LIMIT_S))
    addresses = [int(line, 16) for line in sys.stdin]
    try:
        chains = read_chains(Path(sys.argv[1]), addresses)
    except Exception as error:  # noqa: BLE001 - see the head of this module
        sys.stderr.write(f"{type(error).__name__}: {error}\n".replace("\n", " "))
        return 1
    for address in addresses:
        json.dump(chains[address], sys.stdout)
        sys.stdout.write("\n")
    return 0


def read_chains(path: Path, addresses: Sequence[int]) -> dict[int, list[Row]]:
    """Chain of each address, innermost first; [] where no unit covers it."""
    from elftools.elf.elffile import ELFFile  # noqa: PLC0415 - 80 ms

    chains: dict[int, list[Row]] = {address: [] for address in addresses}
    ordered = sorted(chains)
    with path.open("rb") as file:
        dwarf = ELFFile(file).get_dwarf_info()
        for unit in dwarf.iter_CUs():
            top = unit.get_top_DIE()
            inside = [a for low, high in _ranges(top) for a in _between(ordered, low, high)]
            if inside:
                reader = _Unit(dwarf, unit, top)
                for address in inside:
                    chains[address] = reader.chain(address)
    return chains


def _between(ordered: list[int], low: int, high: int) -> list[int]:
    return ordered[bisect.bisect_left(ordered, low) : bisect.bisect_left(ordered, high)]


class _Unit:
    """One compilation unit: its functions, its lines."""

    def __init__(self, dwarf: Any, unit: Any, top: Any) -> None:  # noqa: ANN401 - untyped library
        self._dwarf = dwarf
        self._program = dwarf.line_program_for_CU(unit)
        self._folder = _text(top, "DW_AT_comp_dir")
        self._functions = list(_scopes(top, 0))
        self._starts, self._lines = self._line_table()
        self._version = unit["version"]

    def chain(self, address: int) -> list[Row]:
        """Innermost first: the line of the address, then that of each call around it."""
        file, line = self._line(address)
        scopes = []
        level = self._functions
        while found := next((scope for scope in level if scope.covers(address)), None):
            scopes.append(found)
            level = found.children
        rows: list[Row] = []
        for scope in reversed(scopes):
            rows.append((_name(scope.die), file, line))
            file = self._file(_number(scope.die, "DW_AT_call_file"))
            line = _number(scope.die, "DW_AT_call_line")
        return (rows or [("", file, line)]) if any(row[2] for row in rows) or line else []

    def _line_table(self) -> tuple[list[int], list[tuple[int, int]]]:
        """Starts of the rows, and (file, line) of each; a sequence's end is (0, 0)."""
        if self._program is None:
            return [], []
        rows = []
        for entry in self._program.get_entries():
            state = entry.state
            if state is not None:
                known = (0, 0) if state.end_sequence else (state.file, state.line)
                rows.append((state.address, not state.end_sequence, known))
        rows.sort(key=lambda row: row[:2])
        return [row[0] for row in rows], [row[2] for row in rows]

    def _line(self, address: int) -> tuple[str, int]:
        at = bisect.bisect_right(self._starts, address) - 1
        if at < 0:
            return "", 0
        file, line = self._lines[at]
        return self._file(file), line

    def _file(self, number: int) -> str:
        """Full name of a file of the line program, which counts from 0 since DWARF 5."""
        if self._program is None:
            return ""
        header = self._program.header
        first = 0 if header["version"] >= 5 else 1  # noqa: PLR2004 - DWARF's versions
        entries = header["file_entry"]
        if not first <= number < first + len(entries):
            return ""
        entry = entries[number - first]
        folders = [folder.decode("utf-8", "replace") for folder in header["include_directory"]]
        index = entry["dir_index"] - first
        folder = folders[index] if 0 <= index < len(folders) else ""
        return str(Path(self._folder) / folder / entry["name"].decode("utf-8", "replace"))


def _scopes(die: Any, depth: int) -> Iterator[Scope]:  # noqa: ANN401 - untyped library
    """Functions below an entry, each with the calls that were inlined into it."""
    if depth > MAX_DEPTH:
        return
    for child in die.iter_children():
        if child.tag in FUNCTIONS:
            ranges = _ranges(child)
            if ranges:
                yield Scope(child, ranges, list(_scopes(child, depth + 1)))
        elif child.tag in SCOPES:
            yield from _scopes(child, depth + 1)


def _ranges(die: Any) -> list[tuple[int, int]]:  # noqa: ANN401 - untyped library
    """Addresses that an entry covers, as [low, high)."""
    attributes = die.attributes
    if "DW_AT_ranges" in attributes:
        return list(_listed_ranges(die))
    if "DW_AT_low_pc" not in attributes or "DW_AT_high_pc" not in attributes:
        return []
    low = attributes["DW_AT_low_pc"].value
    high = attributes["DW_AT_high_pc"]
    return [(low, high.value if high.form == "DW_FORM_addr" else low + high.value)]


def _listed_ranges(die: Any) -> Iterator[tuple[int, int]]:  # noqa: ANN401 - untyped library
    lists = die.cu.dwarfinfo.range_lists()
    if lists is None:
        return
    base = 0
    top = die.cu.get_top_DIE()
    if "DW_AT_low_pc" in top.attributes:
        base = top.attributes["DW_AT_low_pc"].value
    for entry in lists.get_range_list_at_offset(die.attributes["DW_AT_ranges"].value, cu=die.cu):
        if hasattr(entry, "base_address"):
            base = entry.base_address
        elif entry.is_absolute:
            yield entry.begin_offset, entry.end_offset
        else:
            yield base + entry.begin_offset, base + entry.end_offset


def _name(die: Any) -> str:  # noqa: ANN401 - untyped library
    """Linkage name, else name, of the entry or of what it stands for."""
    for _ in range(MAX_DEPTH):
        for key in ("DW_AT_linkage_name", "DW_AT_name"):
            if key in die.attributes:
                return _text(die, key)
        for key in ("DW_AT_abstract_origin", "DW_AT_specification"):
            if key in die.attributes:
                die = die.get_DIE_from_attribute(key)
                break
        else:
            break
    return ""


def _text(die: Any, key: str) -> str:  # noqa: ANN401 - untyped library
    attribute = die.attributes.get(key)
    return attribute.value.decode("utf-8", "replace") if attribute else ""


def _number(die: Any, key: str) -> int:  # noqa: ANN401 - untyped library
    attribute = die.attributes.get(key)
    return int(attribute.value) if attribute else 0


if __name__ == "__main__":
    sys.exit(main())
