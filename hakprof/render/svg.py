"""A chart as an SVG picture: one text without outside references, readable on light and dark."""

from collections.abc import Iterator, Sequence
from html import escape

from hakprof.render.chart import Chart, Line, Point, Scale, scales

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 84, 170, 36, 52
MARK = 4

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#7f7f7f")
"""Okabe and Ito's set, told apart by colour-blind readers; marks differ in shape too."""

STYLE = (
    "text{font:12px system-ui,sans-serif;fill:currentColor}"
    ".title{font-weight:600;font-size:14px}.grid{stroke:currentColor;opacity:.15}"
    ".axis{stroke:currentColor;opacity:.6}.line{fill:none;stroke-width:2}"
)


def render(chart: Chart) -> str:
    """The picture, without an XML declaration, so that it can stand inside HTML too."""
    plane = _Plane(*scales(chart))
    body = [
        f'<text class="title" x="{LEFT}" y="20">{escape(chart.title)}</text>',
        *plane.frame(),
        *(
            part
            for number, line in enumerate(chart.lines)
            for part in (*plane.line(line, number), *_legend(line, number))
        ),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(chart.title)}"><style>{STYLE}</style>\n'
        + "\n".join(body)
        + "\n</svg>"
    )


def stacked(charts: Sequence[Chart]) -> str:
    """Several charts below each other as one picture."""
    if len(charts) == 1:
        return render(charts[0])
    inner = [
        render(chart).replace("<svg ", f'<svg y="{i * HEIGHT}" height="{HEIGHT}" ', 1)
        for i, chart in enumerate(charts)
    ]
    size = f"0 0 {WIDTH} {len(charts) * HEIGHT}"
    name = escape(charts[0].title)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{size}" role="img" '
        f'aria-label="{name}">' + "\n".join(inner) + "</svg>"
    )


class _Plane:
    """Places points of the data on the picture."""

    def __init__(self, x: Scale, y: Scale) -> None:
        self._x, self._y = x, y

    def frame(self) -> Iterator[str]:
        """Grid, tick labels and the names of the axes."""
        bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
        for tick in self._x.ticks:
            at = self._across(tick)
            yield f'<line class="grid" x1="{at}" y1="{TOP}" x2="{at}" y2="{bottom}"/>'
            yield _text(at, bottom + 18, self._x.show(tick), "middle")
        for tick in self._y.ticks:
            at = self._down(tick)
            yield f'<line class="grid" x1="{LEFT}" y1="{at}" x2="{right}" y2="{at}"/>'
            yield _text(LEFT - 8, at + 4, self._y.show(tick), "end")
        yield f'<path class="axis" fill="none" d="M{LEFT} {TOP}V{bottom}H{right}"/>'
        yield _text((LEFT + right) / 2, HEIGHT - 12, self._x.axis.label, "middle")
        middle = (TOP + bottom) / 2
        yield (
            f'<text transform="translate(16 {middle}) rotate(-90)" text-anchor="middle">'
            f"{escape(self._y.axis.label)}</text>"
        )

    def line(self, line: Line, number: int) -> Iterator[str]:
        """Its curve, its intervals, its marks, each with its figures as a tool tip."""
        colour = COLOURS[number % len(COLOURS)]
        spots = [(self._across(p.x), self._down(p.y)) for p in line.points]
        if line.joined and len(spots) > 1:
            track = " ".join(f"{x},{y}" for x, y in spots)
            dashes = "" if line.marked else ' stroke-dasharray="5 4"'
            yield f'<polyline class="line" stroke="{colour}"{dashes} points="{track}"/>'
        if not line.marked:
            return
        for point, (x, y) in zip(line.points, spots, strict=True):
            if point.low is not None and point.high is not None:
                ends = f'y1="{self._down(point.low)}" y2="{self._down(point.high)}"'
                yield f'<line x1="{x}" x2="{x}" {ends} stroke="{colour}" stroke-width="2"/>'
            yield _mark(x, y, number, colour, self._tip(line.name, point))

    def _tip(self, name: str, point: Point) -> str:
        return f"{name}: {self._x.show(point.x)}, {self._y.show(point.y)}"

    def _across(self, value: float) -> float:
        return round(LEFT + self._x.place(value) * (WIDTH - LEFT - RIGHT), 1)

    def _down(self, value: float) -> float:
        return round(HEIGHT - BOTTOM - self._y.place(value) * (HEIGHT - TOP - BOTTOM), 1)


def _legend(line: Line, number: int) -> Iterator[str]:
    y = TOP + 12 + 20 * number
    x = WIDTH - RIGHT + 16
    colour = COLOURS[number % len(COLOURS)]
    if line.marked:
        yield _mark(x, y - 4, number, colour, line.name)
    else:
        yield f'<line x1="{x - 6}" x2="{x + 6}" y1="{y - 4}" y2="{y - 4}" stroke="{colour}"/>'
    yield _text(x + 12, y, line.name, "start")


def _mark(x: float, y: float, number: int, colour: str, tip: str) -> str:
    shapes = (
        f'<circle cx="{x}" cy="{y}" r="{MARK}" fill="{colour}">',
        f'<path d="M{x - MARK} {y - MARK}h8v8h-8z" fill="{colour}">',
        f'<path d="M{x} {y - 5}l5 9h-10z" fill="{colour}">',
        f'<path d="M{x} {y - 6}l6 6l-6 6l-6 -6z" fill="{colour}">',
    )
    shape = shapes[number % len(shapes)]
    closing = "</circle>" if shape.startswith("<circle") else "</path>"
    return f"{shape}<title>{escape(tip)}</title>{closing}"


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(text)}</text>'
