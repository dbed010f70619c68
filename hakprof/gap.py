"""The workflow of `hakprof gap`: the difference between two allocators as a sum over stages.

Time per op is measured by a comparison; samples share it out among the stages of each allocator;
exact counts give the instructions of each stage. Time by instructions is what an instruction of
that stage costs. The stages of both allocators, the program's own part and what is attributed to no
stage add up to the measured difference.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hakprof import comparison, stat
from hakprof.comparison import ComparisonReport
from hakprof.errors import BackendError, TargetError
from hakprof.hotspots import code as coding
from hakprof.hotspots import record as recording
from hakprof.hotspots import tables
from hakprof.hotspots.code import Code
from hakprof.hotspots.recording import sources
from hakprof.hotspots.stages import PROGRAM, UNATTRIBUTED
from hakprof.measurement import Tell
from hakprof.model import Absent, Kind, Target
from hakprof.profile import Floats
from hakprof.report import Column, Outcome, stop_if_interrupted
from hakprof.store import Store

SCHEMA = "hakprof.gap/1"

DEAR = 1.5
"""A stage whose instructions cost so many times the arm's average waits for something."""

NOTABLE_NS = 0.05
"""A stage that makes less of a difference per op is not worth a sentence."""


@dataclass(frozen=True, slots=True)
class StageCost:
    """One stage of one arm, per op."""

    stage: str
    instructions: float | None  # None where no exact count ran
    ns: float
    ns_error: float  # standard error of the share, as time
    function: str  # the one that takes most of it

    @property
    def ns_per_instruction(self) -> float | None:
        """What an instruction of the stage costs."""
        return self.ns / self.instructions if self.instructions else None


@dataclass(frozen=True, slots=True)
class Side:
    """One arm: its time per op and where that goes."""

    arm: str
    run: int  # the recording, in the run store
    ns: float  # per op
    sampled: str  # the tool that shared the time out
    exact: str  # the tool that counted instructions; "" if none could
    stages: tuple[StageCost, ...]  # the dearest first

    @property
    def instructions(self) -> float | None:
        """Per op, all stages together."""
        counts = [s.instructions for s in self.stages if s.instructions is not None]
        return sum(counts) if counts else None


@dataclass(frozen=True, slots=True)
class GapReport:
    """All that `hakprof gap` has to show: how A differs from B."""

    schema: str
    comparison: ComparisonReport
    a: Side
    b: Side

    @property
    def total_ns(self) -> float:
        """Time per op of A less that of B."""
        return self.a.ns - self.b.ns

    @property
    def attributed_ns(self) -> float:
        """What the stages of the two allocators make of it."""
        return sum(s.ns for s in _own(self.a)) - sum(s.ns for s in _own(self.b))

    @property
    def shared(self) -> tuple[str, ...]:
        """Stages that both have under one name, the kernel: their difference counts."""
        theirs = {cost.stage for cost in _own(self.b)}
        return tuple(cost.stage for cost in _own(self.a) if cost.stage in theirs)

    @property
    def unexplained_ns(self) -> float:
        """The rest: the program's own code beside each allocator, and code of no known stage."""
        return self.total_ns - self.attributed_ns


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asked for, checked."""

    comparison: stat.Request  # of exactly two allocators
    sampled: Target  # the benchmark, long enough for samples


def measure(request: Request, tell: Tell) -> Outcome[GapReport]:
    """Compare, record both arms, and share the difference out. Raises HakprofError."""
    if not request.sampled.is_benchmark:
        raise BackendError(
            "a program has no region of interest to attribute",
            advice="gap needs a benchmark; hakprof compare and record take any program",
        )
    compared = comparison.measure(request.comparison, tell)
    stop_if_interrupted(compared.errors)
    columns = compared.report.report.columns
    if compared.errors and any(column.problem for column in columns):
        raise compared.errors[0]
    store = Store()
    a, b = (_side(request, column, store, tell) for column in columns)
    return Outcome(GapReport(SCHEMA, compared.report, a, b), compared.errors)


def _side(request: Request, column: Column, store: Store, tell: Tell) -> Side:
    """Record one arm and share its time out."""
    name, time = column.arm.name, column.figures["ns_per_op"].value
    if isinstance(time, Absent):
        raise TargetError(f"{name}: no time per op: {time.why or time.reason}")
    asked = recording.Request(
        command=request.comparison.command,
        work=request.comparison.work,
        sampled=request.sampled,
        allocator=column.arm.allocator,
        sources=_recorders(),
        cpus=request.comparison.cpus,
    )
    found = recording.record(asked, store, lambda what, share: tell(f"{name}: {what}", share))
    return side_of(name, found.run, time, coding.build(sources(found)))


def side_of(arm: str, run: int, ns: float, code: Code) -> Side:
    """The stages of one arm, from its recording: samples share `ns` out, counts are per op."""
    kinds = [source.kind for source in code.sources]
    sampled = kinds.index(Kind.SAMPLED)
    exact = kinds.index(Kind.EXACT) if Kind.EXACT in kinds else None
    names = list(dict.fromkeys(code.stage))
    group = np.array([names.index(stage) for stage in code.stage], np.int64)

    def sums(weights: Floats) -> Floats:
        return np.bincount(group, weights, len(names)).astype(np.float64)

    times = tables.shares(code, sampled, sums)
    counted = tables.shares(code, exact, sums) if exact is not None else []
    counts = [share.per_op for share in counted] or [None] * len(names)
    tops = _top_functions(code, sampled)
    costs = [
        StageCost(stage, count, time.fraction * ns, time.error * ns, tops.get(stage, ""))
        for stage, time, count in zip(names, times, counts, strict=True)
    ]
    return Side(
        arm=arm,
        run=run,
        ns=ns,
        sampled=code.sources[sampled].label,
        exact=code.sources[exact].label if exact is not None else "",
        stages=tuple(sorted(costs, key=lambda cost: -cost.ns)),
    )


def findings(report: GapReport) -> tuple[str, ...]:
    """What makes the difference, the most first: evidence and where to look next."""
    ranked = list(_contributions(report))
    if report.total_ns < 0:
        ranked = [(-ns, side, cost) for ns, side, cost in ranked]
    costly = sorted((r for r in ranked if r[0] > NOTABLE_NS), key=lambda r: -r[0])[:4]
    return tuple(_finding(side, cost) for _, side, cost in costly)


def _contributions(report: GapReport) -> Iterator[tuple[float, Side, StageCost]]:
    """(what it adds to the difference, whose, stage); of what both have, the dearer one's."""
    a, b = report.a, report.b
    ours, theirs = ({cost.stage: cost for cost in _own(side)} for side in (a, b))
    for stage, cost in ours.items():
        if stage in theirs:
            more = cost.ns - theirs[stage].ns
            yield (more, a, cost) if more > 0 else (more, b, theirs[stage])
        else:
            yield cost.ns, a, cost
    yield from ((-cost.ns, b, cost) for stage, cost in theirs.items() if stage not in ours)


def _finding(side: Side, cost: StageCost) -> str:
    """One stage of the slower arm: how much, of what, and what shows more."""
    said = f"{cost.stage} takes {cost.ns:.2f} ns/op ± {cost.ns_error:.2f} (mostly {cost.function})"
    look = f"hakprof annotate {cost.function} --run {side.run}"
    each, average = cost.ns_per_instruction, side.instructions
    if each is None or not average or cost.instructions is None:
        return f"{said}: {look}"
    if each > DEAR * side.ns / average:
        return (
            f"{said} for {cost.instructions:.1f} instructions, {each:.2f} ns each, "
            f"{each / (side.ns / average):.1f}x the average: it waits for something; {look}"
        )
    return f"{said} for {cost.instructions:.1f} instructions at a usual cost: {look}"


def _own(side: Side) -> list[StageCost]:
    """The stages of the allocator itself."""
    return [s for s in side.stages if s.stage != PROGRAM and not s.stage.endswith(UNATTRIBUTED)]


def _recorders() -> tuple[str, ...]:
    """The best sampler, and callgrind or else the stepper. BackendError without a sampler."""
    usable = [recorder for recorder in recording.RECORDERS if recorder.probe().usable]
    sampling = [recorder.name for recorder in usable if recorder.kind is Kind.SAMPLED][:1]
    exact = [recorder.name for recorder in usable if recorder.kind is Kind.EXACT][:1]
    if not sampling:
        raise BackendError("nothing can sample here", advice="hakprof doctor says why")
    return (*sampling, *exact)


def _top_functions(code: Code, source: int) -> dict[str, str]:
    """Stage -> the function that takes most of it, innermost inlined name first."""
    column = code.column(source)
    weights: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    rows = [int(row) for row in np.flatnonzero(column)]
    for row, chain in zip(rows, code.chains(rows), strict=True):
        name = chain[0].function if chain else code.function(row).name
        weights[code.stage[row]][name or "(no name)"] += float(column[row])
    return {stage: max(found, key=found.__getitem__) for stage, found in weights.items()}
