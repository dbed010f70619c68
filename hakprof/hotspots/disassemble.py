"""Machine code to instructions, with the names of what they call."""

from dataclasses import dataclass
from functools import cache, lru_cache

import capstone
import numpy as np

from hakprof.errors import InputError
from hakprof.symbols.demangle import readable
from hakprof.symbols.elf_image import ElfImage
from hakprof.symbols.table import FunctionTable, function_table

MODES = {
    3: (capstone.CS_ARCH_X86, capstone.CS_MODE_32),
    62: (capstone.CS_ARCH_X86, capstone.CS_MODE_64),
    183: (capstone.CS_ARCH_ARM64, capstone.CS_MODE_LITTLE_ENDIAN),
}
"""e_machine -> capstone's architecture and mode."""

MAX_CODE_BYTES = 1 << 20
BRANCHES = (capstone.CS_GRP_CALL, capstone.CS_GRP_JUMP)


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction; addresses are those of its file."""

    address: int
    size: int
    text: str
    is_call: bool = False
    is_return: bool = False


def disassemble(image: ElfImage, start: int, size: int) -> tuple[Instruction, ...]:
    """The instructions of `size` bytes from `start`; bytes that are none end it.

    Raises InputError for an architecture that is not known here.
    """
    table = functions_of(image)
    end = start + min(size, MAX_CODE_BYTES)
    found = []
    for one in _decoder(image.machine).disasm(image.read_code(start, end - start), start):
        words = one.op_str
        if any(one.group(group) for group in BRANCHES) and words.startswith(("0x", "#0x")):
            words = _target(table, int(words.lstrip("#"), 16), start, end)
        found.append(
            Instruction(
                one.address,
                one.size,
                f"{one.mnemonic} {words}".rstrip(),
                one.group(capstone.CS_GRP_CALL),
                one.group(capstone.CS_GRP_RET),
            )
        )
    return tuple(found)


@cache
def _decoder(machine: int) -> capstone.Cs:
    if machine not in MODES:
        raise InputError(f"code of an unknown architecture (ELF machine {machine})")
    decoder = capstone.Cs(*MODES[machine])
    decoder.detail = True
    return decoder


def _target(table: FunctionTable, address: int, start: int, end: int) -> str:
    """`malloc`, `malloc+12`, or the plain address where it stays in the function."""
    if start <= address < end:
        return f"{address:x}"
    index = int(table.find(np.array([address], np.uint64))[0])
    if index < 0:
        return f"{address:x}"
    function = table.function(index)
    (name,) = readable([function.name])
    inside = address - function.start
    return f"{name}+{inside:x}" if inside else name


@lru_cache(maxsize=256)
def functions_of(image: ElfImage) -> FunctionTable:
    """The functions of a file, read once; their readable names are known from then on."""
    table = function_table(image)
    readable(function.name for function in table.all())
    return table
