"""A chart as data, and the arithmetic of its axes: shared by the SVG and the terminal renderer."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from hakprof import units


@dataclass(frozen=True, slots=True)
class Point:
    """A mark, with the ends of its interval where it has one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A named series. `joined` draws a line through its points, `marked` the points themselves."""

    name: str
    points: tuple[Point, ...]
    joined: bool = True
    marked: bool = True


@dataclass(frozen=True, slots=True)
class Axis:
    """What is along an edge, its `units.Unit`, and whether equal steps are equal ratios."""

    label: str
    unit: str
    log: bool = False
    ticks: tuple[float, ...] = ()  # where the marks go; chosen if empty
    from_zero: bool = False
    names: tuple[str, ...] = ()  # of the places 0, 1, ..., for what is no number


@dataclass(frozen=True, slots=True)
class Chart:
    """A titled plane with lines in it."""

    title: str
    x: Axis
    y: Axis
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis with its range: maps values to 0..1 and knows where its ticks are."""

    axis: Axis
    low: float
    high: float

    def place(self, value: float) -> float:
        """0 at the low end, 1 at the high end."""
        if self.axis.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    @property
    def ticks(self) -> list[float]:
        """Round values within the range, some four to eight."""
        if self.axis.ticks:
            return [t for t in self.axis.ticks if self.low <= t <= self.high]
        return _log_ticks(self) if self.axis.log else _linear_ticks(self)

    def show(self, value: float) -> str:
        """A tick's label, in the unit of the axis, without useless digits."""
        if self.axis.names:
            return self.axis.names[round(value)]
        text = units.show(value, self.axis.unit)
        number, _, name = text.partition(" ")
        if "." in number:
            number = number.rstrip("0").rstrip(".")
        return f"{number} {name}".rstrip()


def scales(chart: Chart) -> tuple[Scale, Scale]:
    """The ranges that hold every point and interval, a little wider than these."""
    points = [point for line in chart.lines for point in line.points]
    ends = [
        (p.low if p.low is not None else p.y, p.high if p.high is not None else p.y, p.y)
        for p in points
    ]
    return (
        _scale(chart.x, (point.x for point in points)),
        _scale(chart.y, (value for three in ends for value in three)),
    )


def _scale(axis: Axis, values: Iterable[float]) -> Scale:
    found = [v for v in (*values, *axis.ticks) if math.isfinite(v) and (v > 0 or not axis.log)]
    if not found:
        return Scale(axis, 1.0, 2.0)
    low, high = min(found), max(found)
    if axis.log:
        margin = max((high / low) ** 0.05, 1.05)
        return Scale(axis, low / margin, high * margin)
    if axis.names:
        return Scale(axis, -0.5, len(axis.names) - 0.5)
    if axis.from_zero:
        low = min(low, 0.0)
    span = (high - low) or abs(high) or 1.0
    return Scale(
        axis, low if axis.from_zero and low == 0 else low - 0.05 * span, high + 0.05 * span
    )


def _linear_ticks(scale: Scale) -> list[float]:
    rough = (scale.high - scale.low) / 6
    if scale.axis.unit == units.Unit.BYTES:
        step = 2.0 ** math.ceil(math.log2(rough))
    else:
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough)
    first = math.ceil(scale.low / step)
    return [k * step for k in range(first, math.floor(scale.high / step) + 1)]


def _log_ticks(scale: Scale) -> list[float]:
    decades = range(math.floor(math.log10(scale.low)), math.ceil(math.log10(scale.high)) + 1)
    steps = (1, 2, 5) if len(decades) <= 4 else (1,)  # noqa: PLR2004 (more would overlap)
    ticks = [m * 10.0**d for d in decades for m in steps]
    return [t for t in ticks if scale.low <= t <= scale.high]
