"""The counting backends against programs of known length, and against each other."""

import functools
from collections.abc import Callable
from pathlib import Path

import pytest

from hakprof import native
from hakprof.backends import truth
from hakprof.backends.callgrind import Callgrind, unknown_instruction
from hakprof.backends.perf_stat import PerfStat
from hakprof.backends.qemu import Qemu
from hakprof.backends.stepper import Stepper
from hakprof.environment import read_machine
from hakprof.errors import BackendError, TargetError
from hakprof.model import (
    Absence,
    Absent,
    Allocator,
    Availability,
    CountingBackend,
    Job,
    Kind,
    Sample,
    Target,
)

LIBRARIES = Path("/usr/lib/x86_64-linux-gnu")
EDGE = 200 / 1000  # what entering and leaving the region may add, a turn of a thousand

emulators = pytest.mark.parametrize("make", [Qemu, Callgrind], ids=["qemu", "callgrind"])
every = pytest.mark.parametrize(
    "make", [Qemu, Callgrind, Stepper], ids=["qemu", "callgrind", "stepper"]
)
Make = Callable[[], CountingBackend]


@functools.cache
def probed(make: Make) -> tuple[CountingBackend, Availability]:
    backend = make()
    return backend, backend.probe()


def usable(make: Make) -> CountingBackend:
    backend, found = probed(make)
    if not found.usable:
        pytest.skip(f"{found.label}: {found.why}")
    return backend


def instructions(sample: Sample) -> float:
    assert sample.problem == ""
    reading = next(r for r in sample.readings if r.name == "instructions")
    assert isinstance(reading.value, float), reading.value
    assert reading.kind is Kind.EXACT
    return reading.value


def per_op(sample: Sample) -> float:
    assert sample.report is not None
    return instructions(sample) / sample.report.ops


def bench(name: str, *args: str, library: Path | None = None, options: str = "") -> Job:
    target = Target(name, (str(native.benchmark(name)), *args), is_benchmark=True)
    chosen = {"simulate": options} if options else {}
    return Job("arm", 0, target, Allocator("some", library), options=chosen)


def program(*argv: str) -> Job:
    return Job("arm", 0, Target(argv[0], argv, is_benchmark=False), Allocator("libc", None))


@every
@pytest.mark.parametrize(("kernel", "turns"), [("loop7", 1000), ("add2", 2000), ("memset", 4)])
def test_kernels_of_known_length(make: Make, kernel: str, turns: int) -> None:
    sample = usable(make).measure(truth.job(kernel, turns))
    assert sample.report is not None
    expected = sample.report.extra["truth.instructions_per_op"]
    assert isinstance(expected, int | float)
    assert expected <= per_op(sample) <= expected + EDGE * 1000 / turns


@emulators
def test_memset_is_not_counted_by_the_byte(make: Make) -> None:
    assert per_op(usable(make).measure(truth.job("memset", 1000))) < 100


@pytest.mark.parametrize("library", [None, "libjemalloc.so.2", "libmimalloc.so.2"])
@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("bench_random_mixed", ("--iters", "600", "--warmup", "2000")),
        ("bench_tiny", ("--iters", "3", "--warmup", "10")),
    ],
)
def test_all_agree_within_half_a_percent(
    name: str, args: tuple[str, ...], library: str | None
) -> None:
    path = LIBRARIES / library if library else None
    if path and not path.exists():
        pytest.skip(f"{library} is not installed")
    job = bench(name, *args, library=path)
    able = [
        probed(make)[0] for make in (PerfStat, Qemu, Callgrind, Stepper) if probed(make)[1].usable
    ]
    if len(able) < 2:
        pytest.skip("only one backend works here")
    figures = {backend.name: per_op(backend.measure(job)) for backend in able}
    assert max(figures.values()) < 1.005 * min(figures.values()), figures
    assert min(figures.values()) > 10


@emulators
def test_threads_are_all_counted(make: Make) -> None:
    backend = usable(make)
    args = ("--iters", "500", "--warmup", "20", "--threads")
    one = backend.measure(bench("bench_tiny", *args, "1"))
    four = backend.measure(bench("bench_tiny", *args, "4"))
    assert one.report is not None
    assert four.report is not None
    assert four.report.ops == 4 * one.report.ops
    assert per_op(four) == pytest.approx(per_op(one), rel=0.5)


def test_stepper_refuses_several_threads_and_other_programs() -> None:
    backend = usable(Stepper)
    sample = backend.measure(bench("larson", "--iters", "50", "--warmup", "50", "--threads", "2"))
    value = sample.readings[0].value
    assert isinstance(value, Absent)
    assert "one thread" in value.why
    with pytest.raises(BackendError, match="no region of interest"):
        backend.measure(program("true"))


@emulators
def test_avx512_is_unavailable_and_never_a_number(make: Make) -> None:
    if "avx512f" not in read_machine().cpu_flags:
        pytest.skip("this processor has no AVX-512 to compile for")
    sample = usable(make).measure(truth.job("avx512", 1000))
    value = sample.readings[0].value
    assert isinstance(value, Absent)
    assert value.reason is Absence.UNAVAILABLE
    assert "AVX-512" in value.why
    assert sample.problem == ""


def test_avx512_is_stepped_on_the_bare_processor() -> None:
    if "avx512f" not in read_machine().cpu_flags:
        pytest.skip("this processor has no AVX-512")
    sample = usable(Stepper).measure(truth.job("avx512", 1000))
    assert 3 <= per_op(sample) < 3.5


@emulators
def test_any_program_from_start_to_exit(make: Make) -> None:
    backend = usable(make)
    loop = "i=0; while [ $i -lt {} ]; do i=$((i+1)); done"
    short, long = (
        instructions(backend.measure(program("sh", "-c", loop.format(n)))) for n in (100, 900)
    )
    turn = (long - short) / 800
    assert 100 < turn < 100_000
    assert instructions(backend.measure(program("sh", "-c", loop.format(500)))) == pytest.approx(
        short + 400 * turn, rel=0.01
    )


@emulators
def test_children_are_left_out_and_said_so(make: Make) -> None:
    backend = usable(make)
    alone = backend.measure(program("sh", "-c", "exit 0"))
    parent = backend.measure(
        program("sh", "-c", "(i=0; while [ $i -lt 9999 ]; do i=$((i+1)); done) ; exit 0")
    )
    assert instructions(parent) < 2 * instructions(alone)
    assert "1 child process not counted" in parent.readings[0].source


@emulators
def test_failures_of_the_program_stay_its_own(make: Make) -> None:
    backend = usable(make)
    assert backend.measure(program("sh", "-c", "exit 4")).problem == "sh: exit code 4"
    crashed = backend.measure(program("sh", "-c", "kill -SEGV $$"))
    assert crashed.problem.startswith("sh: killed by SIGSEGV")
    assert crashed.readings == ()
    with pytest.raises(TargetError, match="no such program"):
        backend.measure(program("/no/such/program"))


def test_simulated_misses_are_an_upper_bound_of_this_machine_s_geometry() -> None:
    backend = usable(Callgrind)
    args = ("--iters", "2000", "--warmup", "1000")
    plain = backend.measure(bench("bench_random_mixed", *args))
    both = backend.measure(bench("bench_random_mixed", *args, options="cache,branch"))
    read = {r.name: r for r in both.readings}
    assert instructions(both) == instructions(plain)
    for name in ("l1d_reads", "l1d_read_misses", "branches", "branch_misses"):
        assert read[name].kind is Kind.SIMULATED
        assert isinstance(read[name].value, float)
        missing = next(r for r in plain.readings if r.name == name).value
        assert isinstance(missing, Absent)
        assert missing.reason is Absence.MISSING
    assert "upper bound" in read["branch_misses"].source
    cache = read_machine().cache(1, "Data")
    if cache:
        assert f"{cache.size_bytes >> 10} KiB {cache.ways}-way" in read["l1d_reads"].source


def test_a_branch_pattern_that_hardware_learns_reads_as_an_upper_bound() -> None:
    backend = usable(Callgrind)
    job = truth.job("branchy", 4096)
    job = Job(job.arm, 0, job.target, job.allocator, options={"simulate": "branch"})
    misses = next(r for r in backend.measure(job).readings if r.name == "branch_misses")
    assert isinstance(misses.value, float)
    assert misses.value / 4096 > 0.2
    assert "upper bound" in misses.source


def test_scripts_are_told_from_programs() -> None:
    with pytest.raises(BackendError, match="it is no ELF program, but a script"):
        usable(Qemu).measure(program("/usr/bin/ldd", "--version"))


@pytest.mark.parametrize(
    ("log", "why"),
    [
        (b"", ""),
        (b"vex amd64->IR: unhandled instruction bytes: 0x62 0xF1 0x7C 0x48 0x58", "AVX-512 code"),
        (b"unhandled instruction bytes: 0x0F 0xC7 0xF8 0x90", "(0x0F 0xC7 0xF8 0x90 ...)"),
    ],
)
def test_valgrind_s_words_about_an_unknown_instruction(log: bytes, why: str) -> None:
    assert why in unknown_instruction(log)
    assert bool(why) is bool(unknown_instruction(log))


def test_each_backend_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for backend in (Qemu(), Callgrind()):
        found = backend.probe()
        assert not found.usable
        assert "not installed" in found.why
        assert "apt-get install" in found.advice
    assert isinstance(PerfStat().probe().why, str)
