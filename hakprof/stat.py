"""The workflow of `hakprof stat`: a request goes in, a report and what went wrong come out."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version

from hakprof import backends, environment, records
from hakprof.allocators import find_allocator
from hakprof.errors import HakprofError, InterruptedRunError, TargetError, UnprovenError
from hakprof.measurement import Measurement, Tell
from hakprof.model import Absent, Allocator, CountingBackend, Kind, Target
from hakprof.plan import DEFAULT_BUDGET_S, Plan, arms_of
from hakprof.report import (
    SCHEMA,
    Column,
    Counting,
    Measured,
    Outcome,
    Report,
    column_of,
    gaps_of,
    series_of,
)
from hakprof.store import Keeper
from hakprof.units import NS_PER_S
from hakprof.work import Work

COUNT_LIMIT_S = 60.0
"""A program whose count would take longer is counted only where a backend is named."""

EMULATION = 20.0
"""How much slower an emulated run is, about."""

SIMULATE, MODEL = "simulate", "callgrind"
"""Option of a job, and the backend that has the models."""

MODELS = ("cache", "branch")
"""What can be simulated."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asked for, checked."""

    command: tuple[str, ...]
    work: Work
    allocators: tuple[Allocator, ...]
    runs: int | None = None
    budget_s: float = DEFAULT_BUDGET_S
    warmup: int = 1
    timeout_s: float = 600.0
    cpus: frozenset[int] | None = None
    backend: str = ""  # "" is the best that works here
    options: Mapping[str, str] = field(default_factory=dict)


def time_all(measurement: Measurement) -> None:
    """The timed runs of `hakprof stat`."""
    measurement.time(backends.TIMING)


def measure(
    request: Request, tell: Tell, time: Callable[[Measurement], None] = time_all
) -> Outcome[Report]:
    """Run everything that the request needs, `time` the part whose time counts.

    Raises HakprofError only before the first run.
    """
    native = find_allocator("glibc")
    plan = Plan(
        arms=arms_of(request.work.target, request.allocators, native),
        runs=request.runs,
        budget_s=request.budget_s,
        warmup=request.warmup,
        timeout_s=request.timeout_s,
        cpus=request.cpus,
        options=request.options,
    )
    tools = _tools(request)
    machine = environment.read_machine()
    started = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    keeper = Keeper(request.command, records.to_json(machine), plan.arms)
    measurement = Measurement(plan, keeper, tell)
    time(measurement)
    if not request.work.target.is_benchmark:
        measurement.observe()
        measurement.take_census()
    counting = _count(request, measurement, tools)
    report = _report(request, measurement, counting, machine, started)
    errors = (*errors_of(report), *([keeper.problem] if keeper.problem else []))
    keeper.finish(str(errors[0]) if errors else "done")
    return Outcome(report, errors)


@dataclass(frozen=True, slots=True)
class _Tools:
    """The backends that were asked for by name or by what they do; they work here."""

    forced: CountingBackend | None
    model: CountingBackend | None


def _tools(request: Request) -> _Tools:
    has_roi = request.work.target.is_benchmark
    return _Tools(
        forced=backends.choose(request.backend, has_roi=has_roi) if request.backend else None,
        model=backends.choose(MODEL) if request.options.get(SIMULATE) else None,
    )


def _count(request: Request, measurement: Measurement, tools: _Tools) -> Counting:
    """Instructions by the first backend that can; then the models that were asked for."""
    hardware = backends.COUNTING[0].probe()
    failures: list[str] = []
    chosen = [tools.forced] if tools.forced else _candidates(request, measurement, failures)
    used: CountingBackend | None = None
    for backend in chosen:
        if measurement.interrupted or backend is backends.TIMING:
            break
        if backend.kind is Kind.EXACT and (processes := measurement.processes) > 1:
            failures.append(f"{backend.name}: sees the first of {processes} processes only")
            continue
        used = backend
        lengths = _lengths(request, measurement, backend)
        why = measurement.count(backend, lengths)
        if not why:
            if request.work.target.is_benchmark and backend.kind is Kind.EXACT:
                measurement.question(lengths[0], backend)
            break
        failures.append(f"{backend.name}: {why}")
    if tools.model and tools.model is not used and not measurement.interrupted:
        measurement.count(tools.model, _lengths(request, measurement, tools.model))
    return Counting(hardware, tuple(failures))


def _candidates(
    request: Request, measurement: Measurement, failures: list[str]
) -> Iterator[CountingBackend]:
    """The backends of the ladder that work here and are worth the time, the best first."""
    for backend in backends.COUNTING:
        if backend.needs_roi and not request.work.target.is_benchmark:
            continue
        here = backend.probe()
        seconds = EMULATION * _run_s(measurement)
        if not here.usable:
            failures.append(f"{backend.name}: {here.why}")
        elif backend.kind is Kind.EXACT and not request.work.counted and seconds > COUNT_LIMIT_S:
            failures.append(f"{backend.name} would take some {seconds:.0f} s, --backend forces it")
        else:
            yield backend


def _lengths(
    request: Request, measurement: Measurement, backend: CountingBackend
) -> tuple[Target, ...]:
    reports = [s.report for all_ in measurement.samples.values() for s in all_ if s.report]
    ops_per_iter = reports[0].ops / request.work.iters if reports and request.work.iters else 1.0
    return request.work.lengths(backend.first_ops, ops_per_iter)


def _run_s(measurement: Measurement) -> float:
    """Seconds of the longest run so far."""
    times = [
        reading.value
        for samples in measurement.samples.values()
        for sample in samples
        for reading in sample.readings
        if reading.name == "wall_ns" and not isinstance(reading.value, Absent)
    ]
    return max(times, default=0.0) / NS_PER_S


def _report(
    request: Request,
    measurement: Measurement,
    counting: Counting,
    machine: environment.Machine,
    started: str,
) -> Report:
    asked = measurement.census.asked if measurement.census else None
    measured = [
        Measured(
            arm,
            samples=measurement.of(arm),
            calls=measurement.calls,
            asked=asked if not arm.harness_only else None,
            proof=measurement.proof_of(arm),
            doubt="" if arm.harness_only else measurement.doubt,
        )
        for arm in measurement.plan.arms
    ]
    alone = next((m for m in measured if m.arm.harness_only), None)
    harness = series_of(alone) if alone else None
    columns = tuple(column_of(m, harness) for m in measured if not m.arm.harness_only)
    return Report(
        schema=SCHEMA,
        hakprof=version("hakprof"),
        started=started,
        run=measurement.keeper.run,
        command=request.command,
        machine=machine,
        target=request.work.target,
        columns=columns,
        harness=column_of(alone, None) if alone else None,
        census=measurement.census,
        gaps=gaps_of(columns, counting),
        interrupted=measurement.interrupted,
    )


def errors_of(report: Report) -> tuple[HakprofError, ...]:
    """What went wrong, the gravest first: it decides the exit code."""
    errors: list[HakprofError] = []
    if report.interrupted:
        kept = "what was measured is shown above" if report.measured else "nothing was measured"
        errors.append(InterruptedRunError("interrupted", advice=kept))
    columns = [*report.columns, *([report.harness] if report.harness else [])]
    failed = [column for column in columns if column.problem]
    if len(failed) == len(columns):
        failed = failed[:1]  # whatever it is, it is not the allocator
    errors += [TargetError(f"{column.problem} (on {column.arm.name})") for column in failed]
    errors += [_unproven(c) for c in report.columns if c.proof and not (c.proven or c.problem)]
    return tuple(errors)


def _unproven(column: Column) -> UnprovenError:
    return UnprovenError(
        f"it is not proven that {column.arm.allocator.name} served the calls",
        advice="the proof above says what was seen; hakprof verify looks closer",
    )
