"""Shares by function, library and stage, side by side for each source; and what stands out."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from hakprof.hotspots import stages
from hakprof.hotspots.code import Code
from hakprof.hotspots.recording import Recording, Source, this_machine
from hakprof.model import Kind
from hakprof.profile import Floats

FINDING_SHARE = 0.02
"""From this share on, another allocator's code is a finding and no start-up noise."""

NOTED_SHARE = 0.01
WORSE_THAN_BINOMIAL = 3
"""So many profiles show how much runs differ."""


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a source's whole."""

    fraction: float
    error: float  # standard error; 0 for exact counts
    per_op: float | None = None  # of exact counts where the number of operations is known


@dataclass(frozen=True, slots=True)
class Row:
    """A function, a library or a stage: a share in each source."""

    name: str
    library: str
    shares: tuple[Share, ...]

    @property
    def weight(self) -> float:
        """By what rows are sorted: the largest share."""
        return max(share.fraction for share in self.shares)


@dataclass(frozen=True, slots=True)
class Hotspots:
    """What `hakprof hotspots` shows."""

    recording: Recording
    sources: tuple[Source, ...]
    findings: tuple[str, ...]
    stages: tuple[Row, ...]
    libraries: tuple[Row, ...]
    functions: tuple[Row, ...]
    notes: tuple[str, ...]


def hotspots(recording: Recording, code: Code) -> Hotspots:
    """Sum a table up in three ways."""
    functions = code.names.functions
    by_function = [(f.name or "(no name)", f.library) for f in functions]
    function = [by_function[int(i)] for i in code.names.function]
    library = [("", functions[int(i)].library) for i in code.names.function]
    return Hotspots(
        recording=recording,
        sources=code.sources,
        findings=tuple(_findings(recording, code)),
        stages=_rows(code, [(stage, "") for stage in code.stage]),
        libraries=_rows(code, library),
        functions=_rows(code, function),
        notes=tuple(_notes(recording, code)),
    )


def _rows(code: Code, keys: Sequence[tuple[str, str]]) -> tuple[Row, ...]:
    places: dict[tuple[str, str], int] = {}
    group = np.array([places.setdefault(key, len(places)) for key in keys], np.int64)
    columns = [
        shares(code, source, lambda w: np.bincount(group, w, len(places)).astype(np.float64))
        for source in range(len(code.sources))
    ]
    rows = [
        Row(name, library, tuple(column[i] for column in columns))
        for (name, library), i in places.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.weight, row.library, row.name)))


def shares(
    code: Code,
    source: int,
    sums: Callable[[Floats], Floats],
) -> list[Share]:
    """Shares of the groups that `sums` adds a column up to.

    The standard error of sampled shares is that of counting so many samples, or what the profiles
    differ by if that is more: runs of an allocator are often bimodal.
    """
    own = code.sources[source]
    columns = [sums(weights) for weights in code.weights[code.profiles_of(source)]]
    whole = np.sum(columns, axis=0)
    total = whole.sum() or 1.0
    if own.kind is not Kind.SAMPLED:
        return [Share(float(w / total), 0.0, w / own.ops if own.ops else None) for w in whole]
    each = np.array([column / (column.sum() or 1.0) for column in columns])
    spread = np.zeros(whole.size)
    if len(columns) >= WORSE_THAN_BINOMIAL:
        spread = each.std(axis=0, ddof=1) / math.sqrt(len(columns))
    fractions = whole / total
    counting = np.sqrt(fractions * (1 - fractions) / max(own.samples, 1))
    errors = np.maximum(counting, spread)
    return [Share(float(f), float(e)) for f, e in zip(fractions, errors, strict=True)]


def _findings(recording: Recording, code: Code) -> Iterable[str]:
    """Code of an allocator that should not have run."""
    expected = _expected(recording)
    if not expected:
        return
    for i, source in enumerate(code.sources):
        column = code.column(i)
        total = column.sum() or 1.0
        by_owner: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        for row in np.flatnonzero(column):
            owner, sign, _ = code.stage[row].partition(": ")
            if sign and owner != expected:
                by_owner[owner][code.function(int(row)).name or "(no name)"] += column[row]
        for owner, found in by_owner.items():
            share = sum(found.values()) / total
            if share >= FINDING_SHARE:
                top = sorted(found, key=found.__getitem__, reverse=True)[:3]
                what = "samples" if source.kind is Kind.SAMPLED else "instructions"
                yield (
                    f"{100 * share:.0f} % of {what} in {_enumerated(top)}, which {_are(top)} "
                    f"{owner}'s, not {expected}'s: {recording.allocator} did not serve these "
                    f"calls, or handed them on ({source.name})"
                )


def _expected(recording: Recording) -> str:
    """The stage map of the allocator that was to be measured; "" if nobody said which."""
    if not recording.allocator:
        return ""
    if not recording.library:
        return "glibc"
    found = stages.map_of(recording.library.rsplit("/", 1)[-1])
    return found.name if found else recording.allocator


def _enumerated(words: Sequence[str]) -> str:
    quoted = [f"`{word}`" for word in words]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def _are(words: Sequence[str]) -> str:
    return "is" if len(words) == 1 else "are"


def _notes(recording: Recording, code: Code) -> Iterable[str]:
    if recording.proof:
        yield recording.proof
    for source in code.sources:
        if source.lost:
            yield (
                f"{source.name}: {source.lost:,} samples were lost "
                f"({100 * source.lost / (source.lost + source.samples):.1f} %): record at a lower "
                "--frequency"
            )
    yield from important_notes(recording, code)


def important_notes(recording: Recording, code: Code) -> Iterable[str]:
    """Where it comes from, if not from here; what could not be named, if it has a share."""
    if recording.machine not in {"", this_machine()}:
        yield (
            f"recorded on {recording.machine}, this is {this_machine()}: only files of the same "
            "build id are named, code of a JIT compiler may get names of another process"
        )
    by_image = np.bincount(code.table.image, code.table.weight, len(code.table.images))
    for i, located in enumerate(code.names.located):
        if by_image[i] >= NOTED_SHARE:
            shown = [note for note in code.names.notes if note == located.problem]
            yield from shown
    yield from dict.fromkeys(
        profile.remark for source in code.sources for profile in source.profiles if profile.remark
    )
    kernel_or_jit = {located.problem for located in code.names.located}
    yield from (note for note in code.names.notes if note not in kernel_or_jit)
