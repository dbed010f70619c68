"""What a command has to show, as data: columns of figures, proof, and what there is to say.

A renderer turns a report into text and adds nothing. The JSON document that `--json` writes is
this record; docs/json.md describes it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from hakprof import figures, findings, metrics, stats
from hakprof.census import Census
from hakprof.environment import Machine
from hakprof.errors import (
    BackendError,
    HakprofError,
    InterruptedRunError,
    TargetError,
    UnprovenError,
)
from hakprof.figures import Series
from hakprof.measurement import TIMING
from hakprof.metrics import IPC, IPC_NEEDS, METRICS, OVERHEAD, OVERHEAD_NEEDS
from hakprof.model import (
    Absence,
    Absent,
    Arm,
    Availability,
    Figure,
    Kind,
    Proof,
    Reading,
    Sample,
    Target,
    Verdict,
)

SCHEMA = "hakprof.stat/1"
"""Name and version of the document. A field may be added; one that changes raises the version."""

Shown = TypeVar("Shown")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Shown]):
    """What a command has to show, and the errors that belong on stderr, the gravest first.

    That one decides the exit code; what was measured beside it is shown all the same.
    """

    report: Shown
    errors: tuple[HakprofError, ...]


def stop_if_interrupted(errors: Iterable[HakprofError]) -> None:
    """For a workflow of several parts: Ctrl-C in one of them ends all. InterruptedRunError."""
    if any(isinstance(error, InterruptedRunError) for error in errors):
        raise InterruptedRunError("interrupted")


def gravest_first(
    *,
    interrupted: bool,
    failed: Iterable[str],
    unproven: Iterable[str],
    store: HakprofError | None,
) -> tuple[HakprofError, ...]:
    """What went wrong: the runs that failed, allocators without proof, a store that cannot keep."""
    shown = "what was measured is shown above"
    errors: list[HakprofError] = []
    if interrupted:
        errors.append(InterruptedRunError("interrupted", advice=shown))
    errors += [TargetError(problem) for problem in failed]
    errors += [
        UnprovenError(
            f"it is not proven that {name} served the calls", advice="hakprof verify looks closer"
        )
        for name in unproven
    ]
    return (*errors, store) if store else tuple(errors)


def headline(target: Target) -> str:
    """The metric that runs are judged by: how steady they are, how many there were."""
    return "ns_per_op" if target.is_benchmark else "wall_ns"


@dataclass(frozen=True, slots=True)
class Column:
    """One arm: its figures, those net of the harness, and who served its calls."""

    arm: Arm
    runs: int
    ops: float | None  # of one timed run
    figures: Mapping[str, Figure]  # by metric
    net: Mapping[str, Figure]  # by metric, those that have a net
    values: Mapping[str, tuple[float, ...]]  # by metric: the figure's runs, in order
    noise_floor: float | None  # relative; None with too few runs
    proof: Proof | None = None
    findings: tuple[str, ...] = ()
    problem: str = ""

    @property
    def proven(self) -> bool:
        """The evidence says that the named allocator served the calls."""
        return self.proof is not None and self.proof.verdict is Verdict.PROVEN


@dataclass(frozen=True, slots=True)
class Gap:
    """Metrics that were not measured, and why."""

    metrics: tuple[str, ...]
    why: Absent
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All that `hakprof stat` has to show."""

    schema: str
    hakprof: str  # version
    started: str  # ISO 8601, UTC
    run: int  # number in the run store, 0 if it could not be kept
    command: tuple[str, ...]
    machine: Machine
    target: Target
    columns: tuple[Column, ...]
    harness: Column | None
    census: Census | None = None  # what the program asks for, in a run of its own
    gaps: tuple[Gap, ...] = ()
    interrupted: bool = False

    @property
    def measured(self) -> bool:
        """There is at least one run to show."""
        return any(column.runs for column in self.columns)


@dataclass(frozen=True, slots=True)
class Counting:
    """What the counting phase found out about the machine."""

    hardware: Availability  # of counters in the processor
    failures: tuple[str, ...] = ()  # backends that could not count, in words


@dataclass(frozen=True, slots=True)
class Measured:
    """All samples of one arm, and what was found out besides."""

    arm: Arm
    samples: tuple[Sample, ...]
    calls: tuple[Reading, ...] = ()  # the census's, for a program that reports no ops
    asked: Reading | None = None  # the most memory that it asked for at once, if a census saw it
    proof: Proof | None = None
    doubt: str = ""  # what contradicts the program's own word


def column_of(measured: Measured, harness: Mapping[str, Series | Absent] | None) -> Column:
    """The figures of an arm; `harness` are the series of the harness alone, None without one."""
    every = series_of(measured)
    whole = not measured.arm.target.is_benchmark
    shown = {
        m.name: figures.figure_of(m, every[m.name]) for m in METRICS if whole or not m.only_programs
    }
    problems = [s.problem for s in measured.samples if s.problem and s.backend == TIMING]
    problems += [measured.doubt] if measured.doubt else []
    try:
        shown[IPC] = figures.ipc_of(*(shown[name] for name in IPC_NEEDS))
    except BackendError as error:
        problems.append(str(error))
        why = Absent(Absence.UNAVAILABLE, error.message)
        for name, unit in ((IPC, "ratio"), ("cycles_per_op", "per op")):
            shown[name] = Figure(name, why, unit, Kind.COUNTED, "")
    shown[OVERHEAD] = figures.overhead_of(*(shown[name] for name in OVERHEAD_NEEDS))
    timed = every[headline(measured.arm.target)]
    values = list(timed.values.values()) if isinstance(timed, Series) else []
    noise = stats.noise_floor(values) if len(values) >= figures.LEAST_RUNS else None
    net = {
        m.name: figures.net_of(m, every[m.name], harness[m.name])
        for m in METRICS
        if harness and m.has_net
    }
    values_of = {n: tuple(s.values.values()) for n, s in every.items() if isinstance(s, Series)}
    return Column(
        arm=measured.arm,
        runs=len(values),
        ops=_ops_of(measured),
        figures=shown,
        net=net,
        values=values_of,
        noise_floor=noise,
        proof=measured.proof,
        findings=findings.findings_of(
            findings.Results(measured.arm.allocator, shown, net, values_of, noise)
        ),
        problem="; ".join(dict.fromkeys(problems)),
    )


def _ops_of(measured: Measured) -> float | None:
    """Ops of a timed run, by its own word or the census's."""
    timed = (s for s in measured.samples if s.backend == TIMING and s.index >= 0)
    facts = next((metrics.facts_of(sample, measured.calls) for sample in timed), {})
    value = facts["ops"].value if "ops" in facts else None
    return None if isinstance(value, Absent) else value


def series_of(measured: Measured) -> dict[str, Series | Absent]:
    """Every metric over the arm's runs. Warm-up and failed runs are left out."""
    runs: dict[figures.Run, metrics.Facts] = {
        (sample.backend, sample.index): metrics.facts_of(sample, measured.calls)
        for sample in measured.samples
        if sample.index >= 0 and not sample.problem
    }
    if measured.asked:
        runs["census", 0] = {measured.asked.name: measured.asked}
    return figures.all_series(runs)


def gaps_of(columns: Sequence[Column], counting: Counting) -> tuple[Gap, ...]:
    """The metrics that no column has, together where the reason is the same."""
    groups: dict[tuple[Absent, str], list[str]] = {}
    absent: dict[str, Absent] = {}
    for name in metrics.TITLES:
        found = [column.figures[name].value for column in columns if name in column.figures]
        gaps = [value for value in found if isinstance(value, Absent)]
        if gaps and len(gaps) == len(found) and name not in metrics.OPTIONAL:
            absent[name] = gaps[0]
            reason = next((n for n in IPC_NEEDS if n in absent), name) if name == IPC else name
            groups.setdefault(_why(reason, gaps[0], counting), []).append(name)
    return tuple(Gap(tuple(names), why, advice) for (why, advice), names in groups.items())


def _why(name: str, absent: Absent, counting: Counting) -> tuple[Absent, str]:
    """(reason, advice) of a metric that is absent; the machine's where nobody said another."""
    hardware = counting.hardware
    if absent.why:
        return absent, ""
    if name == "instructions_per_op" and counting.failures:
        return Absent(Absence.NOT_COUNTED, "; ".join(counting.failures)), ""
    if not hardware.usable and metrics.KINDS[name] is Kind.COUNTED:
        return Absent(Absence.NOT_SUPPORTED, hardware.why), hardware.advice
    return absent, ""
