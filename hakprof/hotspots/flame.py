"""Call stacks with inlined calls, as one tree of names: what every picture and format is made of.

Stacks come from where they are known: `perf record --call-graph` (as deep as frame pointers lead),
the stepper (exact: every call and return was seen). A source without stacks gives the function and
what was inlined into it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from hakprof.errors import UsageError
from hakprof.hotspots.code import Code
from hakprof.hotspots.decoded import Decoded
from hakprof.hotspots.recording import STEPPER, Recording
from hakprof.hotspots.step_trace import StepTrace
from hakprof.profile import Profile

MAX_DEPTH = 512

Stack = tuple[str, ...]
"""Names from the outermost call to the innermost, inlined ones included."""


@dataclass(frozen=True, slots=True)
class Flame:
    """Weights of distinct stacks of one source."""

    title: str
    unit: str  # "ns", "instructions", "events"
    kind: str  # how the weights were got
    stacks: dict[Stack, float]
    remark: str = ""  # what to know of the stacks

    @property
    def total(self) -> float:
        """Sum of all weights."""
        return sum(self.stacks.values())


@dataclass(slots=True)
class Node:
    """A call: its own weight and that of everything below, in one run or in two."""

    name: str
    weight: float = 0.0
    before: float = 0.0  # in the other run of a comparison
    children: dict[str, "Node"] = field(default_factory=dict)

    def ordered(self) -> list["Node"]:
        """Children by name, so that two pictures can be laid beside each other."""
        return [self.children[name] for name in sorted(self.children)]


def flame(recording: Recording, code: Code, trace: StepTrace | None = None) -> Flame:
    """The stacks of the only source of `code`. `trace`: of the stepper, for exact stacks."""
    if len(code.sources) != 1:
        raise UsageError("a flame graph shows one source", advice="choose one by --source")
    source = code.sources[0]
    stacks: dict[Stack, float] = defaultdict(float)
    if source.name == STEPPER and trace is not None:
        stacks.update(_of_trace(code, trace))
    else:
        for rows, profile in zip(code.rows, source.profiles, strict=True):
            named = _Namer(code)
            for stack, weight in _of_profile(named, rows, profile):
                stacks[stack] += weight
    where = f"{recording.target} on {recording.allocator}" if recording.run else "recording"
    run = f", run {recording.run}" if recording.run else ""
    title = f"{where}{run}: {source.label}"
    profile = source.profiles[0]
    return Flame(title, profile.unit, str(source.kind), dict(stacks), profile.remark)


def tree(shown: Flame, before: Flame | None = None) -> Node:
    """One tree; of a comparison, weights are shares of each run's whole."""
    root = Node("all")
    for one, is_before in ((shown, False), (before, True)):
        if one is None:
            continue
        scale = 1.0 if before is None else 1.0 / (one.total or 1.0)
        for stack, weight in one.stacks.items():
            _add(root, stack, weight * scale, is_before=is_before)
    return root


def _add(root: Node, stack: Stack, weight: float, *, is_before: bool) -> None:
    node = root
    for name in ("", *stack):
        if name:
            node = node.children.setdefault(name, Node(name))
        if is_before:
            node.before += weight
        else:
            node.weight += weight


class _Namer:
    """Names of a row: its function, then what is inlined into it at that address."""

    def __init__(self, code: Code) -> None:
        self._code = code
        self._names: dict[int, Stack] = {}

    def names(self, row: int) -> Stack:
        """From the function inwards."""
        if row not in self._names:
            named = self._code.function(row)
            (chain,) = self._code.chains([row])
            function = named.name or f"[{named.library.strip('[]')}]"
            inlined = tuple(place.function for place in reversed(chain[:-1]) if place.function)
            self._names[row] = (function, *inlined)
        return self._names[row]

    def prepare(self, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
        """Ask for the inlined calls of all rows at once."""
        self._code.chains(np.unique(rows))


def _of_profile(
    named: _Namer, rows: np.ndarray[tuple[int], np.dtype[np.int64]], profile: Profile
) -> Iterator[tuple[Stack, float]]:
    named.prepare(rows)
    if profile.stacks is None:
        for row, weight in zip(rows.tolist(), profile.weight.tolist(), strict=True):
            if weight:
                yield named.names(row), weight
        return
    found = profile.stacks
    frames = rows[found.frames].tolist()
    for i, weight in enumerate(found.weight.tolist()):
        own = frames[found.starts[i] : found.starts[i + 1]][:MAX_DEPTH]
        names = [name for row in reversed(own) for name in named.names(row)]
        yield (found.processes[int(found.process[i])], *names), weight


def _of_trace(code: Code, trace: StepTrace) -> Counter[Stack]:
    """Stacks of a trace, by following calls and returns."""
    named = _Namer(code)
    rows = code.rows[0][trace.steps]
    named.prepare(rows)
    steps = rows.tolist()
    counts, callers = _calls(steps, Decoded(code).turns(steps))
    prefixes: dict[int, Stack] = {0: ()}
    for number, (above, row) in enumerate(callers[1:], 1):
        prefixes[number] = (*prefixes[above], *named.names(row))
    stacks: Counter[Stack] = Counter()
    for (number, row), count in counts.items():
        stacks[(*prefixes[number], *named.names(row))] += count
    return stacks


def _calls(
    steps: Sequence[int], turns: Sequence[int]
) -> tuple[Counter[tuple[int, int]], list[tuple[int, int]]]:
    """How often each row was executed under each stack of callers, and what these stacks are.

    A stack is a number: its place in the list, where its last caller stands as a row, under the
    number of the stack that called it. Number 0 is the stack in which the trace begins. What is
    called deeper than `MAX_DEPTH` counts for the callers there.
    """
    counts: Counter[tuple[int, int]] = Counter()
    callers = [(-1, -1)]
    numbers: dict[tuple[int, int], int] = {}
    stack = [0]
    beyond = 0  # calls that were too deep
    for row, turn in zip(steps, turns, strict=True):
        counts[stack[-1], row] += 1
        if turn > 0 and len(stack) == MAX_DEPTH:
            beyond += 1
        elif turn > 0:
            key = (stack[-1], row)
            if key not in numbers:
                numbers[key] = len(callers)
                callers.append(key)
            stack.append(numbers[key])
        elif turn < 0 and beyond:
            beyond -= 1
        elif turn < 0 and len(stack) > 1:
            stack.pop()
    return counts, callers
