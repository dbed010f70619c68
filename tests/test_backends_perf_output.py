import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakprof.backends.perf_output import Row, combine, parse_csv, parse_json, plain_event
from hakprof.backends.perf_stat import readings_of
from hakprof.model import Absence, Absent, Kind, Reading
from hakprof.schema import load

FIXTURES = Path(__file__).parent / "fixtures" / "perf"
SCHEMA = load(Path(__file__).parent.parent / "counters" / "perf.toml")


def rows_of(fixture: str) -> list[Row]:
    parse = parse_json if fixture.endswith("json") else parse_csv
    return parse((FIXTURES / fixture).read_text())


def readings(fixture: str, distrusted: dict[str, str] | None = None) -> dict[str, Reading]:
    read = readings_of(SCHEMA, rows_of(fixture), "perf", distrusted or {})
    return {reading.name: reading for reading in read}


def reason(reading: Reading) -> Absence:
    assert isinstance(reading.value, Absent)
    assert reading.value.why
    return reading.value.reason


@pytest.mark.parametrize("fixture", ["recorded-6.1-vm.json", "recorded-6.1-vm.csv"])
def test_recorded_without_hardware_counters(fixture: str) -> None:
    read = readings(fixture)
    hardware = [name for name, row in SCHEMA.counters.items() if row.extra["hardware"]]
    assert len(hardware) >= 7
    for name in hardware:
        assert reason(read[name]) is Absence.NOT_SUPPORTED
    clock = read["task_clock_ns"]
    assert isinstance(clock.value, float)
    assert 4e5 < clock.value < 6e5
    assert clock.kind is Kind.TIMED
    assert read["minor_faults"].value in {49.0, 50.0}


def test_every_counter_has_a_reading_whatever_came() -> None:
    assert [r.name for r in readings_of(SCHEMA, [], "perf", {})] == list(SCHEMA.counters)
    for reading in readings_of(SCHEMA, [], "perf", {}):
        assert reason(reading) is Absence.MISSING


def test_multiplexed_events_are_marked_and_too_much_of_it_is_refused() -> None:
    read = readings("format-5.4.csv")
    instructions = read["instructions"]
    assert instructions.value == 1402183771
    assert instructions.error == pytest.approx(0.3782)
    assert "scaled from 62% of the time" in instructions.source
    assert reason(read["dtlb_read_misses"]) is Absence.NOT_COUNTED
    assert read["task_clock_ns"].value == pytest.approx(399.67e6)


def test_variance_field_of_repeats_is_skipped() -> None:
    read = readings("format-5.15-repeat.csv")
    assert read["instructions"].value == 7000102
    assert read["instructions"].error == 0
    assert read["branch_misses"].value == 31


def test_hybrid_processor() -> None:
    read = readings("format-6.1-hybrid.json")
    assert read["instructions"].value == 7000131
    assert read["cycles"].value == pytest.approx(1500000 * 0.75 + 500000 * 0.25)
    assert read["cycles"].error == 0


def test_metrics_of_newer_versions_are_ignored_and_zero_is_a_count() -> None:
    read = readings("format-6.8.json")
    assert read["instructions"].value == 7000131
    assert read["cycles"].value == 2000000
    assert read["branch_misses"].value == 0
    assert reason(read["dtlb_read_misses"]) is Absence.NOT_SUPPORTED
    assert reason(read["cache_misses"]) is Absence.MISSING


def test_not_counted_is_never_a_number() -> None:
    read = readings("format-6.12-not-counted.json")
    assert read["instructions"].value == 7000131
    for name in ("cycles", "branches", "cache_misses"):
        assert reason(read[name]) is Absence.NOT_COUNTED


def test_what_failed_the_truth_test_is_no_figure() -> None:
    read = readings("format-vmware-zeros.json", {"instructions": "0 a turn"})
    assert reason(read["instructions"]) is Absence.NOT_SUPPORTED
    assert read["cycles"].value == 0


@pytest.mark.parametrize(
    "name",
    [
        "instructions",
        "instructions:u",
        "instructions:ukH",
        "cpu_core/instructions/u",
        "cpu_atom/instructions/",
        "cpu/instructions:u/",
        " instructions:u ",
    ],
)
def test_event_without_pmu_and_modifiers(name: str) -> None:
    assert plain_event(name) == "instructions"


def test_event_names_with_dashes() -> None:
    assert plain_event("cpu_core/L1-dcache-load-misses/u") == "L1-dcache-load-misses"


@given(
    value=st.integers(0, 10**15),
    runtime=st.integers(1, 10**12),
    percent=st.integers(25, 100),
)
def test_both_formats_say_the_same(value: int, runtime: int, percent: int) -> None:
    line = {
        "counter-value": f"{value}.000000",
        "unit": "",
        "event": "cycles:u",
        "event-runtime": runtime,
        "pcnt-running": percent,
    }
    expected = [Row("cycles", float(value), percent / 100)]
    assert parse_json(json.dumps(line)) == expected
    assert parse_csv(f"{value};;cycles:u;{runtime};{percent}.00;;") == expected
    assert combine(expected) == Row("cycles", pytest.approx(float(value)), percent / 100)


junk = st.one_of(
    st.text(max_size=80),
    st.lists(st.sampled_from([*"0123;%<>.", "not counted", "cycles:u", "\n"])).map("".join),
    st.dictionaries(
        st.sampled_from(["event", "counter-value", "unit", "event-runtime", "pcnt-running"]),
        st.one_of(st.text(max_size=9), st.floats(), st.none(), st.integers(), st.just([])),
    ).map(json.dumps),
)


@given(text=st.lists(junk).map("\n".join))
def test_any_text_gives_rows_of_finite_counts_or_reasons(text: str) -> None:
    for row in (*parse_json(text), *parse_csv(text)):
        assert isinstance(row.value, Absent) or 0 <= row.value < float("inf")
