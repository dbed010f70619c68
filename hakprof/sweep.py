"""The workflow of `hakprof sweep`: one option varied, several allocators, one curve each.

All points of all curves run interleaved, so that drift of the machine bends none of them.
"""

import datetime as dt
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version

from hakprof import backends, environment, records
from hakprof.benchmarks import Benchmark
from hakprof.errors import HakprofError, InterruptedRunError, TargetError, UnprovenError
from hakprof.layout import VariedLayout
from hakprof.measurement import Measurement, Tell
from hakprof.model import Allocator, Arm, Target
from hakprof.plan import Plan, distinct
from hakprof.report import Column, Measured, column_of
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

    def target(self, value: int) -> Target:
        """The benchmark at one point of the axis."""
        varied = THREADS in self.axis.options
        return self.benchmark.target(
            preset=self.preset,
            iters=self.iters,
            threads=value if varied else self.threads,
            args=[*self.axis.arguments(value), *self.args],
            env=self.env,
        )


@dataclass(frozen=True, slots=True)
class Curve:
    """One allocator over all points. `law` and `knee` are of threads only."""

    allocator: Allocator
    points: Mapping[int, Column]  # by the axis's value; those that failed say so
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
    interrupted: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """The report, and the errors that belong on stderr and into the exit code, gravest first."""

    report: SweepReport
    errors: tuple[HakprofError, ...]


def measure(request: Request, tell: Tell) -> Outcome:
    """Run every point of every curve. Raises HakprofError only before the first run."""
    names = distinct([allocator.name for allocator in request.allocators])
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
    curves = []
    for name, allocator in zip(names, request.allocators, strict=True):
        points = {v: _column(measurement, arms[name, v]) for v in request.axis.values}
        curves.append(curve_of(replace(allocator, name=name), request.axis, points, cores))
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
        interrupted=measurement.interrupted,
    )
    errors = _errors(report, keeper)
    keeper.finish(str(errors[0]) if errors else "done")
    return Outcome(report, errors)


def curve_of(allocator: Allocator, axis: Axis, points: Mapping[int, Column], cores: int) -> Curve:
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
        knee=knee(rates) if scales else None,
        law=fit_law(rates, cores) if scales else None,
    )


def _column(measurement: Measurement, arm: Arm) -> Column:
    return column_of(Measured(arm, measurement.of(arm), (), measurement.proof_of(arm)), None)


def _errors(report: SweepReport, keeper: Keeper) -> tuple[HakprofError, ...]:
    """What went wrong, the gravest first: it decides the exit code."""
    errors: list[HakprofError] = []
    if report.interrupted:
        errors.append(InterruptedRunError("interrupted", advice="what was measured is shown above"))
    columns = [column for curve in report.curves for column in curve.points.values()]
    errors += [TargetError(f"{c.arm.name}: {c.problem}") for c in columns if c.problem]
    errors += [
        UnprovenError(
            f"it is not proven that {curve.allocator.name} served the calls",
            advice="hakprof verify looks closer",
        )
        for curve in report.curves
        if doubtful(curve)
    ]
    if keeper.problem:
        errors.append(keeper.problem)
    return tuple(errors)


def doubtful(curve: Curve) -> Sequence[int]:
    """The points at which it is not proven that the allocator served the calls."""
    return [v for v, c in curve.points.items() if c.proof and not c.proven and not c.problem]
