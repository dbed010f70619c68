"""Runs of an arm to the figures that are printed: median, interval, spread, and how it was got."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from hakprof import metrics, stats
from hakprof.errors import BackendError
from hakprof.metrics import IPC, LADDER, MACHINE_WIDTH, METRICS, OVERHEAD, Facts, Metric
from hakprof.model import Absence, Absent, Figure, Kind, Reading, Value
from hakprof.units import Unit

MODELS = {Kind.EXACT, Kind.SIMULATED}
"""Kinds that repeat to the last digit: run at several lengths, the figure is the slope."""

STEADY = 1e-3
"""Two successive slopes that differ by less than this are steady."""

LEAST_ASKED_BYTES = 1 << 20
"""Of less, program and libraries are most of what is resident."""

LEAST_RUNS = 3
"""Fewer runs have no interval."""


Run = tuple[str, int]
"""(backend, index) of a run: what two arms have in common that ran in one block."""


@dataclass(frozen=True, slots=True)
class Series:
    """One metric of one arm: a value a run, all of one kind and source."""

    metric: Metric
    kind: Kind
    source: str
    values: Mapping[Run, float]
    error: float = 0.0

    @property
    def value(self) -> float:
        """The figure: the median of repeated runs, the last slope of a model."""
        ordered = [self.values[run] for run in sorted(self.values)]
        return ordered[-1] if self.kind in MODELS else median(ordered)


def series_of(metric: Metric, runs: Mapping[Run, Facts]) -> Series | Absent:
    """The metric over the runs that give it, in the best kind they give; or why none does."""
    groups: dict[tuple[Kind, str], dict[Run, tuple[Reading, ...]]] = {}
    absent = Absent(Absence.MISSING)
    for run, facts in runs.items():
        inputs = tuple(facts[name] for name in metric.needs if name in facts)
        gaps = [reading.value for reading in inputs if isinstance(reading.value, Absent)]
        if gaps:
            absent = gaps[0]
        elif len(inputs) == len(metric.needs) and (kind := metrics.blend(r.kind for r in inputs)):
            groups.setdefault((kind, _source(inputs)), {})[run] = inputs
    if not groups:
        return absent
    kind, source = min(groups, key=lambda group: LADDER.index(group[0]))
    inputs_of = groups[kind, source]
    if kind in MODELS:
        return _slopes(metric, kind, source, inputs_of)
    values = {run: _apply(metric, inputs) for run, inputs in inputs_of.items()}
    known = {run: value for run, value in values.items() if value is not None}
    error = median(max(reading.error for reading in inputs) for inputs in inputs_of.values())
    return Series(metric, kind, source, known, error) if known else _zero(metric)


def _slopes(
    metric: Metric, kind: Kind, source: str, inputs_of: Mapping[Run, tuple[Reading, ...]]
) -> Series | Absent:
    """The metric of what each length adds to the one before: the start-up cancels."""
    runs = sorted(inputs_of)
    rows = [[_number(reading) for reading in inputs_of[run]] for run in runs]
    steps = [rows[0], *([b - a for a, b in zip(*pair, strict=True)] for pair in pairwise(rows))]
    values = [_formula(metric, step) for step in steps]
    known = {run: v for run, v in zip(runs, values, strict=True) if v is not None}
    if not known:
        return _zero(metric)
    return Series(metric, kind, source, known, residual(list(known.values())))


def residual(values: list[float]) -> float:
    """Relative difference of the last two slopes; 0 where there is one value only."""
    return abs(values[-2] / values[-1] - 1) if len(values) > 1 and values[-1] else 0.0


def steady(metric: Metric, runs: Mapping[Run, Facts]) -> bool:
    """Whether three lengths or more agree on the slope, so that longer runs would not change it."""
    series = series_of(metric, runs)
    return isinstance(series, Series) and len(series.values) > 2 and series.error < STEADY  # noqa: PLR2004


def figure_of(metric: Metric, series: Series | Absent) -> Figure:
    """What is printed of a series."""
    if isinstance(series, Absent):
        return _absent(metric.name, metric.unit, metric.kind, series)
    values = list(series.values.values())
    repeated = series.kind not in MODELS and len(values) >= LEAST_RUNS
    return Figure(
        name=metric.name,
        value=series.value,
        unit=metric.unit,
        kind=series.kind,
        source=series.source,
        interval=stats.median_interval(values) if repeated else None,
        cv=stats.cv(values) if repeated and series.value else None,
        runs=len(values),
        error=series.error,
    )


def net_of(metric: Metric, series: Series | Absent, harness: Series | Absent) -> Figure:
    """The metric without the harness's own share, run by run where both are in a block."""
    if isinstance(series, Absent):
        return _absent(metric.name, metric.unit, metric.kind, series)
    if isinstance(harness, Absent):
        return _absent(metric.name, metric.unit, metric.kind, harness)
    if (series.kind, series.source) != (harness.kind, harness.source):
        why = Absent(Absence.NOT_COUNTED, "the harness alone was measured in another way")
        return _absent(metric.name, metric.unit, metric.kind, why)
    shared = series.values.keys() & harness.values.keys()
    pairs = {run: series.values[run] - harness.values[run] for run in shared}
    net = figure_of(metric, replace(series, values=pairs)) if pairs else figure_of(metric, series)
    exact = series.kind in MODELS or not pairs
    value = series.value - harness.value if exact else _known(net.value)
    wide = series.error * series.value + harness.error * harness.value
    return replace(net, value=value, cv=None, error=wide / abs(value) if value else 0.0)


def ipc_of(instructions: Figure, cycles: Figure) -> Figure:
    """Instructions per cycle, estimated where one of the two is.

    Raises BackendError if it is above what any machine retires: then a count or the clock is wrong.
    """
    gap = next((f.value for f in (instructions, cycles) if isinstance(f.value, Absent)), None)
    kind = metrics.blend((instructions.kind, cycles.kind))
    if gap or kind is None:
        why = gap or Absent(Absence.NOT_COUNTED, "instructions and cycles are of different kinds")
        return _absent(IPC, Unit.RATIO, Kind.COUNTED, why)
    count, clock = _known(instructions.value), _known(cycles.value)
    if count > MACHINE_WIDTH * clock:
        raise BackendError(
            f"{count / clock:.1f} instructions per cycle is more than any machine retires",
            advice="the clock or the count is wrong here: no cycles are shown",
        )
    interval = cycles.interval and (count / cycles.interval[1], count / cycles.interval[0])
    sources = dict.fromkeys((instructions.source, cycles.source))
    return Figure(
        name=IPC,
        value=count / clock,
        unit=Unit.RATIO,
        kind=kind,
        source=" / ".join(sources),
        interval=interval,
        runs=cycles.runs,
        error=instructions.error + cycles.error,
    )


def overhead_of(resident: Figure, asked: Figure) -> Figure:
    """Resident bytes for each byte asked for; absent where too little was asked for to tell."""
    gap = next((f.value for f in (resident, asked) if isinstance(f.value, Absent)), None)
    if gap is None and _known(asked.value) < LEAST_ASKED_BYTES:
        gap = Absent(
            Absence.NOT_COUNTED, "less than 1 MiB was asked for: the program is most of it"
        )
    if gap:
        return _absent(OVERHEAD, Unit.RATIO, resident.kind, gap)
    scale = 1 / _known(asked.value)
    interval = resident.interval and (resident.interval[0] * scale, resident.interval[1] * scale)
    return replace(
        resident,
        name=OVERHEAD,
        value=_known(resident.value) * scale,
        unit=Unit.RATIO,
        interval=interval,
    )


def all_series(runs: Mapping[Run, Facts]) -> dict[str, Series | Absent]:
    """Every metric of an arm's runs, by name."""
    return {metric.name: series_of(metric, runs) for metric in METRICS}


def _apply(metric: Metric, inputs: Iterable[Reading]) -> float | None:
    return _formula(metric, [_number(reading) for reading in inputs])


def _formula(metric: Metric, numbers: list[float]) -> float | None:
    """None where the formula would divide by zero: no ops, no branches."""
    try:
        return metric.formula(*numbers)
    except ZeroDivisionError:
        return None


def _zero(metric: Metric) -> Absent:
    return Absent(Absence.NOT_COUNTED, f"there were no {metric.needs[-1].replace('_', ' ')}")


def _source(inputs: Iterable[Reading]) -> str:
    """What the figure was got from, without the program's word on its ops."""
    named = dict.fromkeys(r.source for r in inputs if r.kind is not Kind.REPORTED)
    return " and ".join(named)


def _absent(name: str, unit: Unit, kind: Kind, why: Absent) -> Figure:
    return Figure(name=name, value=why, unit=unit, kind=kind, source="")


def _number(reading: Reading) -> float:
    return _known(reading.value)


def _known(value: Value) -> float:
    if isinstance(value, Absent):
        raise TypeError(f"no figure: {value.why}")
    return value
