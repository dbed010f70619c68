import math
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakprof.render import svg, terminal_chart
from hakprof.render.chart import Axis, Chart, Line, Point, Scale, scales
from hakprof.units import Unit

THREADS = Axis("threads", Unit.COUNT, log=True, ticks=(1, 2, 4, 8, 16))
RATE = Axis("throughput", Unit.PER_SECOND, from_zero=True)


def larson() -> Chart:
    fast = tuple(Point(n, y, 0.97 * y, 1.03 * y) for n, y in ((1, 3e7), (4, 4.4e7), (16, 2e7)))
    slow = tuple(Point(n, y) for n, y in ((1, 2.2e7), (4, 2.5e7), (16, 1e7)))
    law = Line("law <&>", tuple(Point(n, 3e7) for n in (1, 16)), marked=False)
    return Chart("larson & co", THREADS, RATE, (Line("hakmem", fast), Line("glibc", slow), law))


def test_svg_is_well_formed_and_refers_to_nothing_outside() -> None:
    text = svg.render(larson())
    picture = ET.fromstring(text)  # noqa: S314 (our own text)
    tags = [element.tag.rpartition("}")[2] for element in picture.iter()]
    assert tags.count("polyline") == 3
    assert tags.count("circle") == 3 + 1
    assert "href" not in text
    assert "url(" not in text
    assert "larson &amp; co" in text


def test_svg_marks_lie_in_the_frame() -> None:
    picture = ET.fromstring(svg.render(larson()))  # noqa: S314 (our own text)
    marks = [e for e in picture.iter() if e.tag.endswith("circle")][:-1]
    for mark in marks:
        assert svg.LEFT <= float(mark.get("cx", "nan")) <= svg.WIDTH - svg.RIGHT
        assert svg.TOP <= float(mark.get("cy", "nan")) <= svg.HEIGHT - svg.BOTTOM


def test_terminal_chart_shows_each_line_and_its_ticks() -> None:
    lines = terminal_chart.render(larson())
    assert max(map(len, lines)) <= 100
    body = "\n".join(lines)
    assert body.count("o") >= 3
    assert "o hakmem   x glibc" in lines[-1]
    assert [word for word in lines[-2].split() if word.isdigit()] == ["1", "2", "4", "8", "16"]
    assert "20 M/s" in body


@given(
    st.lists(
        st.tuples(st.floats(1e-6, 1e12), st.floats(-1e9, 1e12)),
        min_size=1,
        max_size=20,
    ),
    st.sampled_from([THREADS, Axis("", Unit.COUNT, log=True), Axis("", Unit.COUNT)]),
)
def test_any_points_fit_and_ticks_lie_inside(points: list[tuple[float, float]], x: Axis) -> None:
    line = Line("x", tuple(Point(*point) for point in points))
    chart = Chart("any", x, Axis("", Unit.COUNT), (line,))
    for scale, values in zip(scales(chart), zip(*points, strict=True), strict=True):
        assert all(-1e-9 <= scale.place(v) <= 1 + 1e-9 for v in values)
        assert all(-1e-9 <= scale.place(t) <= 1 + 1e-9 for t in scale.ticks)
    assert len(terminal_chart.render(chart)) > terminal_chart.HEIGHT
    ET.fromstring(svg.render(chart))  # noqa: S314 (our own text)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (3, 7), (1e6, 1.1e6)])
def test_linear_ticks_are_few_and_round(low: float, high: float) -> None:
    ticks = Scale(RATE, low, high).ticks
    assert 3 <= len(ticks) <= 8
    step = ticks[1] - ticks[0]
    assert step / 10 ** math.floor(math.log10(step) + 1e-9) == pytest.approx(
        round(step / 10 ** math.floor(math.log10(step) + 1e-9))
    )


def test_ticks_of_bytes_are_powers_of_two() -> None:
    scale = Scale(Axis("memory", Unit.BYTES), 0, 100 << 20)
    assert [scale.show(tick) for tick in scale.ticks][:3] == ["0 B", "32 MiB", "64 MiB"]


def test_an_empty_chart_is_a_frame() -> None:
    chart = Chart("nothing", THREADS, RATE, ())
    assert "nothing" in svg.render(chart)
    assert "nothing" in terminal_chart.render(chart)[0]
