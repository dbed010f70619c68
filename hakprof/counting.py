"""`--counters`: what hakmem counted in one run of a target, and what the counting cost.

The counts come from a run on the library that is built with counters; its time is not used for
anything but the cost, for which both builds run interleaved.
"""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from hakprof import backends, native
from hakprof.allocators import find_allocator
from hakprof.counters.read import read_dumps
from hakprof.counters.report import CounterReport, report_on
from hakprof.errors import InputError, TargetError, UsageError
from hakprof.measurement import Tell
from hakprof.model import Absent, Allocator, Arm, Sample, Target
from hakprof.plan import Plan
from hakprof.process import Command, run
from hakprof.runner import run_blocks
from hakprof.schema import load
from hakprof.stat import Request
from hakprof.stats import Ratio, paired_ratio

RELEASE, COUNTING = "hakmem", "hakmem:counters"
COST_BUDGET_S = 4.0
LEAST_PAIRS = 6
"""Fewer give no interval."""


@dataclass(frozen=True, slots=True)
class Counted:
    """One run's counts, and how much longer the counting library takes."""

    report: CounterReport
    cost: Ratio  # time with counters / time without
    pairs: int
    timed: str  # the reading that was compared: roi_cpu_ns, roi_ns or wall_ns


def check_request(allocators: tuple[Allocator, ...]) -> None:
    """Counters come with hakmem. UsageError if it is not measured."""
    if all(allocator.name != RELEASE for allocator in allocators):
        raise UsageError(
            "--counters shows what hakmem counts, and hakmem is not measured",
            advice=f"add it: --alloc {RELEASE},...",
        )


def count(request: Request, tell: Tell) -> Counted:
    """Run once for the counts and in pairs for their cost. Raises TargetError, InputError."""
    target = request.work.target
    tell("counting events", 0.0)
    report = _events(target, request)
    timed = _timed(target)
    base, counted = _times(target, request, timed, tell)
    return Counted(report, paired_ratio(base, counted), len(base), timed)


def _timed(target: Target) -> str:
    """As in `hakprof stat`: the CPU clock for one thread, the wall clock for several."""
    if not target.is_benchmark:
        return "wall_ns"
    return "roi_ns" if target.threads > 1 else "roi_cpu_ns"


def _enough(pairs: int, spent_s: float) -> bool:
    return pairs >= LEAST_PAIRS and spent_s > COST_BUDGET_S


def _events(target: Target, request: Request) -> CounterReport:
    library = find_allocator(COUNTING).library
    with tempfile.TemporaryDirectory(prefix="hakprof-") as folder:
        outcome = run(
            Command(
                argv=target.argv,
                preload=(library,) if library else (),
                env={**target.env, "HAKMEM_COUNTERS": f"{folder}/"},
                cpus=request.cpus,
                timeout_s=request.timeout_s,
            )
        )
        try:
            dumps = read_dumps(Path(folder))
        except InputError as error:
            raise TargetError(
                f"{target.name} left no counts on {COUNTING} ({outcome.exit.kind} "
                f"{outcome.exit.number})",
                advice="a static or setuid program ignores LD_PRELOAD",
            ) from error
    named = [replace(dump, source=Path(dump.source).name) for dump in dumps]
    return report_on(named, load(native.counter_schema("hakmem")))


def _times(
    target: Target, request: Request, timed: str, tell: Tell
) -> tuple[list[float], list[float]]:
    """Times of both builds, pair by pair."""
    names = (RELEASE, COUNTING)
    arms = tuple(Arm(name, target, find_allocator(name)) for name in names)
    pairs = Plan(arms=arms, timeout_s=request.timeout_s, cpus=request.cpus)
    times: dict[str, list[float]] = {name: [] for name in names}
    for sample in run_blocks(pairs, backends.TIMING, _enough):
        if sample.problem:
            raise TargetError(sample.problem)
        if sample.index >= 0:
            times[sample.arm].append(_time(sample, timed))
            tell("timing the counters", min(1.0, len(times[RELEASE]) / LEAST_PAIRS))
    return times[RELEASE], times[COUNTING]


def _time(sample: Sample, timed: str) -> float:
    value = next(reading.value for reading in sample.readings if reading.name == timed)
    if isinstance(value, Absent):
        raise TargetError(f"{sample.arm} reported no {timed}: {value.why}")
    return value
