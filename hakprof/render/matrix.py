"""A matrix of comparisons as text, as Markdown, and as one HTML page with plots."""

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from hakprof import metrics, units
from hakprof.compare import Judgement
from hakprof.comparison import (
    ComparisonReport,
    Row,
    count_below_noise,
    speed_and_memory,
)
from hakprof.environment import Machine
from hakprof.matrix import MatrixReport
from hakprof.model import Absent, Figure
from hakprof.render import comparison as verdicts
from hakprof.render import svg
from hakprof.render.chart import Axis, Chart, Line, Point
from hakprof.render.table import aligned, labelled
from hakprof.report import Column
from hakprof.stats import Ratio
from hakprof.units import Unit

SHOWN = (
    "throughput",
    "wall_ns",
    "cpu_ns",
    "ns_per_op",
    "instructions_per_op",
    "max_rss_bytes",
    "asked_bytes",
    metrics.OVERHEAD,
)
"""Metrics of the page's tables, in order; those that nobody measured are left out."""

HEADINGS = ("verdict", "time", "instructions", "peak RSS", "")

STYLE = """
:root{color-scheme:light dark;--faint:color-mix(in srgb,currentColor 14%,transparent)}
body{font:15px/1.45 system-ui,sans-serif;max-width:1080px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.5rem}
table{border-collapse:collapse;margin:.8rem 0}td,th{padding:.25rem .7rem;text-align:right}
th:first-child,td:first-child{text-align:left}tr+tr{border-top:1px solid var(--faint)}
small{opacity:.7}.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(420px,1fr))}
.faster{color:light-dark(#00664a,#4fd1a5)}.slower{color:light-dark(#a83c00,#ff9a66)}
"""


def render(report: MatrixReport) -> str:
    """A row an arm, comparison by comparison, then what stands out."""
    if not report.cells:
        return "no comparison is finished\n"
    blocks = [[(f"  {arm}", *rest) for arm, *rest in _rows(cell)] for cell in report.cells]
    every = [("", *HEADINGS), *(row for block in blocks for row in block)]
    head, *lines = aligned(every, (False, False, True, True, True, False))
    shown = [head]
    for cell, block in zip(report.cells, blocks, strict=True):
        shown += ["", _title(cell), *lines[: len(block)]]
        del lines[: len(block)]
    return "\n".join([*shown, "", *labelled(list(_notes(report)))]) + "\n"


def _rows(cell: ComparisonReport) -> Iterator[tuple[str, ...]]:
    """The base first; the winner is marked, and who pays for speed with memory."""
    said = {row.arm: row for row in cell.rows}
    for column in cell.report.columns:
        arm = column.arm.name
        row = said.get(arm)
        if row:
            words, note = verdicts.verdict(row), _remark(row, cell)
        elif arm in cell.excluded:
            words, note = "no verdict", ""
        else:
            words, note = "base", "winner" if arm == cell.winner else ""
        yield (arm, words, *_absolute(column), note)


def _absolute(column: Column) -> tuple[str, str, str]:
    """Time and instructions, net of the harness where it can be taken away, and peak memory."""
    target = column.arm.target
    time = "ns_per_op" if target.is_benchmark else "cpu_ns"
    nets = column.net if target.threads == 1 else {}
    return (
        _shown(nets.get(time) or column.figures.get(time)),
        _shown(column.net.get("instructions_per_op") or column.figures["instructions_per_op"]),
        _shown(column.figures["max_rss_bytes"]),
    )


def _remark(row: Row, cell: ComparisonReport) -> str:
    words = ["winner"] if row.arm == cell.winner else []
    if speed_and_memory(row, cell):
        words.append("more memory" if row.judgement is Judgement.FASTER else "less memory")
    return ", ".join(words)


def _notes(report: MatrixReport) -> Iterator[tuple[str, str]]:
    shared = "with several threads wall time, which they share with the harness"
    yield "time", f"CPU time per op, net of the harness; {shared}; of a program: of all of it"
    yield "instructions", "per op, net of the harness; of a program: of the whole run, by its calls"
    for cell in report.cells:
        for arm, why in cell.excluded.items():
            yield "no verdict", f"{_title(cell)}: {arm}: {why}"
        for row in cell.rows:
            if sentence := count_below_noise(row, cell):
                yield "finding", f"{_title(cell)}: {sentence}"
    if needed := [cell.needed_s for cell in report.cells if cell.needed_s is not None]:
        least = f"a budget of {math.ceil(max(needed))}s is the least that can decide all"
        yield "no verdict", f"too few blocks in {len(needed)} of the comparisons: {least}"


def markdown(report: MatrixReport) -> str:
    """One table a comparison, as `render` shows them."""
    parts = []
    for cell in report.cells:
        rows = [("", *HEADINGS), ("---",) * (len(HEADINGS) + 1), *_rows(cell)]
        parts.append(f"### {_title(cell)}\n")
        parts += [f"| {' | '.join(row)} |" for row in rows]
        parts.append("")
    parts += [f"- {label}: {text}" for label, text in _notes(report)]
    return "\n".join(parts) + "\n"


def html(report: MatrixReport) -> str:
    """One page that needs nothing from anywhere else."""
    sections = "".join(_section(cell) for cell in report.cells)
    curves = "".join(svg.render(chart) for chart in scaling_charts(report))
    scaling = f'<h2>Scaling</h2><div class="plots">{curves}</div>' if curves else ""
    machine = report.cells[0].report.machine if report.cells else None
    head = escape(_machine(machine)) if machine else "no comparison is finished"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>Allocators compared</title><style>{STYLE}</style></head><body>"
        f"<h1>Allocators compared</h1><p>{head}</p>{_overview(report)}{scaling}{sections}"
        "</body></html>\n"
    )


def _machine(machine: Machine) -> str:
    cores = f"{machine.cores} CPU{'s' if machine.cores != 1 else ''}"
    words = [machine.cpu_model, cores, machine.hypervisor, f"Linux {machine.kernel}", machine.libc]
    return ", ".join(word for word in words if word)


def throughput_chart(cell: ComparisonReport) -> Chart:
    """A mark an arm, with its interval."""
    metric = "throughput" if cell.report.target.is_benchmark else "cpu_ns"
    columns = cell.report.columns
    marks = [
        Line(column.arm.name, (point,), joined=False)
        for place, column in enumerate(columns)
        if (point := _point(float(place), column.figures.get(metric)))
    ]
    names = tuple(column.arm.name for column in columns)
    return Chart(
        metrics.TITLES[metric],
        Axis("", Unit.COUNT, ticks=tuple(map(float, range(len(names)))), names=names),
        Axis(
            metrics.TITLES[metric],
            Unit.PER_SECOND if cell.report.target.is_benchmark else Unit.NS,
            from_zero=True,
        ),
        tuple(marks),
    )


def tradeoff_chart(cell: ComparisonReport) -> Chart:
    """Speed against memory, both relative to the base: up and left is better."""
    marks = [Line(cell.base, (Point(1.0, 1.0),), joined=False)]
    marks += [
        Line(row.arm, (_tradeoff(row.memory, row.speed),), joined=False)
        for row in cell.rows
        if row.memory and row.speed
    ]
    return Chart(
        "speed against memory",
        Axis(f"peak RSS, times that of {cell.base}", Unit.RATIO, log=True),
        Axis(f"speed, times that of {cell.base}", Unit.RATIO, log=True),
        tuple(marks),
    )


def _tradeoff(memory: float, speed: Ratio) -> Point:
    return Point(memory, speed.value, speed.low, speed.high)


def scaling_charts(report: MatrixReport) -> Iterator[Chart]:
    """Throughput over threads for each benchmark that ran with several counts of them."""
    groups: dict[str, list[ComparisonReport]] = {}
    for cell in report.cells:
        if cell.report.target.is_benchmark:
            groups.setdefault(cell.report.target.name, []).append(cell)
    for name, cells in groups.items():
        counts = tuple(sorted({float(cell.report.target.threads) for cell in cells}))
        if len(counts) < 2:  # noqa: PLR2004 (one point is no curve)
            continue
        lines = (Line(arm, tuple(_scaling(arm, cells))) for arm in _arms(cells[0]))
        yield Chart(
            name,
            Axis("threads", Unit.COUNT, log=True, ticks=counts),
            Axis("throughput", Unit.PER_SECOND, from_zero=True),
            tuple(line for line in lines if line.points),
        )


def _scaling(arm: str, cells: Sequence[ComparisonReport]) -> Iterator[Point]:
    for cell in sorted(cells, key=lambda cell: cell.report.target.threads):
        column = next((c for c in cell.report.columns if c.arm.name == arm), None)
        figure = column.figures.get("throughput") if column else None
        if point := _point(float(cell.report.target.threads), figure):
            yield point


def _point(x: float, figure: Figure | None) -> Point | None:
    if figure is None or isinstance(figure.value, Absent):
        return None
    return Point(x, figure.value, *(figure.interval or (None, None)))


def _overview(report: MatrixReport) -> str:
    parts = []
    for cells in _groups(report):
        arms = _arms(cells[0])[1:]
        head = "".join(f"<th>{escape(arm)}" for arm in arms)
        rows = "".join(f"<tr><td>{escape(_title(c))}{_verdict_cells(c, arms)}" for c in cells)
        parts.append(f"<table><tr><th>against {escape(cells[0].base)}{head}{rows}</table>")
    return "".join(parts)


def _verdict_cells(cell: ComparisonReport, arms: Sequence[str]) -> str:
    said = {row.arm: row for row in cell.rows}
    return "".join(
        f'<td class="{said[arm].judgement}">{escape(verdicts.verdict(said[arm]))}'
        if arm in said
        else "<td>no verdict"
        for arm in arms
    )


def _section(cell: ComparisonReport) -> str:
    plots = svg.render(throughput_chart(cell))
    if any(row.memory and row.speed for row in cell.rows):
        plots += svg.render(tradeoff_chart(cell))
    notes = "".join(
        f"<li>{escape(label)}: {escape(text)}</li>" for label, text in verdicts.notes(cell)
    )
    return (
        f"<h2>{escape(_title(cell))}</h2>{_figures(cell.report.columns)}"
        f'<div class="plots">{plots}</div><ul>{notes}</ul>'
        f"<p><small>{escape(' '.join(cell.report.command))}, run {cell.report.run} of the store, "
        f"{escape(cell.report.started)}</small></p>"
    )


def _figures(columns: Sequence[Column]) -> str:
    head = "".join(f"<th>{escape(column.arm.name)}" for column in columns)
    rows = ""
    for name in SHOWN:
        found = [column.figures.get(name) for column in columns]
        if any(figure and not isinstance(figure.value, Absent) for figure in found):
            kinds = ", ".join(dict.fromkeys(str(figure.kind) for figure in found if figure))
            cells = "".join(f"<td>{escape(_shown(figure))}" for figure in found)
            rows += f"<tr><td>{escape(metrics.TITLES[name])} <small>{kinds}</small>{cells}"
            nets = [column.net.get(name) for column in columns]
            if any(nets):
                cells = "".join(f"<td>{escape(_shown(net))}" for net in nets)
                rows += f"<tr><td>&ensp;net of harness{cells}"
    return f"<table><tr><th>{head}{rows}</table>"


def _shown(figure: Figure | None) -> str:
    if figure is None or isinstance(figure.value, Absent):
        return "-"
    return units.show(figure.value, figure.unit)


def _groups(report: MatrixReport) -> list[list[ComparisonReport]]:
    """Comparisons with the same arms together."""
    groups: dict[tuple[str, ...], list[ComparisonReport]] = {}
    for cell in report.cells:
        groups.setdefault(_arms(cell), []).append(cell)
    return list(groups.values())


def _arms(cell: ComparisonReport) -> tuple[str, ...]:
    """The arms, the base first."""
    names: Mapping[str, None] = dict.fromkeys(column.arm.name for column in cell.report.columns)
    return (cell.base, *(name for name in names if name != cell.base))


def _title(cell: ComparisonReport) -> str:
    target = cell.report.target
    words = [target.name]
    if target.is_benchmark:
        words.append(f"{target.threads} thread{'s' if target.threads != 1 else ''}")
    return ", ".join(words)
