"""The metrics: one row each, a formula over the readings of one run.

Kinds are never mixed: `blend` says which kind a figure has whose inputs are of several, or that
there is no such figure.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from hakprof.model import Kind, OpReport, Reading, Sample
from hakprof.units import NS_PER_S, Unit

LADDER = (
    Kind.COUNTED,
    Kind.EXACT,
    Kind.ESTIMATED,
    Kind.SIMULATED,
    Kind.TIMED,
    Kind.SAMPLED,
    Kind.REPORTED,
)
"""Best first: an arm that has a metric in several kinds shows the first of them."""

IPC = "ipc"
IPC_NEEDS = ("instructions_per_op", "cycles_per_op")
"""A metric over metrics: the first of these / the second."""

OVERHEAD = "memory_overhead"
OVERHEAD_NEEDS = ("max_rss_bytes", "asked_bytes")
"""The other one: resident memory for what was asked for."""

MACHINE_WIDTH = 8.0
"""Instructions that the widest of today's processors retire in a cycle."""


class Better(StrEnum):
    """Which direction of a metric is the good one."""

    LESS = "less"
    MORE = "more"
    NEITHER = "neither"


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the table."""

    name: str
    title: str
    unit: Unit
    better: Better
    needs: tuple[str, ...]  # readings that the formula takes, in this order
    formula: Callable[..., float]
    kind: Kind = Kind.TIMED  # what it is where the machine can do all
    has_net: bool = False  # the harness's own share can be subtracted
    only_programs: bool = False  # of the whole run, which for a benchmark holds its warm-up
    optional: bool = False  # shown where there is one, not missed where there is none


CPU_CLOCK, WALL_CLOCK = "CPU clock", "wall clock"
"""Sources of times."""

Facts = Mapping[str, Reading]
"""The readings of one run by name, together with what the program reports of itself."""


def _itself(value: float) -> float:
    return value


def _per(amount: float, ops: float) -> float:
    return amount / ops


def _per_1000(amount: float, ops: float) -> float:
    return 1000 * amount / ops


def _per_second(ns: float, ops: float) -> float:
    return NS_PER_S / (ns / ops)  # no ops: no rate, rather than a rate of 0


def _cost(
    name: str,
    title: str,
    unit: Unit,
    reading: str,
    kind: Kind = Kind.TIMED,
    *,
    optional: bool = False,
) -> Metric:
    """A cost per op, of which the harness has its share."""
    needs = (reading, "ops")
    return Metric(
        name, title, unit, Better.LESS, needs, _per, kind, has_net=True, optional=optional
    )


def _misses(name: str, title: str, reading: str) -> Metric:
    needs = (reading, "ops")
    return Metric(name, title, Unit.PER_1000_OPS, Better.LESS, needs, _per_1000, Kind.COUNTED)


def _whole(
    reading: str, title: str, unit: Unit = Unit.COUNT, *, only_programs: bool = False
) -> Metric:
    """Something of the whole process, as it was read."""
    needs = (reading,)
    return Metric(reading, title, unit, Better.LESS, needs, _itself, only_programs=only_programs)


METRICS = (
    Metric(
        "throughput", "throughput", Unit.PER_SECOND, Better.MORE, ("op_time_ns", "ops"), _per_second
    ),
    _whole("wall_ns", "wall time per run", Unit.NS, only_programs=True),
    _whole("cpu_ns", "CPU time per run", Unit.NS, only_programs=True),
    _cost("ns_per_op", "time per op", Unit.NS, "op_time_ns"),
    _cost("wall_ns_per_op", "wall time per op", Unit.NS, "other_wall_ns", optional=True),
    _cost("cpu_ns_per_op", "CPU time per op", Unit.NS, "other_cpu_ns", optional=True),
    _cost("instructions_per_op", "instructions/op", Unit.PER_OP, "instructions", Kind.COUNTED),
    _cost("cycles_per_op", "cycles/op", Unit.PER_OP, "cycles", Kind.COUNTED),
    Metric(
        "branch_miss_share",
        "branch misses",
        Unit.FRACTION,
        Better.LESS,
        ("branch_misses", "branches"),
        _per,
        Kind.COUNTED,
    ),
    _misses("l1d_misses_per_1000_ops", "L1 misses/1000 op", "l1d_read_misses"),
    _misses("cache_misses_per_1000_ops", "cache misses/1000 op", "cache_misses"),
    _misses("dtlb_misses_per_1000_ops", "dTLB misses/1000 op", "dtlb_read_misses"),
    Metric(
        "clock_hz", "core clock", Unit.HZ, Better.NEITHER, ("clock_hz",), _itself, optional=True
    ),
    Metric(
        "adds_per_cycle",
        "additions/cycle",
        Unit.RATIO,
        Better.MORE,
        ("adds_per_cycle",),
        _itself,
        optional=True,
    ),
    _whole("minor_faults", "minor page faults"),
    _whole("major_faults", "major page faults"),
    _whole("voluntary_switches", "voluntary switches"),
    _whole("involuntary_switches", "involuntary switches"),
    _whole("max_rss_bytes", "peak RSS", Unit.BYTES),
    replace(_whole("mapped_bytes", "peak mapped", Unit.BYTES), optional=True),
    replace(
        _whole("asked_bytes", "most memory asked for", Unit.BYTES),
        better=Better.NEITHER,
        kind=Kind.EXACT,
        optional=True,
    ),
    *(
        replace(_whole(f"{name}_calls", f"{name} calls"), optional=True)
        for name in ("mmap", "munmap", "madvise", "mremap", "brk")
    ),
    replace(_whole("returned_bytes", "memory given back", Unit.BYTES), optional=True),
)


def _titles() -> Iterator[tuple[str, str]]:
    for metric in METRICS:
        yield metric.name, metric.title
        if metric.name == "cycles_per_op":
            yield IPC, "instructions/cycle"
        if metric.name == "asked_bytes":
            yield OVERHEAD, "peak RSS / asked for"


OPTIONAL = {OVERHEAD, *(metric.name for metric in METRICS if metric.optional)}

TITLES = dict(_titles())
"""What each figure is called where it is shown, in the order in which figures are shown."""


KINDS = {metric.name: metric.kind for metric in METRICS} | {IPC: Kind.COUNTED, OVERHEAD: Kind.TIMED}
"""What each figure is where the machine can do all."""


def blend(kinds: Iterable[Kind]) -> Kind | None:
    """The kind of a figure made of such readings; None if they must not be put together.

    The program's word on its ops goes with everything, an exact or counted number divided by an
    estimated one is estimated.
    """
    rest = set(kinds) - {Kind.REPORTED}
    if Kind.ESTIMATED in rest and not rest - {Kind.ESTIMATED, Kind.EXACT, Kind.COUNTED}:
        return Kind.ESTIMATED
    if not rest:
        return Kind.REPORTED
    return rest.pop() if len(rest) == 1 else None


def facts_of(sample: Sample, calls: Sequence[Reading] = ()) -> Facts:
    """The readings of a run by name; `calls` are the census's, for a program that reports no ops.

    `time_ns` and `busy_ns` are wall and CPU time of the region of interest where there is one,
    else of the whole process. `op_time_ns` is what the ops took: CPU time where one thread runs,
    blind to what else the machine does; wall time for several, whose waiting counts. A benchmark
    also has the other of the two, as `other_wall_ns` or `other_cpu_ns`.
    """
    facts = {reading.name: reading for reading in (*calls, *sample.readings)}
    for name, choices, source in (
        ("time_ns", ("roi_ns", "wall_ns"), WALL_CLOCK),
        ("busy_ns", ("roi_cpu_ns", "cpu_ns"), CPU_CLOCK),
    ):
        found = next((facts[choice] for choice in choices if choice in facts), None)
        if found:
            facts[name] = replace(found, source=source)
    if sample.report is None:
        clocks = {"op_time_ns": "time_ns"}
    elif sample.report.threads == 1:
        clocks = {"op_time_ns": "busy_ns", "other_wall_ns": "time_ns"}
    else:
        clocks = {"op_time_ns": "time_ns", "other_cpu_ns": "busy_ns"}
    facts |= {name: facts[clock] for name, clock in clocks.items() if clock in facts}
    return facts | {reading.name: reading for reading in _own_word(sample.report)}


def _own_word(report: OpReport | None) -> Iterator[Reading]:
    """What the program says of its calls."""
    for name in ("ops", "allocs", "frees", "bytes_requested") if report else ():
        count = float(getattr(report, name))
        yield Reading(name, count, "count", Kind.REPORTED, "the program's own count")
