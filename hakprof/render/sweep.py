"""A sweep as text with a plot, and as a chart for SVG."""

import math
from collections.abc import Iterator

from hakprof import units
from hakprof.compare import ALPHA, Judgement
from hakprof.model import Absent
from hakprof.render import chart, comparison, terminal_chart
from hakprof.render.table import labelled, table
from hakprof.report import Column
from hakprof.scaling import Coefficient, ScalingLaw
from hakprof.sweep import Curve, SweepReport, doubtful
from hakprof.units import Unit

ROWS = (
    ("throughput", "throughput"),
    ("cpu_ns_per_op", "CPU time per op"),
    ("ns_per_op", "time per op"),
    ("max_rss_bytes", "peak RSS"),
)
"""(metric, title) of the tables, in order."""

LAW_STEPS = 40
LEGEND = "contention: what one thread does at a time; coherence: what each pair of threads costs"


def render(report: SweepReport) -> str:
    """Tables, plot, and what the curves say about scaling."""
    names = ", ".join(_named(curve) for curve in report.curves)
    runs = min((c.runs for curve in report.curves for c in curve.points.values()), default=0)
    head = [f"{report.benchmark} on {names}", f"{runs} runs of each point, all interleaved"]
    parts = [head, *(part for metric in ROWS if (part := metric_table(report, *metric)))]
    parts += [verdict_table(report), remote_table(report)]
    parts += [terminal_chart.render(chart_of(report)), labelled(list(_notes(report)))]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def metric_table(report: SweepReport, metric: str, title: str) -> list[str]:
    """One metric: a row a point, a column an allocator, with the half width of its interval."""
    rows = [(f"{title}, {report.axis.name}", *(curve.allocator.name for curve in report.curves))]
    for value in report.axis.values:
        cells = [_cell(curve.points[value], metric) for curve in report.curves]
        rows.append((f"{value:,}", *cells))
    empty = all(cell == "-" for row in rows[1:] for cell in row[1:])
    return [] if empty else table(rows, (True, *(True for _ in report.curves)))


def verdict_table(report: SweepReport) -> list[str]:
    """Each curve against the first, point by point."""
    base, *others = report.curves
    if not any(curve.verdicts for curve in others):
        return []
    rows = [(f"against {base.allocator.name}", *(curve.allocator.name for curve in others))]
    for value in report.axis.values:
        said = (curve.verdicts.get(value) for curve in others)
        rows.append((f"{value:,}", *(comparison.verdict(c) if c else "-" for c in said)))
    return table(rows, (True, *(True for _ in others)))


def remote_table(report: SweepReport) -> list[str]:
    """Which share of the blocks is freed by another thread than allocated them."""
    if not report.remote:
        return []
    rows = [("freed by another thread", report.axis.name)]
    rows += [(units.show_percent(share), f"{value:,}") for value, share in report.remote.items()]
    return table([(value, share) for share, value in rows], (True, True))


def chart_of(report: SweepReport) -> chart.Chart:
    """Throughput over the axis, with intervals and, where there is one, the fitted law."""
    values = tuple(float(value) for value in report.axis.values)
    lines = [chart.Line(c.allocator.name, tuple(_points(c))) for c in report.curves]
    lines += [
        chart.Line(f"{c.allocator.name}, fitted", _law_points(c.law, values), marked=False)
        for c in report.curves
        if c.law
    ]
    return chart.Chart(
        f"{report.benchmark}",
        chart.Axis(report.axis.name, Unit.COUNT, log=values[0] > 0, ticks=values),
        chart.Axis("throughput", Unit.PER_SECOND, from_zero=True),
        tuple(line for line in lines if line.points),
    )


def _points(curve: Curve) -> Iterator[chart.Point]:
    for value, column in curve.points.items():
        figure = column.figures.get("throughput")
        if figure and not column.problem and not isinstance(figure.value, Absent):
            yield chart.Point(float(value), figure.value, *(figure.interval or (None, None)))


def _law_points(law: ScalingLaw, values: tuple[float, ...]) -> tuple[chart.Point, ...]:
    first, last = values[0], values[-1]
    steps = (first * (last / first) ** (i / LAW_STEPS) for i in range(LAW_STEPS + 1))
    return tuple(chart.Point(n, law.throughput(n)) for n in steps)


def _cell(column: Column, metric: str) -> str:
    figure = column.figures.get(metric)
    if column.problem or figure is None or isinstance(figure.value, Absent):
        return "-"
    shown = units.show(figure.value, figure.unit)
    if not figure.interval or not figure.value:
        return shown
    low, high = figure.interval
    return f"{shown} ±{units.show_percent((high - low) / 2 / figure.value)}"


def _notes(report: SweepReport) -> Iterator[tuple[str, str]]:
    yield from _scaling(report)
    verdicts = [v for curve in report.curves for v in curve.verdicts.values()]
    if verdicts:
        yield "verdicts", "by time per op, all points together at 95 % (docs/statistics.md)"
    if any(verdict.judgement is Judgement.UNDECIDED for verdict in verdicts):
        least = math.ceil(math.log2(2 * len(verdicts) / ALPHA))
        yield "", f"undecided: so many verdicts at once need {least} runs of each point at least"
    if report.remote:
        yield "freed by", "another thread: by a census, a short run of its own on glibc"
    yield from _proofs(report)


def _scaling(report: SweepReport) -> Iterator[tuple[str, str]]:
    for curve in report.curves:
        name = curve.allocator.name
        if curve.knee is not None:
            yield "knee", f"{name}: at {curve.knee}; more threads add less than 5 %"
        if curve.law:
            yield "scaling", f"{name}: {_law(curve.law)}"
    if any(curve.law for curve in report.curves):
        flat = f"fitted over {report.cores} cores, beyond which perfect scaling is flat"
        yield "", f"{flat}; {LEGEND}"


def _proofs(report: SweepReport) -> Iterator[tuple[str, str]]:
    for curve in report.curves:
        if points := doubtful(curve):
            where = ", ".join(map(str, points))
            yield (
                "UNPROVEN",
                f"nobody knows whether {curve.allocator.name} served the calls at {where}",
            )
        for column in curve.points.values():
            if column.problem:
                yield "failed", f"{column.arm.name}: {column.problem}"
    if all(not doubtful(curve) for curve in report.curves):
        yield "proof", f"{', '.join(c.allocator.name for c in report.curves)} served the calls"


def _law(law: ScalingLaw) -> str:
    return (
        f"{law.cause}; contention {_share(law.contention)}, coherence {_share(law.coherence)}; "
        f"the curve is off by {units.show_percent(law.misfit)} at most"
    )


def _share(c: Coefficient) -> str:
    return f"{100 * c.value:.2f} % ({100 * c.low:.2f} .. {100 * c.high:.2f})"


def _named(curve: Curve) -> str:
    return f"{curve.allocator.name} {curve.allocator.version}".strip()
