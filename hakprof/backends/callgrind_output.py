"""Parses callgrind.out files: the totals, and how often REP-prefixed instructions repeated.

Needs a file written with --dump-instr=yes --collect-jumps=yes --compress-pos=no. callgrind counts a
REP-prefixed instruction once a turn and records each further turn as a jump from the instruction to
itself; nothing else that compilers emit jumps to itself.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hakprof.errors import InputError

JUMP = re.compile(r"(?:jump=|jcnd=)(\d+)(?:/\d+)? (0x[0-9a-f]+)\b")
ELSEWHERE = ("jfi=", "jfn=", "job=")
"""come before a jump that leaves its function"""


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
    """Read one file. Raises InputError if it is none or was not written to its end."""
    names: list[str] = []
    totals: list[int] | None = None
    repeats = 0
    leaves = False
    jump: tuple[int, str] | None = None  # (count, target) of the line before
    for line in lines:
        if jump:
            if not leaves and line.split(" ", 1)[0] == jump[1]:
                repeats += jump[0]
            jump, leaves = None, False
        elif match := JUMP.match(line):
            jump = int(match[1]), match[2]
        elif line.startswith(ELSEWHERE):
            leaves = True
        elif line.startswith("events:"):
            names = line.split()[1:]
        elif line.startswith("totals:"):
            totals = _numbers(line)
    if "Ir" not in names or totals is None or len(totals) > len(names):
        raise InputError("callgrind's output has no totals: it was not written to its end")
    counted = totals + [0] * (len(names) - len(totals))  # trailing zeros are left out
    events = dict(zip(names, counted, strict=True))
    if repeats > events["Ir"]:
        raise InputError("callgrind's output counts more repeats than instructions")
    return Totals(events, repeats)


def _numbers(line: str) -> list[int]:
    words = line.split()[1:]
    if not all(re.fullmatch(r"\d{1,20}", word, re.ASCII) for word in words):
        raise InputError(f"callgrind's output has broken totals: {line.strip():.80}")
    return [int(word) for word in words]
