"""The workflow of `hakprof memory`: where a program's memory goes, allocator by allocator.

Each arm runs twice: once watched (resident and mapped memory over time), once traced (the calls
that get memory and give it back). Neither run is timed.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import accumulate

from hakprof import environment, records
from hakprof.allocators import find_allocator
from hakprof.backends.syscall_logs import NAMES
from hakprof.backends.syscalls import Call, Syscalls
from hakprof.errors import BackendError, HakprofError
from hakprof.measurement import Measurement, Tell
from hakprof.model import Absent, Allocator, Arm, Proof, Sample, Target
from hakprof.plan import Plan, arms_of
from hakprof.report import Outcome, gravest_first
from hakprof.resident import DEFAULT_INTERVAL_S, Sight, Watching
from hakprof.store import Keeper

SCHEMA = "hakprof.memory/1"

MOST_STEPS = 300
"""More points of a curve than a plot has columns."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asked for, checked."""

    command: tuple[str, ...]
    target: Target
    allocators: tuple[Allocator, ...]
    interval_s: float = DEFAULT_INTERVAL_S
    timeout_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Calls:
    """System calls of one run, all of its processes."""

    counts: tuple[tuple[str, int], ...]  # (name, calls), in the order of `syscalls.NAMES`
    took_ns: float  # under the tracer
    returned_bytes: int
    returns: tuple[tuple[float, int], ...]
    """(seconds since the start of the traced run, bytes given back until then), where it grew"""


@dataclass(frozen=True, slots=True)
class Footprint:
    """The memory of one arm."""

    arm: Arm
    sights: tuple[Sight, ...]
    calls: Calls | None  # None where nothing could trace
    proof: Proof | None
    problem: str

    @property
    def peak_bytes(self) -> int:
        """The most that was resident."""
        return max((sight.peak_bytes for sight in self.sights), default=0)

    @property
    def mapped_bytes(self) -> int:
        """The most address space."""
        return max((sight.mapped_bytes for sight in self.sights), default=0)

    @property
    def last_mapped_bytes(self) -> int:
        """Address space when last seen, just before the end."""
        return self.sights[-1].mapped_bytes if self.sights else 0

    @property
    def mean_bytes(self) -> float:
        """Resident memory averaged over the run: what it costs a shared machine."""
        pairs = zip(self.sights, self.sights[1:], strict=False)
        spans = [((a.resident_bytes + b.resident_bytes) / 2, b.at_s - a.at_s) for a, b in pairs]
        whole_s = sum(span for _, span in spans)
        return sum(level * span for level, span in spans) / whole_s if whole_s else 0.0

    @property
    def last_bytes(self) -> int:
        """Resident when last seen, just before the end, less what is only lazily freed."""
        last = self.sights[-1] if self.sights else None
        return last.resident_bytes - last.lazy_bytes if last else 0


@dataclass(frozen=True, slots=True)
class MemoryReport:
    """All that `hakprof memory` has to show."""

    schema: str
    hakprof: str
    started: str  # ISO 8601, UTC
    run: int  # number in the run store, 0 if it could not be kept
    command: tuple[str, ...]
    machine: environment.Machine
    target: Target
    interval_s: float
    footprints: tuple[Footprint, ...]
    traced_by: str  # "strace" or "ptrace"; "" where nothing can trace
    no_calls: str  # why there are no system calls; "" where there are
    interrupted: bool


def measure(request: Request, tell: Tell) -> Outcome[MemoryReport]:
    """Watch and trace every arm. BackendError where this kernel shows no memory maps."""
    watching, tracing = Watching(request.interval_s), Syscalls()
    here = watching.probe()
    if not here.usable:
        raise BackendError(here.why)
    every = arms_of(request.target, request.allocators, find_allocator("glibc"))
    arms = tuple(arm for arm in every if not arm.harness_only)
    machine = environment.read_machine()
    started = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    keeper = Keeper(request.command, records.to_json(machine), arms)
    measurement = Measurement(Plan(arms, timeout_s=request.timeout_s), keeper, tell)
    measurement.once(watching)
    measurement.once(tracing)
    if not request.target.is_benchmark:
        measurement.observe()
    report = MemoryReport(
        schema=SCHEMA,
        hakprof=version("hakprof"),
        started=started,
        run=keeper.run,
        command=request.command,
        machine=machine,
        target=request.target,
        interval_s=request.interval_s,
        footprints=tuple(_footprint(arm, measurement, watching, tracing) for arm in arms),
        traced_by=tracing.tracer.name if tracing.tracer else "",
        no_calls=tracing.probe().why,
        interrupted=measurement.interrupted,
    )
    errors = _errors(report, keeper)
    keeper.finish(str(errors[0]) if errors else "done")
    return Outcome(report, errors)


def _footprint(
    arm: Arm, measurement: Measurement, watching: Watching, tracing: Syscalls
) -> Footprint:
    samples = measurement.of(arm)
    traced = next((s for s in samples if s.backend == tracing.name and not s.problem), None)
    problems = (f"{sample.backend}: {sample.problem}" for sample in samples if sample.problem)
    return Footprint(
        arm=arm,
        sights=watching.seen.get(arm.name, ()),
        calls=_calls(traced, tracing.seen[arm.name]) if traced else None,
        proof=measurement.proof_of(arm),
        problem="; ".join(problems),
    )


def _calls(sample: Sample, calls: Sequence[Call]) -> Calls:
    known = {r.name: r.value for r in sample.readings if not isinstance(r.value, Absent)}
    returning = sorted((c.at_s + c.took_s, c.returned_bytes) for c in calls if c.returned_bytes)
    times, amounts = [at_s for at_s, _ in returning], [amount for _, amount in returning]
    return Calls(
        counts=tuple((name, int(known[f"{name}_calls"])) for name in NAMES),
        took_ns=known["memory_calls_ns"],
        returned_bytes=int(known["returned_bytes"]),
        returns=_thinned(list(zip(times, accumulate(amounts), strict=True))),
    )


def _thinned(steps: Sequence[tuple[float, int]]) -> tuple[tuple[float, int], ...]:
    """At most so many of them that a plot shows no difference, the last among them."""
    stride = len(steps) // MOST_STEPS + 1
    return (*steps[:-1:stride], *steps[-1:])


def _errors(report: MemoryReport, keeper: Keeper) -> tuple[HakprofError, ...]:
    prints = report.footprints
    return gravest_first(
        interrupted=report.interrupted,
        failed=[f"{each.arm.name}: {each.problem}" for each in prints if each.problem],
        unproven=[each.arm.name for each in prints if each.proof and not each.proof.proven],
        store=keeper.problem,
    )
