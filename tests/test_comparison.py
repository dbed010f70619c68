"""Comparisons of real runs; how sure their verdicts are is tested in test_compare.py."""

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hakprof import comparison, stat
from hakprof.allocators import find_allocator
from hakprof.benchmarks import find_benchmark
from hakprof.claims import ClaimOutcome
from hakprof.cli.main import main
from hakprof.compare import Judgement, Looks, judge
from hakprof.comparison import Row, doubt, findings, measure
from hakprof.errors import UsageError
from hakprof.ledger import Ledger
from hakprof.model import Allocator, Kind, Proof, Verdict
from hakprof.plan import arm_names
from hakprof.render import comparison as text
from hakprof.render import json_
from hakprof.render.text import side_by_side
from hakprof.stats import Ratio
from hakprof.work import Size, benchmark_work

Compile = Callable[..., Path]
SHORT = ["--", "--warmup", "100"]
TINY = ["bench_tiny", "--iters", "2k", "--runs", "10"]


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("HAKPROF_HOME", str(tmp_path))
    return tmp_path


def peer(name: str) -> str:
    try:
        find_allocator(name)
    except UsageError as error:
        pytest.skip(str(error))
    return name


def request_of(allocators: list[Allocator], runs: int) -> stat.Request:
    benchmark, preset = find_benchmark("bench_tiny")
    work = benchmark_work(benchmark, preset, Size(iters=2000), ["--warmup", "100"], {})
    return stat.Request(("test",), work, tuple(allocators), runs=runs)


def row(judgement: Judgement, speed: Ratio, memory: float = 1.0, count: float = 1.0) -> Row:
    return Row("new", judgement, speed, 20, memory, count)


def test_two_allocators_by_the_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    document, page = tmp_path / "c.json", tmp_path / "c.md"
    names = f"glibc,{peer('mimalloc')}"
    files = ["--json", str(document), "--markdown", str(page)]
    assert main(["compare", *TINY, "--alloc", names, *files, *SHORT]) == 0
    shown = capsys.readouterr().out
    assert "against glibc" in shown
    assert "A/A in the same blocks" in shown
    assert "glibc, mimalloc served the calls" in shown
    assert max(map(len, shown.splitlines())) <= 100
    data = json.loads(document.read_text())
    assert data["schema"] == "hakprof.compare/1"
    assert data["rows"][0]["arm"] == "mimalloc"
    assert data["rows"][0]["blocks"] in {8, 10}
    assert data["rows"][0]["instructions"] == pytest.approx(0.24, abs=0.08)
    assert page.read_text().count("| mimalloc |") == 1


def test_the_most_that_was_mapped_is_a_row(
    capsys: pytest.CaptureFixture[str], until_watched: Callable[..., Path]
) -> None:
    names = f"glibc,{peer('mimalloc')}"
    unseen = until_watched(lambda sight: sight.most_mapped_bytes > 1 << 20)  # libc is there
    program = ["sh", "-c", "while [ -e $0 ]; do :; done", str(unseen)]
    assert main(["compare", "--alloc", names, "--runs", "2", "--", *program]) == 0
    shown = capsys.readouterr().out
    (mapped,) = (line for line in shown.splitlines() if line.startswith("peak mapped"))
    assert mapped.count("MiB") == 2
    assert mapped.endswith("timed")  # an account of the kernel's, no trace
    assert "/proc, looked at every 10.00 ms" in " ".join(shown.split())


def test_an_arm_without_proof_gets_no_verdict(compile_c: Compile) -> None:
    fake = compile_c("libforward.so", "forward.c", "-shared", "-fPIC", "-ldl")
    glibc = find_allocator("glibc")
    outcome = measure(request_of([glibc, find_allocator(str(fake))], 8), lambda _p, _s: None)
    assert outcome.report.rows == ()
    assert "glibc" in outcome.report.excluded["libforward.so"]
    assert outcome.errors[0].exit_code == 4
    assert "no verdict" in text.render(outcome.report)


def test_too_few_blocks_say_how_long_it_takes() -> None:
    glibc = find_allocator("glibc")
    outcome = measure(request_of([glibc, glibc], 2), lambda _p, _s: None)
    rows = outcome.report.rows
    assert [(r.arm, r.judgement, r.speed) for r in rows] == [
        ("glibc #2", Judgement.UNDECIDED, None)
    ]
    assert "too few blocks for any: --runs 6" in text.render(outcome.report)
    short = dataclasses.replace(request_of([glibc, glibc], 2), runs=None, budget_s=0.01)
    report = measure(short, lambda _p, _s: None).report
    assert json.loads(json_.render(report))["needed_s"] > 0
    assert "too few blocks for any: --budget" in text.render(report)


@pytest.mark.parametrize(("blocks", "none"), [(2, True), (9, False)])
def test_a_verdict_is_one_though_the_noise_is_not_known_yet(blocks: int, *, none: bool) -> None:
    rng = np.random.default_rng(1)
    once, again, slow = (at * rng.normal(1, 0.01, blocks) for at in (1, 1, 2))
    looks = Looks((blocks,), 100)
    verdicts = judge("base", again, {"base": once, "slow": slow}, looks)
    assert math.isinf(verdicts.same.speed.high)
    assert comparison._undecided(verdicts) is none  # noqa: SLF001 (a whole run cannot be steered)


def test_a_claim_is_written_down_and_judged(capsys: pytest.CaptureFixture[str]) -> None:
    arms = ["--base", "glibc", "--new", peer("mimalloc")]
    assert main(["ab", *TINY, *arms, "--expect", "-99%", *SHORT]) == 0
    assert "claim 1, -99%: refuted" in capsys.readouterr().out
    entry = Ledger().entries()[0]
    assert entry.outcome is ClaimOutcome.REFUTED
    assert entry.run == 1
    assert main(["ab", "--ledger"]) == 0
    assert "claims: 1 refuted" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["compare", "bench_tiny", "--alloc", "glibc"], "no comparison"),
        (["compare", "bench_tinny"], "did you mean 'bench_tiny'"),
        (["compare", "bench_tiny", "--runs", "99999999999999999999"], "'--runs'"),
        (["ab", "bench_tiny", "--base", "glibc"], "--base and --new"),
        (["ab", "bench_tiny", "--base", "glibc", "--new", "glibc", "--expect", "lots"], "no claim"),
    ],
)
def test_bad_requests_are_one_line(
    capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(words) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (row(Judgement.FASTER, Ratio(1.04, 1.031, 1.042)), "faster by 3.10 .. 4.20 %"),
        (row(Judgement.SLOWER, Ratio(0.9, 0.88, 0.92)), "slower by 8.00 .. 12.0 %"),
        (row(Judgement.NO_DIFFERENCE, Ratio(1, 0.991, 1.004)), "no difference larger than 0.90 %"),
        (row(Judgement.FASTER, Ratio(1.5, 1.5, 1.5)), "faster by 50.0 %"),
        (row(Judgement.FASTER, Ratio(3, 2.5, 4)), "2.50 .. 4.00x as fast"),
    ],
)
def test_verdicts_in_words(line: Row, shown: str) -> None:
    assert text.verdict(line) == shown


def test_speed_and_memory_are_said_together() -> None:
    glibc = find_allocator("glibc")
    comparison = measure(request_of([glibc, glibc], 2), lambda _p, _s: None).report
    base, new = comparison.report.columns
    peak = dataclasses.replace(new.figures["max_rss_bytes"], value=64.0 * (1 << 20))
    large = dataclasses.replace(new, figures={**new.figures, "max_rss_bytes": peak})
    fast = dataclasses.replace(row(Judgement.FASTER, Ratio(1.1, 1.05, 1.15)), arm="glibc #2")
    slow = dataclasses.replace(row(Judgement.SLOWER, Ratio(0.9, 0.85, 0.95)), arm="glibc #2")

    def said(line: Row) -> tuple[str, ...]:
        report = dataclasses.replace(comparison.report, columns=(base, large))
        return findings(dataclasses.replace(comparison, report=report, rows=(line,)))

    assert "faster than glibc and takes" in said(fast)[0]
    assert "64.00 MiB" in said(fast)[0]
    assert said(slow) == ()
    same = row(Judgement.NO_DIFFERENCE, Ratio(1, 0.98, 1.02), count=0.97)
    assert "3.00 % fewer instructions/op" in said(same)[0]


def test_memory_asked_for_stands_beside_the_memory_taken() -> None:
    glibc = find_allocator("glibc")
    work = benchmark_work(*find_benchmark("workloads:large"), Size(iters=200), [], {})
    request = stat.Request(("test",), work, (glibc, glibc), runs=1, warmup=0, backend="timing")
    report = measure(request, lambda _p, _s: None).report.report
    asked = report.columns[0].figures["asked_bytes"]
    assert isinstance(asked.value, float)
    assert asked.value > 1 << 20
    assert asked.kind is Kind.EXACT
    assert "asked_bytes" not in (report.harness or report.columns[0]).values
    assert "peak RSS / asked for" in "\n".join(next(iter(side_by_side(report))))


@pytest.mark.parametrize(
    ("served_by", "words"),
    [
        ("jemalloc", "jemalloc served its calls"),
        ("", "somebody else"),
        ("glibc", "some of the calls"),
    ],
)
def test_an_arm_that_is_somebody_elses_says_whose(served_by: str, words: str) -> None:
    glibc = find_allocator("glibc")
    column = measure(request_of([glibc, glibc], 1), lambda _p, _s: None).report.report.columns[0]
    proof = Proof("glibc", served_by, Verdict.REFUTED)
    assert words in doubt(dataclasses.replace(column, proof=proof))


def test_equal_file_names_become_two_arms() -> None:
    names = ["libx.so", "glibc", "libx.so"]
    assert arm_names([Allocator(name, None) for name in names]) == [
        "libx.so",
        "glibc",
        "libx.so #2",
    ]
