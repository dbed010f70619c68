import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakprof import figures, metrics
from hakprof.errors import BackendError
from hakprof.figures import Run, Series, figure_of, ipc_of, net_of, overhead_of, series_of
from hakprof.metrics import METRICS, Facts, blend, facts_of
from hakprof.model import Absence, Absent, Exit, ExitKind, Figure, Kind, OpReport, Reading, Sample

BY_NAME = {metric.name: metric for metric in METRICS}
TIME, INSTRUCTIONS = BY_NAME["ns_per_op"], BY_NAME["instructions_per_op"]
ENDED = Exit(ExitKind.CODE, 0)


def reading(name: str, value: float | Absent, kind: Kind, source: str = "tool") -> Reading:
    return Reading(name, value, "unit", kind, source, error=0.02)


def timed(times: list[float], ops: float = 100) -> dict[Run, Facts]:
    return {
        ("timing", i): {
            "op_time_ns": reading("op_time_ns", time, Kind.TIMED),
            "ops": reading("ops", ops, Kind.REPORTED),
        }
        for i, time in enumerate(times)
    }


def counted(counts: list[tuple[float, float]], source: str = "emulator") -> dict[Run, Facts]:
    """(ops, instructions) of runs of different lengths."""
    return {
        (source, i): {
            "instructions": reading("instructions", count, Kind.EXACT, source),
            "ops": reading("ops", ops, Kind.REPORTED),
        }
        for i, (ops, count) in enumerate(counts)
    }


def shown(metric: metrics.Metric, runs: dict[Run, Facts]) -> Figure:
    return figure_of(metric, series_of(metric, runs))


def test_time_per_op_is_the_median_with_its_interval() -> None:
    found = shown(TIME, timed([300, 100, 200, 900, 250]))
    assert found.value == 2.5
    assert found.interval is not None
    assert found.interval[0] <= 2.5 <= found.interval[1]
    assert (found.runs, found.kind) == (5, Kind.TIMED)
    assert found.cv is not None


def test_two_runs_have_no_interval() -> None:
    found = shown(TIME, timed([100, 200]))
    assert (found.value, found.interval, found.cv) == (1.5, None, None)


def test_an_exact_count_is_the_slope_so_that_start_up_cancels() -> None:
    found = shown(INSTRUCTIONS, counted([(100, 5000 + 5000), (200, 5000 + 10_000)]))
    assert found.value == 50
    assert found.interval is None
    assert found.error == pytest.approx(abs(100 / 50 - 1))


def test_three_lengths_that_agree_are_steady() -> None:
    two = [(100.0, 10_000.0), (200.0, 15_000.0)]
    assert not figures.steady(INSTRUCTIONS, counted(two))
    assert figures.steady(INSTRUCTIONS, counted([*two, (400, 25_000)]))
    assert not figures.steady(INSTRUCTIONS, counted([*two, (400, 26_000)]))


def test_net_is_taken_block_by_block() -> None:
    mine, harness = timed([300, 1100, 500]), timed([100, 900, 300])
    net = net_of(TIME, series_of(TIME, mine), series_of(TIME, harness))
    assert net.value == 2
    assert net.interval == (2, 2)


def test_net_of_counts_from_two_tools_is_refused() -> None:
    mine = series_of(INSTRUCTIONS, counted([(100, 5000)]))
    other = series_of(INSTRUCTIONS, counted([(100, 1000)], "another"))
    net = net_of(INSTRUCTIONS, mine, other)
    assert isinstance(net.value, Absent)
    assert "another way" in net.value.why


def test_net_without_a_harness_says_why() -> None:
    gone = Absent(Absence.UNAVAILABLE, "it crashed")
    assert net_of(TIME, series_of(TIME, timed([1, 2])), gone).value == gone


def test_the_best_kind_is_shown_and_never_mixed_with_another() -> None:
    runs = counted([(100, 5000), (200, 10_000)])
    runs |= {
        ("perf", 0): {
            "instructions": reading("instructions", 999, Kind.COUNTED),
            "ops": reading("ops", 1, Kind.REPORTED),
        }
    }
    found = shown(INSTRUCTIONS, runs)
    assert (found.kind, found.value, found.runs) == (Kind.COUNTED, 999, 1)


@pytest.mark.parametrize("reason", list(Absence))
def test_an_absent_reading_keeps_its_reason(reason: Absence) -> None:
    absent = Absent(reason, "because")
    runs: dict[Run, Facts] = {
        ("perf", 0): {
            "instructions": reading("instructions", absent, Kind.COUNTED),
            "ops": reading("ops", 1, Kind.REPORTED),
        }
    }
    assert shown(INSTRUCTIONS, runs).value == absent


def test_no_reading_at_all_is_missing_and_no_ops_is_not_counted() -> None:
    assert shown(INSTRUCTIONS, {}).value == Absent(Absence.MISSING)
    value = shown(TIME, timed([100, 200, 300], ops=0)).value
    assert isinstance(value, Absent)
    assert value.reason is Absence.NOT_COUNTED


def figure(value: float, kind: Kind, error: float = 0.0) -> Figure:
    return Figure("x", value, "per op", kind, kind.value, (value * 0.9, value * 1.1), error=error)


def test_an_exact_count_over_estimated_cycles_is_estimated_with_both_errors() -> None:
    ipc = ipc_of(figure(50, Kind.EXACT, 0.001), figure(25, Kind.ESTIMATED, 0.03))
    assert ipc.value == 2
    assert ipc.kind is Kind.ESTIMATED
    assert ipc.error == pytest.approx(0.031)
    assert ipc.interval == pytest.approx((50 / 27.5, 50 / 22.5))


def test_counted_over_counted_is_counted() -> None:
    assert ipc_of(figure(50, Kind.COUNTED), figure(25, Kind.COUNTED)).kind is Kind.COUNTED


def test_more_instructions_a_cycle_than_a_machine_retires_is_an_error() -> None:
    with pytest.raises(BackendError, match="instructions per cycle is more than any"):
        ipc_of(figure(90, Kind.EXACT), figure(10, Kind.ESTIMATED))


def test_no_ipc_from_exact_and_counted() -> None:
    ipc = ipc_of(figure(50, Kind.EXACT), figure(25, Kind.COUNTED))
    assert isinstance(ipc.value, Absent)


@pytest.mark.parametrize(
    ("kinds", "kind"),
    [
        ({Kind.EXACT, Kind.REPORTED}, Kind.EXACT),
        ({Kind.EXACT, Kind.ESTIMATED}, Kind.ESTIMATED),
        ({Kind.TIMED, Kind.REPORTED}, Kind.TIMED),
        ({Kind.EXACT, Kind.TIMED}, None),
        ({Kind.SIMULATED, Kind.COUNTED}, None),
        ({Kind.ESTIMATED, Kind.SIMULATED}, None),
    ],
)
def test_kinds_that_may_meet(kinds: set[Kind], kind: Kind | None) -> None:
    assert blend(kinds) == kind


def sample(threads: int | None) -> Sample:
    clocks = {"roi_ns": 100.0, "roi_cpu_ns": 90.0, "wall_ns": 500.0, "cpu_ns": 400.0}
    if threads is None:
        clocks = {"wall_ns": 500.0, "cpu_ns": 400.0}
    report = threads and OpReport("b", threads, 10, 5, 5, 80, 100, 90)
    readings = tuple(reading(name, value, Kind.TIMED) for name, value in clocks.items())
    return Sample("a", 0, "timing", ENDED, readings, report=report or None)


@pytest.mark.parametrize(("threads", "time"), [(1, 90), (4, 100), (None, 500)])
def test_one_thread_is_timed_by_its_cpu_clock(threads: int | None, time: float) -> None:
    facts = facts_of(sample(threads))
    assert facts["op_time_ns"].value == time
    assert facts["op_time_ns"].source == ("CPU clock" if threads == 1 else "wall clock")


@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=40), st.floats(1, 1e9))
def test_any_runs_give_a_finite_figure_within_them(times: list[float], ops: float) -> None:
    series = series_of(TIME, timed(times, ops))
    assert isinstance(series, Series)
    found = figure_of(TIME, series)
    assert isinstance(found.value, float)
    assert math.isfinite(found.value)
    assert min(times) / ops <= found.value * (1 + 1e-9)
    assert found.value <= max(times) / ops * (1 + 1e-9)


def test_memory_for_what_was_asked_for() -> None:
    resident = Figure("max_rss_bytes", 3e6, "B", Kind.TIMED, "os", interval=(2.8e6, 3.2e6))
    asked = Figure("asked_bytes", 2e6, "B", Kind.EXACT, "census")
    found = overhead_of(resident, asked)
    assert found.value == pytest.approx(1.5)
    assert found.interval == pytest.approx((1.4, 1.6))
    little = overhead_of(resident, replace(asked, value=1000.0))
    assert isinstance(little.value, Absent)
    assert "1 MiB" in little.value.why
    gone = Absent(Absence.UNAVAILABLE, "killed")
    assert overhead_of(resident, replace(asked, value=gone)).value == gone
