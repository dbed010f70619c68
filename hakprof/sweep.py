"""The workflow of `hakprof sweep`: one option varied, several allocators, one curve each.

All points of all curves run interleaved, so that drift of the machine bends none of them.
"""

import datetime as dt
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version

import numpy as np

from hakprof import backends, environment, records
from hakprof.benchmarks import Benchmark
from hakprof.compare import Comparison, judge_pairs
from hakprof.contest import cost_of
from hakprof.errors import HakprofError
from hakprof.layout import VariedLayout
from hakprof.measurement import Measurement, Tell
from hakprof.model import Allocator, Arm, Target
from hakprof.plan import Plan, arm_names
from hakprof.report import Column, Measured, Outcome, column_of, gravest_first
from hakprof.scaling import ScalingLaw, fit_law, knee
from hakprof.store import Keeper

SCHEMA = "hakprof.sweep/1"
DEFAULT_BUDGET_S = 120.0
THREADS = "threads"


@dataclass(frozen=True, slots=True)
class Axis:
    """What is varied: options of the benchmark that take each of the values in turn."""

    options: tuple[str, ...]  # ("threads",), ("ws",), ("min", "max")
    values: tuple[int, ...]

    @property
    def name(self) -> str:
        """As it stands along the edge of the plot."""
        return " = ".join(self.options)

    def arguments(self, value: int) -> list[str]:
        """What the benchmark is given for one value; threads are set in another way."""
        return [word for o in self.options if o != THREADS for word in (f"--{o}", str(value))]


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asked for, checked."""

    command: tuple[str, ...]
    benchmark: Benchmark
    preset: str
    axis: Axis
    allocators: tuple[Allocator, ...]
    threads: int | None = None
    iters: int | None = None
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    runs: int | None = None
    budget_s: float = DEFAULT_BUDGET_S
    timeout_s: float = 600.0
    cpus: frozenset[int] | None = None

    def target(self, value: int, *, short: bool = False) -> Target:
        """The benchmark at one point of the axis; `short`: as long as it is counted."""
        varied = THREADS in self.axis.options
        least = self.benchmark.iters_counted[0]
        return self.benchmark.target(
            preset=self.preset,
            iters=min(self.iters or least, least) if short else self.iters,
            counted=short,
            threads=value if varied else self.threads,
            args=[*self.axis.arguments(value), *self.args],
            env=self.env,
        )


@dataclass(frozen=True, slots=True)
class Curve:
    """One allocator over all points. `law` and `knee` are of threads only."""

    allocator: Allocator
    points: Mapping[int, Column]  # by the axis's value; those that failed say so
    verdicts: Mapping[int, Comparison]  # against the first curve; empty for that
    knee: int | None
    law: ScalingLaw | None


@dataclass(frozen=True, slots=True)
class SweepReport:
    """All that `hakprof sweep` has to show."""

    schema: str
    hakprof: str
    started: str  # ISO 8601, UTC
    run: int  # number in the run store, 0 if it could not be kept
    command: tuple[str, ...]
    machine: environment.Machine
    benchmark: str
    axis: Axis
    cores: int  # that the runs could use
    curves: tuple[Curve, ...]
    remote: Mapping[int, float]
    """by the axis's value: share of the freed blocks that another thread had allocated"""
    interrupted: bool


def measure(request: Request, tell: Tell) -> Outcome[SweepReport]:
    """Run every point of every curve. Raises HakprofError only before the first run."""
    names = arm_names(request.allocators)
    arms = {
        (name, value): Arm(f"{name} @ {value}", request.target(value), allocator)
        for name, allocator in zip(names, request.allocators, strict=True)
        for value in request.axis.values
    }
    plan = Plan(
        arms=tuple(arms.values()),
        runs=request.runs,
        budget_s=request.budget_s,
        timeout_s=request.timeout_s,
        cpus=request.cpus,
    )
    machine = environment.read_machine()
    started = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    keeper = Keeper(request.command, records.to_json(machine), plan.arms)
    measurement = Measurement(plan, keeper, tell)
    measurement.time(VariedLayout(backends.TIMING))
    cores = len(request.cpus or os.sched_getaffinity(0))
    verdicts = _verdicts(measurement, arms, names[0])
    curves = []
    for name, allocator in zip(names, request.allocators, strict=True):
        points = {v: _column(measurement, arms[name, v]) for v in request.axis.values}
        judged = {v: comparison for (n, v), comparison in verdicts.items() if n == name}
        curves.append(curve_of(replace(allocator, name=name), request.axis, points, judged, cores))
    report = SweepReport(
        schema=SCHEMA,
        hakprof=version("hakprof"),
        started=started,
        run=keeper.run,
        command=request.command,
        machine=machine,
        benchmark=plan.arms[0].target.name,
        axis=request.axis,
        cores=cores,
        curves=tuple(curves),
        remote=_remote(request, measurement),
        interrupted=measurement.interrupted,
    )
    errors = _errors(report, keeper)
    keeper.finish(str(errors[0]) if errors else "done")
    return Outcome(report, errors)


def _verdicts(
    measurement: Measurement, arms: Mapping[tuple[str, int], Arm], base: str
) -> dict[tuple[str, int], Comparison]:
    """Each point of each curve against the first curve's, block by block, all of them together."""
    costs = {key: _costs(measurement, arm) for key, arm in arms.items()}
    pairs = {}
    for name, value in arms:
        blocks = sorted(costs[base, value].keys() & costs[name, value].keys())
        if name != base and blocks:
            both = (costs[base, value], costs[name, value])
            first, second = (np.array([column[b] for b in blocks]) for column in both)
            pairs[name, value] = first, second
    return {
        key: Comparison(key[0], base, speed, judgement, pairs[key][0].size)
        for key, (speed, judgement) in judge_pairs(pairs).items()
    }


def _costs(measurement: Measurement, arm: Arm) -> dict[int, float]:
    """Time per op by block: CPU time of one thread, wall time of several; {} where one failed."""
    clock = "busy_ns" if arm.target.threads == 1 else "time_ns"
    found = {s.index: cost_of(s, clock) for s in measurement.of(arm) if s.index >= 0}
    known = {index: cost for index, cost in found.items() if cost is not None}
    return known if len(known) == len(found) else {}


def _remote(request: Request, measurement: Measurement) -> dict[int, float]:
    """How many blocks are freed by another thread, at each point with several; by short runs."""
    found: dict[int, float] = {}
    for number, value in enumerate(request.axis.values):
        target = request.target(value, short=True)
        if target.threads == 1:
            continue
        measurement.tell("looking who frees", number / len(request.axis.values))
        census = measurement.census_of(target)
        if census and census.remote_share is not None:
            found[value] = census.remote_share
    return found


def curve_of(
    allocator: Allocator,
    axis: Axis,
    points: Mapping[int, Column],
    verdicts: Mapping[int, Comparison],
    cores: int,
) -> Curve:
    """The curve with what its throughput says about scaling, where threads were varied."""
    rates = {
        value: column.values["throughput"]
        for value, column in points.items()
        if column.values.get("throughput") and not column.problem
    }
    scales = THREADS in axis.options and bool(rates)
    return Curve(
        allocator=allocator,
        points=points,
        verdicts=verdicts,
        knee=knee(rates) if scales else None,
        law=fit_law(rates, cores) if scales else None,
    )


def _column(measurement: Measurement, arm: Arm) -> Column:
    measured = Measured(arm, measurement.of(arm), proof=measurement.proof_of(arm))
    return column_of(measured, None)


def _errors(report: SweepReport, keeper: Keeper) -> tuple[HakprofError, ...]:
    columns = [column for curve in report.curves for column in curve.points.values()]
    return gravest_first(
        interrupted=report.interrupted,
        failed=[f"{column.arm.name}: {column.problem}" for column in columns if column.problem],
        unproven=[curve.allocator.name for curve in report.curves if doubtful(curve)],
        store=keeper.problem,
    )


def doubtful(curve: Curve) -> Sequence[int]:
    """The points at which it is not proven that the allocator served the calls."""
    return [v for v, c in curve.points.items() if c.proof and not c.proven and not c.problem]
