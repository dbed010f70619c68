import pytest

from hakprof import native
from hakprof.backends import TIMING, timing, truth
from hakprof.model import Absent, Allocator, Job, Kind, OpReport, Reading, Sample, Target, Value
from hakprof.schema import load


def reading(sample: Sample, name: str) -> Reading:
    return next(r for r in sample.readings if r.name == name)


def as_number(value: Value) -> float:
    assert not isinstance(value, Absent)
    return value


def test_readings_of_a_benchmark() -> None:
    argv = (str(native.benchmark("bench_tiny")), "--iters", "2000", "--warmup", "100")
    job = Job("arm", 0, Target("bench_tiny", argv, is_benchmark=True), Allocator("libc", None))
    sample = TIMING.measure(job)
    assert sample.problem == ""
    assert sample.report is not None
    assert sample.report.ops == 400_000
    read = {reading.name: reading for reading in sample.readings}
    described = load(native.counter_schema("process")).counters
    assert {name: reading.unit for name, reading in read.items()} == {
        name: row.unit for name, row in described.items()
    }
    assert read["cycles"].kind is read["clock_hz"].kind is Kind.ESTIMATED
    assert read["cycles"].error >= timing.CLOCK_ERROR
    assert read["max_rss_bytes"].value != 0
    assert sum(reading.kind is Kind.TIMED for reading in sample.readings) == len(read) - 2


def test_a_clock_that_moved_widens_the_error() -> None:
    clock, moved = timing.estimate_clock((3.0e9, 3.3e9))
    assert clock == pytest.approx(3.15e9)
    assert moved == pytest.approx(0.15 / 3.15)
    assert timing.estimate_clock((4e9, 4e9)) == (4e9, 0)


def test_the_error_of_cycles_is_what_the_clock_moved_and_what_an_interruption_takes() -> None:
    report = OpReport(
        *("bench", 1, 1, 0, 0, 0), roi_ns=10**7, roi_cpu_ns=9 * 10**6, clock_hz=(3.0e9, 3.3e9)
    )
    cycles = next(r for r in timing.region(report) if r.name == "cycles")
    assert cycles.value == pytest.approx(3.15e9 * 0.009)
    assert cycles.error == pytest.approx(0.03 + 0.15 / 3.15 + 300_000 / 9_000_000)


@pytest.mark.parametrize("kernel", ["mul", "add1", "add2", "chase"])
def test_kernels_of_known_cycles_lie_within_the_stated_error(kernel: str) -> None:
    # Whatever else the machine does makes a run longer, so one of many shows what the figure is
    # worth; how far the clock of this machine moves meanwhile is no matter of the figure.
    turns = 20_000_000
    for _ in range(40):
        run = TIMING.measure(truth.job(kernel, turns))
        assert run.problem == ""
        assert run.report is not None
        expected = run.report.extra.get("truth.cycles_per_op")
        if not isinstance(expected, int | float):
            pytest.skip("the cycles of this kernel are not known on this processor")
        cycles = reading(run, "cycles")
        if abs(as_number(cycles.value) / turns / expected - 1) <= min(cycles.error, 0.15):
            return
    pytest.fail(f"no run of 40 lies within its stated error: {cycles}")


def test_probe_always_works() -> None:
    assert TIMING.probe().usable
