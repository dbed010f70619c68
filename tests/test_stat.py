"""The workflow on programs and backends that do not do what they should."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hakprof import backends, stat
from hakprof.allocators import find_allocator
from hakprof.backends.callgrind import Callgrind
from hakprof.errors import TargetError
from hakprof.model import (
    Absence,
    Absent,
    Availability,
    Exit,
    ExitKind,
    Figure,
    Job,
    Kind,
    OpReport,
    Reading,
    Sample,
    Target,
)
from hakprof.stat import Outcome, Request
from hakprof.work import Work

Compile = Callable[..., Path]
AVX512 = Absent(Absence.UNAVAILABLE, "AVX-512")


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAKPROF_HOME", str(tmp_path / "home"))


def measure(work: Work) -> Outcome:
    request = Request(
        command=("hakprof", "stat"),
        work=work,
        allocators=(find_allocator("glibc"),),
        runs=3,
        warmup=0,
    )
    return stat.measure(request, lambda _phase, _share: None)


def work_of(program: Path, iters: int = 10_000) -> Work:
    def target(count: int) -> Target:
        return Target(program.name, (str(program), str(count)), is_benchmark=True)

    return Work(target(iters), iters=iters, first_counted=1000, counted=target)


class Answering:
    """A backend whose counts are given: at length 1000, 2000, 4000, ... ops."""

    kind = Kind.EXACT
    needs_roi = False
    first_ops = 1000

    def __init__(self, name: str, *answers: float | Absent) -> None:
        self.name = name
        self.answers = answers

    def probe(self) -> Availability:
        return Availability(usable=True, label=self.name)

    def measure(self, job: Job) -> Sample:
        value = self.answers[job.index]
        reading = Reading("instructions", value, "instructions", self.kind, self.name)
        ops = 1000 << job.index
        report = OpReport("b", 1, ops, ops // 2, ops // 2, ops, 10, 10)
        ended = Exit(ExitKind.CODE, 0)
        return Sample(job.arm, job.index, self.name, ended, (reading,), report)


def counted_by(
    monkeypatch: pytest.MonkeyPatch, compile_c: Compile, *ladder: Answering
) -> tuple[Figure, Outcome]:
    """Instructions of a benchmark that makes 2000 calls, where only these backends work."""
    perf = backends.COUNTING[0]
    monkeypatch.setattr(backends, "COUNTING", (perf, *ladder))
    outcome = measure(work_of(compile_c("honest", "liar.c", "-DTIMES=1")))
    return outcome.report.columns[0].figures["instructions_per_op"], outcome


def test_the_next_backend_counts_where_the_best_cannot(
    monkeypatch: pytest.MonkeyPatch, compile_c: Compile
) -> None:
    first = Answering("first", AVX512)
    second = Answering("second", 60_000, 110_000, 210_000)
    figure, _ = counted_by(monkeypatch, compile_c, first, second)
    assert (figure.value, figure.source, figure.kind) == (50, "second", Kind.EXACT)


def test_where_nothing_counts_every_reason_is_said(
    monkeypatch: pytest.MonkeyPatch, compile_c: Compile
) -> None:
    figure, outcome = counted_by(monkeypatch, compile_c, Answering("only", AVX512))
    assert figure.value == AVX512
    gap = next(g for g in outcome.report.gaps if "instructions_per_op" in g.metrics)
    assert gap.why.why == "AVX-512"
    assert outcome.errors == ()


def test_an_impossible_ipc_is_an_error_and_no_figure(
    monkeypatch: pytest.MonkeyPatch, compile_c: Compile
) -> None:
    wild = Answering("wild", 6e9, 11e9, 21e9)
    figure, outcome = counted_by(monkeypatch, compile_c, wild)
    assert figure.value == 5e6
    assert "more than any machine retires" in str(outcome.errors[0])
    shown = outcome.report.columns[0].figures
    assert isinstance(shown["ipc"].value, Absent)
    assert isinstance(shown["cycles_per_op"].value, Absent)


@pytest.mark.skipif(not shutil.which("valgrind"), reason="valgrind is missing")
@pytest.mark.parametrize(("times", "caught"), [(1, False), (10, True)])
def test_a_benchmark_that_claims_more_calls_than_it_makes_is_caught(
    monkeypatch: pytest.MonkeyPatch, compile_c: Compile, times: int, *, caught: bool
) -> None:
    monkeypatch.setattr(backends, "COUNTING", (backends.COUNTING[0], Callgrind()))
    outcome = measure(work_of(compile_c(f"claims-{times}", "liar.c", f"-DTIMES={times}")))
    said = "".join(map(str, outcome.errors))
    assert ("claims 20,000 ops, but makes 2,0" in said) is caught
    assert all(isinstance(error, TargetError) for error in outcome.errors)
