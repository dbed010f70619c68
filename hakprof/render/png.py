"""Charts as one PNG picture, drawn by matplotlib, which is optional."""

import importlib.util
import io
from collections.abc import Sequence
from typing import Any

from hakprof.errors import UsageError
from hakprof.render.chart import Chart, Line, scales
from hakprof.render.svg import COLOURS

INCHES = (9.6, 4.6)  # of one chart
DOTS_PER_INCH = 150
MARKS = "os^D"


def check() -> None:
    """Look that a picture can be drawn. UsageError with what is missing."""
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError(
            "a PNG picture needs matplotlib, which is not installed",
            advice="pip install 'hakprof[png]', or write --svg",
        )


def render(charts: Sequence[Chart]) -> bytes:
    """The picture, the charts below each other."""
    from matplotlib.figure import Figure  # noqa: PLC0415 (optional, and slow to import)

    figure = Figure(figsize=(INCHES[0], INCHES[1] * len(charts)), layout="constrained")
    planes = figure.subplots(len(charts), 1, squeeze=False)[:, 0]
    for plane, chart in zip(planes, charts, strict=True):
        _draw(plane, chart)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=DOTS_PER_INCH)
    return picture.getvalue()


def _draw(plane: Any, chart: Chart) -> None:  # noqa: ANN401 (matplotlib's Axes, which may be missing)
    x, y = scales(chart)
    plane.set_title(chart.title)
    plane.set_xlabel(x.axis.label)
    plane.set_ylabel(y.axis.label)
    plane.set_xscale("log" if x.axis.log else "linear")
    plane.set_yscale("log" if y.axis.log else "linear")
    plane.set_xticks(x.ticks, [x.show(tick) for tick in x.ticks])
    plane.set_yticks(y.ticks, [y.show(tick) for tick in y.ticks])
    plane.minorticks_off()
    plane.set_xlim(x.low, x.high)
    plane.set_ylim(y.low, y.high)
    plane.grid(alpha=0.2)
    for number, line in enumerate(chart.lines):
        _draw_line(plane, line, number)
    plane.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)


def _draw_line(plane: Any, line: Line, number: int) -> None:  # noqa: ANN401 (as above)
    points = line.points
    plane.errorbar(
        [point.x for point in points],
        [point.y for point in points],
        yerr=[
            [p.y - (p.y if p.low is None else p.low) for p in points],
            [(p.y if p.high is None else p.high) - p.y for p in points],
        ],
        label=line.name,
        color=COLOURS[number % len(COLOURS)],
        marker=MARKS[number % len(MARKS)] if line.marked else "",
        markersize=4,
        linestyle=("-" if line.marked else "--") if line.joined else "",
        elinewidth=1.5 if line.marked else 0,
    )
