"""A chart for a terminal: one letter a line, in a frame of plain characters."""

from hakprof.render.chart import Chart, Scale, scales

WIDTH, HEIGHT = 60, 16
MARKS = "ox+*#@%&"
SHARED = "="
"""Stands where marks of two lines fall onto the same place."""


def render(chart: Chart) -> list[str]:
    """Lines of at most 100 columns. What is drawn without marks (a fitted law) is left out."""
    x, y = scales(chart)
    cells = [[" "] * WIDTH for _ in range(HEIGHT)]
    shown = [line for line in chart.lines if line.marked]
    for number, line in enumerate(shown):
        mark = MARKS[number % len(MARKS)]
        for point in line.points:
            row = HEIGHT - 1 - round(y.place(point.y) * (HEIGHT - 1))
            column = round(x.place(point.x) * (WIDTH - 1))
            cells[row][column] = mark if cells[row][column] in {" ", mark} else SHARED
    labels = _labels(y)
    edge = max(map(len, labels.values()), default=0)
    legend = "   ".join(f"{MARKS[i % len(MARKS)]} {line.name}" for i, line in enumerate(shown))
    return [
        f"{chart.title} ({chart.y.label})",
        *(f"{labels.get(r, ''):>{edge}} |{''.join(row)}".rstrip() for r, row in enumerate(cells)),
        " " * edge + " +" + "-" * WIDTH,
        " " * (edge + 2) + _foot(x),
        f"{chart.x.label}: {legend}" if chart.x.label else legend,
    ]


def _labels(y: Scale) -> dict[int, str]:
    """Row -> label of the tick that falls into it."""
    return {HEIGHT - 1 - round(y.place(tick) * (HEIGHT - 1)): y.show(tick) for tick in y.ticks}


def _foot(x: Scale) -> str:
    """The labels of the ticks below the frame, those left out that would run into another."""
    text = ""
    for tick in x.ticks:
        label = x.show(tick)
        start = max(0, round(x.place(tick) * (WIDTH - 1)) - len(label) // 2)
        if not text or start > len(text):
            text = text.ljust(start) + label
    return text
