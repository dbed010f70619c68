"""The instruction at each row of a table of code, decoded once."""

from collections.abc import Sequence

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
        self._turn = [int(one.is_call) - int(one.is_return) for one in self.instructions]
        self._is_unknown = [one.size == 0 for one in self.instructions]

    def turns(self, steps: Sequence[int]) -> list[int]:
        """What each step of a trace, given by its row, does to the depth of calls: 1, 0 or -1."""
        return turns(steps, self._turn, self._is_unknown)

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


def turns(steps: Sequence[int], turn: Sequence[int], is_unknown: Sequence[bool]) -> list[int]:
    """As `Decoded.turns`, of the rows' own turns and whether their code is in no file.

    Such code (the vDSO's clock) shows no returns: whoever leaves it has returned.
    """
    unknown = [is_unknown[row] for row in steps]
    left = [here and not later for here, later in zip(unknown, [*unknown[1:], True], strict=False)]
    return [turn[row] - leaves for row, leaves in zip(steps, left, strict=True)]
