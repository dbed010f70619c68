"""Effects of switches as text with a plot, as Markdown, and as a chart for SVG."""

from collections.abc import Iterator, Sequence

from hakprof import units
from hakprof.isolate import INSTRUCTIONS, Effect, IsolateReport
from hakprof.model import Absent
from hakprof.render import chart, comparison, text
from hakprof.render.table import labelled, table, wrapped
from hakprof.report import Column, headline
from hakprof.stats import Shift
from hakprof.units import Unit

LETTERS = "ABCDEFGH"
"""Short for the first, the second, ... switch."""

PLOT_WIDTH = 61
ARM_COLUMNS = (False, False, True, True, True, False)
EFFECT_COLUMNS = (False, False, True, True, True, True, False)


def render(report: IsolateReport) -> str:
    """Arms, effects, their plot, and what all this rests on."""
    shown = report.comparison.report
    parts = [
        [*wrapped(_head(report)), _design(report)],
        table(arm_rows(report), ARM_COLUMNS),
        table(effect_rows(report), EFFECT_COLUMNS) if report.effects else [],
        plot(report),
        labelled(list(notes(report))),
        text.sources(shown),
        labelled(list(text.trust(shown))),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def markdown(report: IsolateReport) -> str:
    """The tables and the notes."""
    lines = [f"{_head(report)}; {_design(report)}.", ""]
    for rows in (arm_rows(report), effect_rows(report)):
        lines += [_line(rows[0]), _line(["---"] * len(rows[0])), *map(_line, rows[1:]), ""]
    lines += [f"- {label}: {note}" for label, note in notes(report)]
    return "\n".join(lines) + "\n"


def arm_rows(report: IsolateReport) -> list[tuple[str, ...]]:
    """One row an arm: its figures net of the harness, and the verdict against the base."""
    compared = report.comparison
    verdicts = {row.arm: comparison.verdict(row) for row in compared.rows}
    verdicts |= dict.fromkeys(compared.excluded, "excluded") | {compared.base: "base"}
    time = headline(compared.report.target)
    net = " net" if compared.report.harness else ""
    titles = (f"ns/{_op(report)}{net}", f"instructions/op{net}", "peak RSS")
    rows: list[tuple[str, ...]] = [("", "arm", *titles, compared.compared)]
    for column in compared.report.columns:
        name = column.arm.name
        cells = (_net(column, metric) for metric in (time, INSTRUCTIONS, "max_rss_bytes"))
        rows.append((_letters(report, report.arms[name]), name, *cells, verdicts.get(name, "-")))
    return rows


def effect_rows(report: IsolateReport) -> list[tuple[str, ...]]:
    """One row an effect, single switches first: time with interval, share, exact count, verdict."""
    rows: list[tuple[str, ...]] = [
        ("", "effect", f"ns/{_op(report)}", "interval", "of base", "instructions/op", "time")
    ]
    for effect in report.effects:
        time, base = effect.time, report.base_ns
        rows.append(
            (
                _letters(report, effect.switches),
                " x ".join(effect.switches),
                _signed(time.value) if time else "-",
                f"{_signed(time.low)} .. {_signed(time.high)}" if time else "-",
                _percent(time.value / base) if time and base else "-",
                _count(effect.instructions),
                _judgement(time),
            )
        )
    return rows


def plot(report: IsolateReport) -> list[str]:
    """The effects on time, a line each: `o` the estimate, dashes its interval, `|` nothing."""
    known = [(effect, effect.time) for effect in report.effects if effect.time]
    low = min((0.0, *(time.low for _, time in known)))
    high = max((0.0, *(time.high for _, time in known)))
    if low == high:
        return []

    def place(value: float) -> int:
        return round((value - low) / (high - low) * (PLOT_WIDTH - 1))

    lines = []
    for effect, time in known:
        cells = [" "] * PLOT_WIDTH
        for i in range(place(time.low), place(time.high) + 1):
            cells[i] = "-"
        cells[place(0.0)] = "|"
        cells[place(time.value)] = "o"
        lines.append(f"{_letters(report, effect.switches):>9} {''.join(cells).rstrip()}")
    ends = f"{_signed(low):<{PLOT_WIDTH // 2}}{_signed(high):>{PLOT_WIDTH - PLOT_WIDTH // 2}}"
    return [*lines, f"{'ns/' + _op(report):>9} {ends}"]


def chart_of(report: IsolateReport) -> chart.Chart:
    """Every effect as a share of the base's cost: of its time, of its instructions."""
    places = [(float(i), effect) for i, effect in enumerate(report.effects)]
    lines = []
    if base := report.base_ns:
        times = [_point(x, e.time, base) for x, e in places if e.time]
        lines.append(chart.Line("time", tuple(times), joined=False))
    if base := report.base_instructions:
        counts = [_point(x, e.instructions, base) for x, e in places if e.instructions]
        lines.append(chart.Line("instructions", tuple(counts), joined=False))
    return chart.Chart(
        _head(report),
        chart.Axis(
            "",
            Unit.COUNT,
            names=tuple(_letters(report, e.switches) for _, e in places),
            ticks=tuple(x for x, _ in places),
        ),
        chart.Axis("effect, share of the base", Unit.FRACTION, from_zero=True),
        tuple(line for line in lines if line.points),
    )


def notes(report: IsolateReport) -> Iterator[tuple[str, str]]:
    """(label, sentence): what the time cannot show, what cannot be told apart, what is missing."""
    for effect in report.effects:
        if sentence := _below_noise(report, effect):
            yield "finding", sentence
        if effect.aliases:
            others = " + ".join(" x ".join(alias) for alias in effect.aliases)
            yield "mixed", f"{' x '.join(effect.switches)} is not told apart from {others}"
    yield from (n for n in comparison.notes(report.comparison) if n[0] in {"noise", "no verdict"})
    if report.comparison.excluded and report.effects:
        most = f"{report.order} switches" if report.order > 1 else "one switch"
        yield "missing arms", f"the effects hold as far as there are none of more than {most}"
    told = {name for effect in report.effects for name in effect.switches}
    for name in report.switches:
        if name not in told:
            yield "no effect", f"{name}: the arms that are left cannot tell what it does"
    if report.needed_s is not None:
        needed = f"--budget {report.needed_s:.0f}s"
        yield "no interval", f"too few blocks: {needed} is the least that can decide"


def _below_noise(report: IsolateReport, effect: Effect) -> str:
    """What the exact count shows where the time shows nothing."""
    time, count, base = effect.time, effect.instructions, report.base_ns
    if time is None or time.excludes_zero or count is None or not count.excludes_zero or not base:
        return ""
    return (
        f"{' x '.join(effect.switches)}: {_count(count)} instructions/op, below what the time can "
        f"show: at most {units.show_number(time.bound)} ns/{_op(report)}, "
        f"{units.show_percent(time.bound / base)} of the base"
    )


def _head(report: IsolateReport) -> str:
    compared = report.comparison
    switches = (f"{letter} {name}" for letter, name in zip(LETTERS, report.switches, strict=False))
    return f"{compared.report.target.name} on {compared.base}: {', '.join(switches)}"


def _design(report: IsolateReport) -> str:
    arms, switches = len(report.arms), len(report.switches)
    runs = min((column.runs for column in report.comparison.report.columns), default=0)
    each = report.comparison.runs_a_block
    often = f"{each} times" if each > 1 else "once"
    blocks = f"{runs // each} block{'s' if runs // each != 1 else ''}"
    every = f"{blocks}, each arm {often} a block in random order"
    if report.share == 1:
        return f"all {arms} combinations of {switches} switch{'es'[: 2 * (switches > 1)]}, {every}"
    return f"{arms} of {arms * report.share} combinations (resolution {report.resolution}), {every}"


def _op(report: IsolateReport) -> str:
    return "op" if report.comparison.report.target.is_benchmark else "run"


def _letters(report: IsolateReport, switches: Sequence[str]) -> str:
    """`AC` for the first and the third switch."""
    return "".join(LETTERS[report.switches.index(name)] for name in switches)


def _net(column: Column, metric: str) -> str:
    figure = column.net.get(metric) or column.figures.get(metric)
    if figure is None or isinstance(figure.value, Absent):
        return "-"
    if figure.unit == Unit.NS:
        return units.show_number(figure.value)
    return units.show(figure.value, figure.unit)


def _judgement(time: Shift | None) -> str:
    if time is None:
        return "undecided"
    if not time.excludes_zero:
        return "below the noise"
    return "costs" if time.value > 0 else "saves"


def _count(count: Shift | None) -> str:
    if count is None:
        return "-"
    return f"{_signed(count.value)} ±{units.show_number(count.high - count.value)}"


def _percent(share: float) -> str:
    return f"{'+' if share >= 0 else ''}{units.show_percent(share)}"


def _signed(value: float) -> str:
    """Three decimals at most: smaller differences are nobody's."""
    return f"{value:+,.3f}" if abs(value) < units.THOUSAND else f"{value:+,.0f}"


def _point(x: float, shift: Shift, base: float) -> chart.Point:
    return chart.Point(x, shift.value / base, shift.low / base, shift.high / base)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
