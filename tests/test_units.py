import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakprof import units
from hakprof.errors import UsageError
from hakprof.units import Unit


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (7.6201, Unit.NS, "7.620 ns"),
        (1_234.5, Unit.NS, "1.234 us"),
        (2.5e9, Unit.NS, "2.500 s"),
        (131_200_000, Unit.PER_SECOND, "131.2 M/s"),
        (35_441_868, Unit.BYTES, "33.80 MiB"),
        (512, Unit.BYTES, "512 B"),
        (0.0248, Unit.FRACTION, "2.48 %"),
        (0.131, Unit.FRACTION, "13.1 %"),
        (12_345, Unit.COUNT, "12,345"),
        (93.815, Unit.PER_OP, "93.81"),
        (1404.2, Unit.PER_OP, "1,404"),
        (0.0, Unit.RATIO, "0"),
        (-1.8124, Unit.NS, "-1.812 ns"),
        (4.19e9, Unit.HZ, "4.190 GHz"),
    ],
)
def test_shown_as_people_read_it(value: float, unit: Unit, shown: str) -> None:
    assert units.show(value, unit) == shown


@given(st.floats(min_value=1e-3, max_value=1e15), st.sampled_from(list(Unit)))
def test_shown_number_is_short_and_close(value: float, unit: Unit) -> None:
    shown = units.show(value, unit)
    assert len(shown) <= 30
    assert "nan" not in shown
    assert "e+" not in shown


@given(st.floats(min_value=1e-2, max_value=1e12))
def test_number_keeps_four_digits(value: float) -> None:
    shown = float(units.show_number(value).replace(",", ""))
    assert shown == pytest.approx(value, rel=6e-4)


@pytest.mark.parametrize(
    ("text", "seconds"), [("10", 10.0), ("250ms", 0.25), ("1.5 s", 1.5), ("2min", 120.0)]
)
def test_durations(text: str, seconds: float) -> None:
    assert units.parse_seconds(text) == seconds


@pytest.mark.parametrize(("text", "count"), [("20M", 20_000_000), ("1.5k", 1500), ("2_000", 2000)])
def test_counts(text: str, count: int) -> None:
    assert units.parse_count(text) == count


@pytest.mark.parametrize("text", ["", "-1", "0", "1.5", "ten", "1e3", "9x", "nan", "٣"])
def test_bad_counts_are_usage_errors(text: str) -> None:
    with pytest.raises(UsageError):
        units.parse_count(text)


@pytest.mark.parametrize(("text", "cpus"), [("0", {0}), ("0,2", {0, 2}), ("1-3,5", {1, 2, 3, 5})])
def test_cpu_lists(text: str, cpus: set[int]) -> None:
    assert units.parse_cpus(text) == cpus


@given(st.text(max_size=12))
def test_any_text_parses_or_is_a_usage_error(text: str) -> None:
    for parse in (units.parse_count, units.parse_seconds, units.parse_cpus):
        with contextlib.suppress(UsageError):
            parse(text)
