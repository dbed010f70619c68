import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakprof import native
from hakprof.backends import TIMING, launch
from hakprof.errors import TargetError
from hakprof.model import Allocator, Exit, ExitKind, Job, Sample, Target
from hakprof.process import run

GOOD: dict[str, Any] = {
    "hakbench": 1,
    "benchmark": "bench_tiny",
    "args": {"pattern": "lifo", "size": 16},
    "harness_only": False,
    "threads": 2,
    "ops": 2100,
    "allocs": 1000,
    "frees": 1000,
    "reallocs": 100,
    "bytes_requested": 16000,
    "roi_ns": 40_000_000,
    "roi_cpu_ns": 79_000_000,
    "roi_minor_faults": 3,
    "checksum": "9f3c",
    "clock_hz": [4.19e9, 4200000000],
}
WALL_NS = 50_000_000


def line(**changes: object) -> bytes:
    return json.dumps(GOOD | changes).encode() + b"\n"


def test_a_good_report() -> None:
    report = launch.parse_report(line(), WALL_NS)
    assert (report.benchmark, report.threads, report.ops) == ("bench_tiny", 2, 2100)
    assert report.clock_hz == (4.19e9, 4.2e9)
    assert report.extra == {
        "args.pattern": "lifo",
        "args.size": 16,
        "reallocs": 100,
        "roi_minor_faults": 3,
        "checksum": "9f3c",
    }


def test_unknown_keys_are_no_error() -> None:
    assert launch.parse_report(line(new={"deep": {"er": 1}}, list=[1]), WALL_NS).ops == 2100


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "wrote no report line"),
        (b" \n", "wrote no report line"),
        (b"hello\n", "no JSON object: 'hello'"),
        (b"\x00\xff{", "no JSON object"),
        (b"[" * 50_000, "no JSON object"),
        (b"[1]\n", "no JSON object"),
        (line() + line(), "more than one report line"),
        (line(padding="x" * 70_000), "longer than 65536 bytes"),
        (line(hakbench=2), "protocol version 2, not 1"),
        (line(ops=2101), "claims 2101 ops but 2100 calls"),
        (line(ops=0, allocs=0, frees=0, reallocs=0), "claims no ops"),
        (line(ops=5, allocs=0, frees=0, reallocs=0), "claims 5 ops but 0 calls"),
        (line(threads=0), "no threads"),
        (line(ops=-1), "claims ops = -1"),
        (line(allocs=1 << 70), "claims allocs ="),
        (line(frees="1000"), "no whole number as 'frees'"),
        (line(frees=True), "no whole number as 'frees'"),
        (line(frees=1e3), "no whole number as 'frees'"),
        (line(roi_ns=0), "region of interest of 0 ns"),
        (line(roi_ns=WALL_NS + 1), "longer than the whole process"),
        (line(roi_cpu_ns=200_000_000), "of CPU time in"),
        (line(clock_hz=3e9), "clock_hz that is no list"),
        (line(clock_hz=[0]), "claims a clock of 0 Hz"),
        (line(clock_hz=["fast"]), "claims a clock of 'fast' Hz"),
    ],
)
def test_each_lie_is_named(data: bytes, complaint: str) -> None:
    with pytest.raises(TargetError, match=complaint.replace("(", r"\(")) as caught:
        launch.parse_report(data, WALL_NS)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@given(data=st.binary(max_size=300))
def test_any_bytes_are_refused_in_words(data: bytes) -> None:
    with pytest.raises(TargetError):
        launch.parse_report(data, WALL_NS)


values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.lists(st.floats())
)


@given(changes=st.dictionaries(st.sampled_from(sorted(GOOD)), values, max_size=3))
def test_a_changed_report_is_consistent_or_refused(changes: dict[str, object]) -> None:
    try:
        report = launch.parse_report(line(**changes), WALL_NS)
    except TargetError:
        return
    reallocs = report.extra.get("reallocs", 0)
    assert isinstance(reallocs, int | float)
    assert report.ops == report.allocs + report.frees + reallocs > 0
    assert 0 < report.roi_ns <= WALL_NS


def measure(*argv: str, is_benchmark: bool = True, timeout_s: float = 60) -> Sample:
    target = Target("prog", argv, is_benchmark=is_benchmark)
    return TIMING.measure(Job("arm", 3, target, Allocator("libc", None), timeout_s=timeout_s))


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("exit 3", "prog: exit code 3"),
        ("echo one >&2; echo two >&2; exit 1", "prog: exit code 1: two"),
        ("kill -SEGV $$", "prog: killed by SIGSEGV"),
        ("true", "prog: it wrote no report line; it must write to $HAKBENCH_FD"),
        ("echo no >/dev/fd/$HAKBENCH_FD", "prog: its report line is no JSON object: 'no'"),
        ("printf '\\033[31mred\\a' >&2; exit 1", "prog: exit code 1: ?[31mred?"),
    ],
)
def test_each_failure_is_a_problem_of_its_sample(code: str, problem: str) -> None:
    sample = measure("sh", "-c", code)
    assert sample.problem == problem
    assert sample.readings == ()
    assert (sample.arm, sample.index) == ("arm", 3)


def test_a_program_that_hangs_is_stopped() -> None:
    sample = measure("sleep", "10000", timeout_s=0.2)
    assert sample.problem == "prog: stopped after 0.2 s"
    assert sample.exit == Exit(ExitKind.TIMEOUT, signal.SIGKILL)


def test_any_program_needs_no_report() -> None:
    sample = measure("true", is_benchmark=False)
    assert sample.problem == ""
    assert sample.report is None
    assert {reading.name for reading in sample.readings} >= {"wall_ns", "max_rss_bytes"}


JEMALLOC = Path("/usr/lib/x86_64-linux-gnu/libjemalloc.so.2")
needs_jemalloc = pytest.mark.skipif(not JEMALLOC.exists(), reason="jemalloc is not installed")


@needs_jemalloc
def test_allocator_is_preloaded_first_and_the_audit_speaks() -> None:
    argv = (str(native.benchmark("bench_tiny")), "--iters", "100")
    job = Job("arm", 0, Target("b", argv, is_benchmark=True), Allocator("jemalloc", JEMALLOC))
    command = launch.command(job, tools=(native.library("hakstep"),))
    assert command.preload == (JEMALLOC, native.library("hakstep"), native.library("hakaudit"))
    sample = TIMING.measure(job)
    assert sample.problem == ""
    assert sample.audit is not None
    first = json.loads(sample.audit.splitlines()[0])
    assert first["hakaudit"] == 1
    assert Path(first["entry"]["malloc"][0]) == JEMALLOC.resolve()


@needs_jemalloc
def test_a_job_without_the_audit() -> None:
    code = "import os; print([os.environ[k] for k in ('LD_PRELOAD', 'X', 'Y')])"
    target = Target("python", (sys.executable, "-c", code), is_benchmark=False, env={"Y": "2"})
    job = Job(
        "arm", 0, target, Allocator("jemalloc", JEMALLOC, env={"X": "1", "Y": "1"}), audit=False
    )
    seen = run(launch.command(job)).stdout.decode()
    assert seen.strip() == str([str(JEMALLOC), "1", "2"])
    assert TIMING.measure(job).audit is None
