"""Every path through a function as it ran: the stepper's trace, cut into single operations.

An operation begins where the function is entered and ends where it returns to its caller, callees
included. A call inside of itself belongs to the outer operation. Returns are matched with calls, so
that a tail call (`jmp`) changes nothing.
"""

import difflib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hakprof.errors import UsageError
from hakprof.hotspots.code import Code
from hakprof.hotspots.decoded import Decoded
from hakprof.hotspots.disassemble import Instruction
from hakprof.hotspots.recording import Recording
from hakprof.hotspots.step_trace import StepTrace
from hakprof.symbols.demangle import means
from hakprof.symbols.lines import Chain


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction of a path."""

    instruction: Instruction
    library: str
    function: str
    chain: Chain
    stage: str


@dataclass(frozen=True, slots=True)
class Path:
    """A sequence of instructions that operations took."""

    count: int
    steps: tuple[Step, ...]

    @property
    def stages(self) -> list[tuple[str, int]]:
        """(stage, its instructions), in the order in which they were first reached."""
        counts: Counter[str] = Counter(step.stage for step in self.steps)
        return list(counts.items())


@dataclass(frozen=True, slots=True)
class Paths:
    """All paths through one function, the most frequent first."""

    recording: Recording
    function: str
    library: str
    operations: int
    unfinished: int  # operations that the trace ends in
    paths: tuple[Path, ...]

    @property
    def mean(self) -> float:
        """Instructions of an operation."""
        return sum(p.count * len(p.steps) for p in self.paths) / max(self.operations, 1)


def paths(recording: Recording, code: Code, trace: StepTrace, function: str) -> list[Paths]:
    """The paths through a function, for each library that has one of this name.

    `code` is built of the trace's profile alone. UsageError if the function was never entered.
    """
    steps = code.rows[0][trace.steps].tolist()
    decoded = Decoded(code)
    turns = decoded.turns(steps)
    shown = _Steps(code, decoded)
    entries = _entries(code, function)
    if not entries:
        raise UsageError(f"{function!r} was not entered in the trace", advice=_near(code, function))
    found = []
    for library, entry in entries.items():
        counts, unfinished = _operations(steps, entry, turns)
        ordered = sorted(counts, key=lambda path: (-counts[path], len(path)))
        found.append(
            Paths(
                recording=recording,
                function=function,
                library=library,
                operations=sum(counts.values()),
                unfinished=unfinished,
                paths=tuple(Path(counts[p], tuple(shown.of(p))) for p in ordered),
            )
        )
    return found


def _entries(code: Code, function: str) -> dict[str, int]:
    """Library -> row of the function's first instruction."""
    rows = {}
    for row, number in enumerate(code.names.function.tolist()):
        named = code.names.functions[number]
        if means(function, named.name) and named.start == int(code.names.address[row]):
            rows[named.library] = row
    return rows


def _operations(
    steps: Sequence[int], entry: int, turns: Sequence[int]
) -> tuple[Counter[tuple[int, ...]], int]:
    """How often each sequence of rows was an operation; how many were not finished."""
    counts: Counter[tuple[int, ...]] = Counter()
    depth = 0
    begin = -1
    base = 0  # depth at which the operation began; below it, the function has returned
    for i, (row, turn) in enumerate(zip(steps, turns, strict=True)):
        if begin >= 0 and depth < base:
            counts[tuple(steps[begin:i])] += 1
            begin = -1
        if begin < 0 and row == entry:
            begin, base = i, depth
        depth += turn
    if begin >= 0 and depth < base:  # the trace ends with the return
        counts[tuple(steps[begin:])] += 1
        begin = -1
    return counts, int(begin >= 0)


class _Steps:
    """What is shown of the rows of a path, looked up once."""

    def __init__(self, code: Code, decoded: Decoded) -> None:
        self._code = code
        self._decoded = decoded
        self._known: dict[int, Step] = {}

    def of(self, rows: Sequence[int]) -> Iterator[Step]:
        """The steps of a path."""
        missing = sorted({row for row in rows if row not in self._known})
        for row, chain in zip(missing, self._code.chains(missing), strict=True):
            named = self._code.function(row)
            self._known[row] = Step(
                self._decoded.instructions[row],
                named.library,
                named.name,
                chain,
                self._code.stage[row],
            )
        return (self._known[row] for row in rows)


def _near(code: Code, function: str) -> str:
    libraries: dict[str, set[str]] = defaultdict(set)
    for number in np.unique(code.names.function):
        named = code.names.functions[int(number)]
        libraries[named.name].add(named.library)
    near = difflib.get_close_matches(function, [n for n in libraries if n], n=3, cutoff=0.5)
    if near:
        return f"did you mean {', '.join(map(repr, near))}?"
    return f"it ran through {', '.join(sorted(n for n in libraries if n)[:8])}"
