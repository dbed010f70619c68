"""Parses callgrind.out files: the totals, and how often REP-prefixed instructions repeated.

Needs a file written with --dump-instr=yes --collect-jumps=yes --compress-pos=no. callgrind counts a
REP-prefixed instruction once a turn. It shows as an instruction that jumps to itself (nothing else
that compilers emit does): what it ran more often than the code in front of it led to it are
further turns. Its jumps themselves cannot be counted: callgrind does so outside the region too.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hakprof.errors import InputError

POSITIONS = "instr line"
MAX_INSTRUCTION_BYTES = 15
JUMP = re.compile(r"(?:jump=|jcnd=)(\d+)(?:/\d+)? (0x[0-9a-f]+)\b")
ROW = re.compile(r"(0x[0-9a-f]+) \d+ (\d+)\b")

Place = tuple[str, str]
"""(object, address in it)"""


@dataclass(frozen=True, slots=True)
class Totals:
    """What one process did while collection was on."""

    events: Mapping[str, int]  # callgrind's names: Ir, Dr, ...
    repeats: int  # turns of REP-prefixed instructions beyond the first, all part of Ir

    @property
    def instructions(self) -> int:
        """Instructions executed, each REP-prefixed one once."""
        return self.events["Ir"] - self.repeats


def parse(lines: Iterable[str]) -> Totals:
    """Read the lines of one file, each with its line end.

    Raises InputError if it is no such file or was not written to its end.
    """
    header: dict[str, str] = {}
    repeats = _Repeats()
    for line in lines:
        name, colon, rest = line.partition(":")
        if colon and name in {"events", "positions", "totals"}:
            header[name] = rest
        else:
            repeats.read(line)
    names = header.get("events", "").split()
    if "Ir" not in names or not header.get("totals", "").endswith("\n"):
        raise InputError("callgrind's output has no totals: it was not written to its end")
    if header.get("positions", "").strip() != POSITIONS:
        raise InputError(f"callgrind's output has no {POSITIONS!r} positions")
    totals = _numbers(header["totals"].strip())
    totals += [0] * (len(names) - len(totals))  # zeros at the end are left out
    if len(totals) > len(names):
        raise InputError("callgrind's output has more totals than events")
    events = dict(zip(names, totals, strict=True))
    turns = repeats.total()
    if turns > events["Ir"]:
        raise InputError("callgrind's output counts more repeats than instructions")
    return Totals(events, turns)


def _numbers(text: str) -> list[int]:
    if not re.fullmatch(r"\d{1,20}( \d{1,20})*", text, re.ASCII):
        raise InputError(f"callgrind's output has broken totals: {text:.80}")
    return [int(word) for word in text.split()]


@dataclass(slots=True)
class _Repeats:
    """Follows the lines of a file: cost rows `ADDRESS LINE COUNT`, calls and jumps between them."""

    entered: Counter[Place] = field(default_factory=Counter)  # not from the row before
    to_itself: Counter[Place] = field(default_factory=Counter)
    to_it: Counter[Place] = field(default_factory=Counter)  # by jumps from anywhere in its object
    binary: str = ""
    before: tuple[int, int] | None = None  # (address, count) of the cost row just above
    jump: tuple[int, str] | None = None  # (count, target) of the line above
    after_call: bool = False

    def read(self, line: str) -> None:
        """Take one line."""
        row = ROW.match(line)
        if self.jump:
            self._jump_from(line.split(" ", 1)[0].strip(), *self.jump)
        elif row and not self.after_call:
            self._cost(row[1], int(row[2]))
            return
        elif line.startswith("ob="):
            self.binary = line.partition(")")[0]
        self.before = None
        self.after_call = line.startswith("calls=")
        jump = JUMP.match(line)
        self.jump = (int(jump[1]), jump[2]) if jump else None

    def total(self) -> int:
        """Turns beyond the first. Jumps to a REP from elsewhere are first turns, in proportion."""
        return sum(
            self.entered[place] * jumps // self.to_it[place]
            for place, jumps in self.to_itself.items()
            if jumps
        )

    def _cost(self, address: str, count: int) -> None:
        here, led = int(address, 16), 0
        if self.before and 0 < here - self.before[0] <= MAX_INSTRUCTION_BYTES:
            led = min(count, self.before[1])
        self.entered[self.binary, address] += count - led
        self.before = here, count

    def _jump_from(self, source: str, count: int, target: str) -> None:
        self.to_it[self.binary, target] += count
        if source == target:
            self.to_itself[self.binary, target] += count
