import errno
import sys
from pathlib import Path

import pytest

from hakprof import native
from hakprof.backends import truth
from hakprof.backends.perf_event import Attempt, attempt
from hakprof.backends.perf_stat import PerfStat
from hakprof.backends.perf_tool import PerfTool, find_perf
from hakprof.errors import BackendError, TargetError
from hakprof.model import Absence, Absent, Allocator, Job, Kind, Reading, Sample, Target
from hakprof.process import find_program

FAKE = Path(__file__).parent / "fixtures" / "perf" / "fake_perf.py"
COUNTERS = lambda: Attempt(0, 0)  # noqa: E731 (a value of the table below, not a function)
needs_perf = pytest.mark.skipif(
    find_program("perf") is None or bool(attempt().software), reason="perf cannot count here"
)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in front of PATH that holds a perf with hardware counters."""
    script = tmp_path / "bin" / "perf"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKE}" "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:/usr/bin:/bin")
    return script


def job(*argv: str, is_benchmark: bool = False) -> Job:
    return Job("arm", 0, Target("prog", argv, is_benchmark=is_benchmark), Allocator("libc", None))


def value(sample: Sample, name: str) -> float | Absent:
    return reading(sample, name).value


def reading(sample: Sample, name: str) -> Reading:
    return next(r for r in sample.readings if r.name == name)


@pytest.mark.parametrize("version", ["6.8.12", "5.15.148", "6.1.gabcdef"])
def test_region_of_interest_by_the_control_pipe(
    fake: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setenv("FAKE_PERF_VERSION", version)
    backend = PerfStat(attempt=COUNTERS)
    found = backend.probe()
    assert found.usable, found.why
    major, minor = version.split(".")[:2]
    assert found.label == f"perf {major}.{minor}, hardware counters"
    sample = backend.measure(truth.job("loop7", 1000))
    assert sample.problem == ""
    assert value(sample, "instructions") == 7000
    assert reading(sample, "instructions").kind is Kind.COUNTED
    assert fake.exists()


@pytest.mark.usefixtures("fake")
def test_counters_that_read_zero_fail_the_truth_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_PERF", "zeros")
    backend = PerfStat(attempt=COUNTERS)
    found = backend.probe()
    assert not found.usable
    assert "failed the truth test: 0 a turn of a loop that has 6.93 to 7.07" in found.why
    distrusted = value(backend.measure(truth.job("loop7", 1000)), "instructions")
    assert isinstance(distrusted, Absent)
    assert distrusted.reason is Absence.NOT_SUPPORTED


@pytest.mark.usefixtures("fake")
def test_perf_that_fails_is_a_problem_with_its_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_PERF", "broken")
    sample = PerfStat(attempt=COUNTERS).measure(job("true"))
    assert sample.problem == "prog: exit code 129: event syntax error: 'instructions:u'"


@pytest.mark.usefixtures("fake")
def test_perf_too_old_for_a_region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_PERF_VERSION", "5.4.0")
    backend = PerfStat(attempt=COUNTERS)
    found = backend.probe()
    assert not found.usable
    assert "perf 5.4 cannot be switched on for a region alone" in found.why
    with pytest.raises(BackendError, match="no --control"):
        backend.measure(truth.job("loop7", 10))


@pytest.mark.usefixtures("fake")
def test_wrapper_that_refuses_the_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_PERF", "refuse")
    with pytest.raises(BackendError, match="perf not found for kernel") as caught:
        find_perf(tmp_path)
    assert "linux-tools-generic" in caught.value.advice
    for version in ("5.15.0-9-generic", "6.8.0-101-generic", "6.8.0-31-generic"):
        binary = tmp_path / f"usr/lib/linux-tools-{version}" / "perf"
        binary.parent.mkdir(parents=True)
        binary.write_text("#!/bin/sh\necho perf version 6.8.12\n")
        binary.chmod(0o755)
    newest = tmp_path / "usr/lib/linux-tools-6.8.0-101-generic" / "perf"
    assert find_perf(tmp_path) == PerfTool(newest, (6, 8))


def test_no_perf_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = PerfStat(find=lambda: find_perf(tmp_path), attempt=COUNTERS).probe()
    assert not found.usable
    assert found.why == "perf is not installed"
    assert "apt-get install" in found.advice


def test_the_kernel_s_word_comes_first() -> None:
    def never() -> PerfTool:
        raise AssertionError

    backend = PerfStat(find=never, attempt=lambda: Attempt(errno.EACCES, errno.EACCES))
    found = backend.probe()
    assert not found.usable
    assert "perf_event_paranoid" in found.why


@needs_perf
def test_the_real_perf_counts_software_events_of_any_program() -> None:
    sample = PerfStat().measure(job("sh", "-c", "i=0; while [ $i -lt 99999 ]; do i=$((i+1)); done"))
    assert sample.problem == ""
    clock = reading(sample, "task_clock_ns")
    assert isinstance(clock.value, float)
    assert 1e6 < clock.value < 60e9
    assert clock.kind is Kind.TIMED
    for counted in sample.readings:
        assert isinstance(counted.value, Absent) or counted.value >= 0


@needs_perf
def test_the_real_perf_sees_the_region_alone() -> None:
    backend = PerfStat()
    argv = (str(native.benchmark("bench_tiny")), "--iters", "1", "--warmup", "200000")
    outside = backend.measure(job(*argv))
    region = backend.measure(job(*argv, is_benchmark=True))
    assert region.problem == ""
    whole, part = value(outside, "task_clock_ns"), value(region, "task_clock_ns")
    assert isinstance(whole, float)
    assert isinstance(part, float)
    assert 0 < part < whole / 2


@needs_perf
def test_counters_that_this_machine_lacks_are_not_supported() -> None:
    backend = PerfStat()
    if backend.probe().usable:
        pytest.skip("this machine has hardware counters")
    instructions = value(backend.measure(truth.job("loop7", 100_000)), "instructions")
    assert isinstance(instructions, Absent)
    assert instructions.reason is Absence.NOT_SUPPORTED


def test_program_that_fails_under_perf(fake: Path) -> None:
    sample = PerfStat(attempt=COUNTERS).measure(job("sh", "-c", "echo bad >&2; exit 7"))
    assert sample.problem == "prog: exit code 7: bad"
    assert fake.exists()


def test_program_that_does_not_exist(fake: Path) -> None:
    with pytest.raises(TargetError, match="no such program"):
        PerfStat(attempt=COUNTERS).measure(job("/no/such/program"))
    assert fake.exists()
