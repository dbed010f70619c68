"""The instruction at each row of a table of code, decoded once."""

from hakprof.errors import InputError
from hakprof.hotspots.code import Code
from hakprof.hotspots.disassemble import Instruction, disassemble

LONGEST = 15
"""Bytes of the longest x86 instruction."""


class Decoded:
    """What is at each row: which instruction, whether it calls or returns."""

    def __init__(self, code: Code) -> None:
        self._code = code
        self.instructions = [self._decode(row) for row in range(code.table.image.size)]
        self.is_call = [one.is_call for one in self.instructions]
        self.is_return = [one.is_return for one in self.instructions]
        self.is_unknown = [one.size == 0 for one in self.instructions]

    def _decode(self, row: int) -> Instruction:
        address = int(self._code.names.address[row])
        located = self._code.names.located[int(self._code.table.image[row])]
        unknown = Instruction(address, 0, "(code that is not in a file)")
        if located.code is None:
            return unknown
        try:
            found = disassemble(located.code, address, LONGEST)
        except InputError:
            return unknown
        return found[0] if found else unknown
