import pytest

from hakprof import native
from hakprof.backends import TIMING, timing
from hakprof.model import Allocator, Job, Kind, Target
from hakprof.schema import load


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
    clock, error = timing.estimate_clock((3.0e9, 3.3e9))
    assert clock == pytest.approx(3.15e9)
    assert error == pytest.approx(timing.CLOCK_ERROR + 0.15 / 3.15)
    assert timing.estimate_clock((4e9, 4e9)) == (4e9, timing.CLOCK_ERROR)


def test_probe_always_works() -> None:
    assert TIMING.probe().usable
