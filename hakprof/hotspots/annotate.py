"""What a function costs by line and by instruction, also where it is only ever inlined."""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hakprof.errors import InputError, UsageError
from hakprof.hotspots.code import Code
from hakprof.hotspots.disassemble import Instruction, disassemble, functions_of
from hakprof.hotspots.recording import Recording
from hakprof.hotspots.tables import Share, important_notes, shares
from hakprof.model import Kind
from hakprof.profile import Floats
from hakprof.symbols.demangle import means, readable
from hakprof.symbols.elf_image import ElfImage
from hakprof.symbols.lines import Chain, Place, inline_chains
from hakprof.symbols.table import Function

SEARCH_WHOLE_BYTES = 1 << 19
"""A file with less code than this is searched for inlined copies as a whole, a larger one only
where something was recorded."""

MAX_SOURCE_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Cost:
    """An instruction with its share in each source, and the inlined calls it belongs to."""

    instruction: Instruction
    chain: Chain
    shares: tuple[Share, ...] = ()


@dataclass(frozen=True, slots=True)
class Copy:
    """The symbol as a function of its own, or one place that it was inlined into."""

    library: str
    function: str  # whose code it is
    callers: Chain  # from the symbol outwards; () if it is the function itself
    costs: tuple[Cost, ...]
    image: int

    @property
    def has_cost(self) -> bool:
        """Whether anything was seen in it."""
        return any(share.fraction for cost in self.costs for share in cost.shares)


@dataclass(frozen=True, slots=True)
class LineCost:
    """A source line, its text ("" if the file is not here) and its share in each source."""

    place: Place
    text: str
    shares: tuple[Share, ...]


@dataclass(frozen=True, slots=True)
class Annotation:
    """What `hakprof annotate` shows."""

    recording: Recording
    symbol: str
    code: Code
    total: tuple[Share, ...]
    lines: tuple[LineCost, ...]
    copies: tuple[Copy, ...]
    has_skid: bool
    notes: tuple[str, ...]


def annotate(recording: Recording, code: Code, symbol: str) -> Annotation:
    """All copies of a function. UsageError with the nearest names if there is none."""
    copies = [copy for i in range(len(code.table.images)) for copy in _copies(code, i, symbol)]
    if not copies:
        raise UsageError(f"no function {symbol!r} in what was recorded", advice=_near(code, symbol))
    flat = [(copy.image, cost) for copy in copies for cost in copy.costs]
    every = _shares_of(code, [(i, c.instruction.address, n) for n, (i, c) in enumerate(flat)])
    costs = iter(every)
    copies = [
        replace(copy, costs=tuple(replace(cost, shares=next(costs)) for cost in copy.costs))
        for copy in copies
    ]
    copies.sort(key=lambda copy: -sum(s.fraction for c in copy.costs for s in c.shares))
    (total,) = _shares_of(code, [(i, c.instruction.address, 0) for i, c in flat]) or [()]
    return Annotation(
        recording=recording,
        symbol=symbol,
        code=code,
        total=total,
        lines=tuple(_lines(code, flat)),
        copies=tuple(copies),
        has_skid=any(source.kind is Kind.SAMPLED for source in code.sources),
        notes=(*important_notes(recording, code), *_newer_sources(code, flat)),
    )


def _copies(code: Code, image: int, symbol: str) -> Iterator[Copy]:
    located = code.names.located[image]
    if located.code is None or located.names is None:
        return
    library = located.code.path.name
    functions = list(functions_of(located.names).all())
    asked = [(f, name) for f, name in _with_names(functions) if f.size and means(symbol, name)]
    searched = _searched(code, image, functions) if located.names.has_debug_info else []
    others = [(f, name) for f, name in _with_names(searched) if not means(symbol, name)]
    found = _costs(located.code, located.names, [f for f, _ in (*asked, *others)])
    for (_, name), costs in zip(asked, found, strict=False):
        yield Copy(library, name, (), tuple(costs), image)
    for (_, name), costs in zip(others, found[len(asked) :], strict=True):
        for callers, part in _inlined(symbol, costs).items():
            yield Copy(library, name, callers, tuple(part), image)


def _inlined(symbol: str, costs: Sequence[Cost]) -> dict[Chain, list[Cost]]:
    """Where a function is inlined into -> the instructions that are its."""
    found: dict[Chain, list[Cost]] = {}
    for cost in costs:
        inlined = (i for i, p in enumerate(cost.chain[:-1]) if means(symbol, p.function))
        at = next(inlined, None)
        if at is not None:
            found.setdefault(cost.chain[at + 1 :], []).append(cost)
    return found


def _with_names(functions: Sequence[Function]) -> Iterable[tuple[Function, str]]:
    """Each function with its readable name."""
    return zip(functions, readable(function.name for function in functions), strict=True)


def _searched(code: Code, image: int, functions: Sequence[Function]) -> Sequence[Function]:
    """The functions that may hold inlined copies."""
    functions = [f for f in functions if f.size and not f.name.endswith("@plt")]
    if sum(function.size for function in functions) <= SEARCH_WHOLE_BYTES:
        return functions
    seen = {f.start for f in code.names.functions if f.image == image and f.size}
    return [f for f in functions if f.start in seen]


def _costs(code: ElfImage, names: ElfImage, functions: Sequence[Function]) -> list[list[Cost]]:
    """The instructions of each function; lines and inlined calls are asked for at once."""
    each = [disassemble(code, function.start, function.size) for function in functions]
    chains = iter(inline_chains(names, [one.address for part in each for one in part]))
    return [[Cost(one, next(chains)) for one in part] for part in each]


def _shares_of(code: Code, places: Iterable[tuple[int, int, int]]) -> list[tuple[Share, ...]]:
    """Shares of groups; `places` are (image, address, group), groups count from 0."""
    group_of = {(image, address): group for image, address, group in places}
    count = max(group_of.values(), default=-1) + 1
    keys = zip(code.table.image.tolist(), code.names.address.tolist(), strict=True)
    group = np.array([group_of.get(key, count) for key in keys], np.int64)

    def sums(weights: Floats) -> Floats:
        return np.bincount(group, weights, count + 1).astype(np.float64)

    columns = [shares(code, source, sums) for source in range(len(code.sources))]
    return [tuple(column[i] for column in columns) for i in range(count)]


def _lines(code: Code, flat: list[tuple[int, Cost]]) -> Iterator[LineCost]:
    """Lines with a cost, the dearest first."""
    numbers: dict[Place, int] = {}
    places = [
        (image, cost.instruction.address, numbers.setdefault(cost.chain[0], len(numbers)))
        for image, cost in flat
        if cost.chain
    ]
    found = _shares_of(code, places)
    rows = [LineCost(p, source_text(p), found[i]) for p, i in numbers.items()]
    rows = [row for row in rows if any(share.fraction for share in row.shares)]
    yield from sorted(rows, key=lambda row: -max(share.fraction for share in row.shares))


def _newer_sources(code: Code, flat: list[tuple[int, Cost]]) -> Iterator[str]:
    """Source files that were changed after what was built of them."""
    for file, image in sorted({(cost.chain[0].file, i) for i, cost in flat if cost.chain}):
        located = code.names.located[image].code
        try:
            newer = located and Path(file).stat().st_mtime > located.path.stat().st_mtime
        except (OSError, ValueError):
            continue
        if located and newer:
            yield f"{file} was changed after {located.path.name} was built: its lines have moved"


_SOURCES: dict[str, list[str]] = {}


def source_text(place: Place) -> str:
    """The source line, "" if the file is not on this machine."""
    if place.file not in _SOURCES:
        path = Path(place.file)
        try:
            large = path.stat().st_size > MAX_SOURCE_BYTES
            _SOURCES[place.file] = [] if large else path.read_text("utf-8", "replace").splitlines()
        except OSError:
            _SOURCES[place.file] = []
    lines = _SOURCES[place.file]
    return lines[place.line - 1].strip() if 0 < place.line <= len(lines) else ""


def _near(code: Code, symbol: str) -> str:
    """The nearest names among functions and inlined ones."""
    names: set[str] = set()
    for i, located in enumerate(code.names.located):
        if located.names is None:
            continue
        names |= {name for _, name in _with_names(list(functions_of(located.names).all()))}
        rows = np.flatnonzero(code.table.image == i)
        try:
            names |= {place.function for chain in code.chains(rows) for place in chain}
        except InputError:
            continue
    near = difflib.get_close_matches(symbol, names, n=3, cutoff=0.5)
    return f"did you mean {', '.join(map(repr, near))}?" if near else "hakprof hotspots lists them"
