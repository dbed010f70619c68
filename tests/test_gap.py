import json
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from hakprof.cli.main import main
from hakprof.gap import GapReport, Side, StageCost, findings
from hakprof.hotspots import record
from hakprof.hotspots.stages import PROGRAM
from hakprof.render import gap as text

if TYPE_CHECKING:
    from hakprof.comparison import ComparisonReport

SAMPLERS = [r for r in record.RECORDERS if r.kind == "sampled"]


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HAKPROF_HOME", str(tmp_path))


@pytest.mark.slow
@pytest.mark.skipif(
    not any(recorder.probe().usable for recorder in SAMPLERS), reason="nothing can sample here"
)
def test_the_stages_of_both_add_up_to_the_gap(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    document = tmp_path / "gap.json"
    options = ["--iters", "4k", "--budget", "1s", "--json", str(document)]
    words = ["gap", "glibc", "hakmem", "bench_tiny", *options, "--", "--warmup", "100"]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 100
    assert "_int_free" in shown
    assert "hakprof annotate" in shown
    data = json.loads(document.read_text())
    for side in (data["a"], data["b"]):
        assert sum(cost["ns"] for cost in side["stages"]) == pytest.approx(side["ns"])
    by_stage = {cost["stage"]: cost for cost in data["a"]["stages"]}
    free = by_stage["glibc: arena: free, coalesce"]
    if data["a"]["exact"]:
        assert free["instructions"] > 20
    assert free["ns"] > 0.1


def test_a_program_has_no_stages_per_op(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gap", "glibc", "hakmem", "no_such_benchmark"]) == 2
    assert "no benchmark" in capsys.readouterr().err


def test_cost_of_an_instruction() -> None:
    cost = StageCost("glibc: tcache", 10.0, 2.0, 0.1, "malloc")
    assert cost.ns_per_instruction == pytest.approx(0.2)
    unknown = StageCost("glibc: tcache", None, 2.0, 0.1, "malloc")
    assert unknown.ns_per_instruction is None
    side = Side("glibc", 1, 5.0, "perf", "", (cost, unknown))
    assert side.instructions == pytest.approx(10)


def side(arm: str, **ns: float) -> Side:
    names = {"own": f"{arm}: pop", "kernel": "kernel", "program": PROGRAM}
    costs = (StageCost(names[k], 2.0, v, 0.01, k) for k, v in ns.items())
    return Side(arm, 1, sum(ns.values()), "perf", "callgrind", tuple(costs))


def test_what_both_have_counts_by_its_difference() -> None:
    a, b = side("a", own=2.0, kernel=3.0, program=5.0), side("b", own=1.0, kernel=0.5, program=4.0)
    report = GapReport("", cast("ComparisonReport", None), a, b)
    assert report.shared == ("kernel",)
    assert report.total_ns == pytest.approx(4.5)
    first, second = findings(report)
    assert first.startswith("kernel takes 3.00 ns/op")
    assert second.startswith("a: pop takes 2.00 ns/op")
    reversed_ = findings(GapReport("", cast("ComparisonReport", None), b, a))
    assert reversed_[0].startswith("kernel takes 3.00 ns/op")


def test_the_printed_rows_add_up() -> None:
    a, b = side("a", own=2.0, kernel=3.0, program=5.0), side("b", own=1.0, kernel=0.5, program=4.0)
    report = GapReport("", cast("ComparisonReport", None), a, b)
    rows = [*text._side(a, 1, report), *text._side(b, -1, report), *text._rest(report)]  # noqa: SLF001 (the rows as printed)
    *parts, total = rows
    assert sum(float(row[3]) for row in parts if not row[0].endswith("in all")) == pytest.approx(
        float(total[3])
    )
    assert [row[0] for row in parts if "both" in row[0]] == ["  both: kernel"]
