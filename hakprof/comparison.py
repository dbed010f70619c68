"""The workflow of `hakprof compare` and `hakprof ab`: arms in, verdicts out, beside all figures."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hakprof import backends, stat
from hakprof.backends.syscalls import Syscalls
from hakprof.compare import Comparison, Judgement, Verdicts
from hakprof.contest import Contest
from hakprof.errors import HakprofError
from hakprof.layout import VariedLayout
from hakprof.measurement import Measurement, Tell
from hakprof.model import Absent, Verdict
from hakprof.report import Column, Outcome, Report
from hakprof.resident import Watching
from hakprof.stats import Ratio
from hakprof.units import show_bytes, show_percent

SCHEMA = "hakprof.compare/1"
"""Name and version of the document. A field may be added; one that changes raises the version."""

PARTS = 4
"""A block takes each arm so many times less work than a run of `hakprof stat`: there are more."""

SYSCALLS = Syscalls()

Settled = Callable[[Verdicts], bool]
"""Whether what is known at a look is enough."""

MORE_MEMORY = 1.05
MORE_MEMORY_BYTES = 1 << 20
"""A peak that is higher by less than either is not worth a word."""

COUNT_DIFFERS = 2e-3
"""Exact counts repeat to 1e-5; the slope over lengths leaves up to 1e-3."""


@dataclass(frozen=True, slots=True)
class Row:
    """What is said of one arm against the base."""

    arm: str
    judgement: Judgement
    speed: Ratio | None  # base cost / cost; None where nothing bounds it
    blocks: int
    memory: float | None  # peak RSS over the base's, None where one was not read
    instructions: float | None  # per op, over the base's; None where one was not counted


@dataclass(frozen=True, slots=True)
class ComparisonReport:
    """All that `hakprof compare` has to show; the figures are those of `hakprof stat`."""

    schema: str
    report: Report
    base: str
    compared: str  # what was compared: "CPU time per op"
    rows: tuple[Row, ...]
    winner: str  # "" where no arm is faster than every other
    noise: float | None  # what the base shows against itself, 95 %: the least that can be seen
    unsteady: bool  # chance made even that differ
    excluded: Mapping[str, str]  # arm -> why no verdict is given
    needed_s: float | None = None  # how long a verdict would take, where the budget was too small
    runs_a_block: int = 1  # of each arm; their median is what it costs in that block


def measure(
    request: stat.Request,
    tell: Tell,
    *,
    wall_time: bool = False,
    settled: Settled = lambda verdicts: verdicts.settled,
) -> Outcome[ComparisonReport]:
    """Compare the request's allocators with the first of them."""
    found = contested(request, tell, wall_time=wall_time, settled=by_verdicts(settled))
    return Outcome(compare(found), found.errors)


def by_verdicts(settled: Settled) -> Callable[[Contest], bool]:
    """Asks the verdicts of a contest whether they are settled."""

    def enough(contest: Contest) -> bool:
        verdicts = contest.verdicts()
        return verdicts is not None and settled(verdicts)

    return enough


@dataclass(frozen=True, slots=True)
class Contested:
    """What a contest left: its costs block by block, and all figures of its arms."""

    report: Report
    contest: Contest
    compared: str  # "CPU time per op"
    errors: tuple[HakprofError, ...]


def contested(
    request: stat.Request, tell: Tell, *, wall_time: bool, settled: Callable[[Contest], bool]
) -> Contested:
    """Run the request's allocators against the first of them until `settled`."""
    target = request.work.target
    cpu_time = not wall_time and target.threads == 1
    contest: Contest | None = None

    def time(measurement: Measurement) -> None:
        nonlocal contest
        contest = Contest(
            measurement.plan,
            measurement.plan.arms[0],
            measurement.samples,
            backend=backends.TIMING.name,
            cpu_time=cpu_time,
            settled=settled,
            runs_a_block=request.work.runs_a_block,
        )
        measurement.time(VariedLayout(backends.TIMING), contest.plan, contest.enough)
        measurement.once(Watching())
        measurement.once(SYSCALLS)
        measurement.take_census()

    outcome = stat.measure(request, tell, time)
    assert contest is not None  # noqa: S101 (`time` was called)
    compared = f"{'CPU' if cpu_time else 'wall'} time per {'op' if target.is_benchmark else 'run'}"
    return Contested(outcome.report, contest, compared, outcome.errors)


def compare(found: Contested) -> ComparisonReport:
    """Judge what was measured. Arms that failed, or whose allocator is not proven, are left out."""
    report, contest = found.report, found.contest
    unproven = {column.arm.name: why for column in report.columns if (why := doubt(column))}
    verdicts = contest.verdicts(without=unproven)
    columns = {column.arm.name: column for column in report.columns}
    base = columns[contest.base]
    same = verdicts.same.speed if verdicts else None
    bounded = same is not None and same.high < math.inf
    undecided = verdicts is not None and _undecided(verdicts)
    return ComparisonReport(
        schema=SCHEMA,
        report=report,
        base=contest.base,
        compared=found.compared,
        rows=tuple(_row(c, columns[c.arm], base) for c in verdicts.arms) if verdicts else (),
        winner=verdicts.winner if verdicts else "",
        noise=math.sqrt(same.high / same.low) - 1 if same and bounded else None,
        unsteady=same is not None and same.excludes_one,
        excluded={**contest.problems, **unproven},
        needed_s=contest.needed_s if undecided and contest.limited else None,
        runs_a_block=contest.runs_a_block,
    )


def _undecided(verdicts: Verdicts) -> bool:
    """Not one arm has a verdict; what is still unknown of the base alone does not count."""
    return all(arm.judgement is Judgement.UNDECIDED for arm in verdicts.arms)


def findings(comparison: ComparisonReport) -> tuple[str, ...]:
    """What belongs beside the verdicts, in sentences."""
    return tuple(
        sentence
        for row in comparison.rows
        for sentence in (speed_and_memory(row, comparison), count_below_noise(row, comparison))
        if sentence
    )


def speed_and_memory(row: Row, comparison: ComparisonReport) -> str:
    """An arm that wins by time and loses by memory, or the other way, is said to do both."""
    peaks = {c.arm.name: c.figures["max_rss_bytes"].value for c in comparison.report.columns}
    ours, theirs = peaks.get(row.arm), peaks.get(comparison.base)
    if not isinstance(ours, float) or not isinstance(theirs, float):
        return ""
    low, high = sorted((ours, theirs))
    faster = row.judgement is Judgement.FASTER
    both = (faster and ours > theirs) or (row.judgement is Judgement.SLOWER and ours < theirs)
    if not both or high < MORE_MEMORY * low or high - low < MORE_MEMORY_BYTES:
        return ""
    return (
        f"{row.arm} is {row.judgement} than {comparison.base} and takes {ours / theirs:.2f}x its "
        f"peak memory ({show_bytes(ours)} against {show_bytes(theirs)})"
    )


def count_below_noise(row: Row, comparison: ComparisonReport) -> str:
    """A change that the exact count shows and the time cannot; threads that wait count anyhow."""
    change = (row.instructions or 1.0) - 1
    threads = comparison.report.target.threads
    if row.judgement is not Judgement.NO_DIFFERENCE or abs(change) <= COUNT_DIFFERS or threads > 1:
        return ""
    return (
        f"{row.arm} takes {show_percent(abs(change))} {'fewer' if change < 0 else 'more'} "
        f"instructions/op than {comparison.base}: that is real, and below what the time can show"
    )


def doubt(column: Column) -> str:
    """Why nobody can say whose speed an arm shows; "" where it is proven."""
    if column.proof is None or column.proven:
        return ""
    proof = column.proof
    if proof.verdict is Verdict.REFUTED and proof.served_by == proof.expected:
        return "it served some of the calls only"
    if proof.verdict is Verdict.REFUTED:
        return f"{proof.served_by or 'somebody else'} served its calls"
    return "it is not proven that it served the calls"


def _row(comparison: Comparison, column: Column, base: Column) -> Row:
    undecided = comparison.judgement is Judgement.UNDECIDED
    return Row(
        arm=comparison.arm,
        judgement=comparison.judgement,
        speed=None if undecided else comparison.speed,
        blocks=comparison.blocks,
        memory=_ratio(column, base, "max_rss_bytes"),
        instructions=_ratio(column, base, "instructions_per_op"),
    )


def _ratio(column: Column, base: Column, metric: str) -> float | None:
    """The figure over the base's, net of the harness where it has a net; None without both."""
    ours, theirs = (c.net.get(metric) or c.figures.get(metric) for c in (column, base))
    if not ours or not theirs or ours.kind != theirs.kind:
        return None
    if isinstance(ours.value, Absent) or isinstance(theirs.value, Absent) or theirs.value <= 0:
        return None
    return ours.value / theirs.value
