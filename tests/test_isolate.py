"""Experiments over real switches of hakmem; what effects are worth is tested in test_effects.py."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hakprof.cli.main import main

Compile = Callable[..., Path]
SHORT = ["--iters", "500", "--runs", "10"]
WARM = ["--", "--warmup", "100"]


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("HAKPROF_HOME", str(tmp_path))
    return tmp_path


def test_two_switches_by_the_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    document, page, picture = (tmp_path / name for name in ("i.json", "i.md", "i.svg"))
    files = ["--json", str(document), "--markdown", str(page), "--svg", str(picture)]
    switches = ["--switch", "counters", "--switch", "HAKMEM_DECAY_MS=0"]
    assert main(["isolate", "bench_tiny", *switches, *SHORT, *files, *WARM]) == 0
    shown = capsys.readouterr().out
    assert "all 4 combinations of 2 switches, 10 blocks" in shown
    assert "counters x HAKMEM_DECAY_MS=0" in shown
    assert "A/A in the same blocks" in shown
    assert max(map(len, shown.splitlines())) <= 120
    data = json.loads(document.read_text())
    assert data["schema"] == "hakprof.isolate/1"
    assert data["arms"]["hakmem:counters HAKMEM_DECAY_MS=0"] == ["counters", "HAKMEM_DECAY_MS=0"]
    counters, decay, both = data["effects"]
    assert counters["instructions"]["low"] > 1, "every call is counted"
    assert decay["instructions"]["low"] < 0.1, "small blocks never get to the kernel"
    assert both["switches"] == ["counters", "HAKMEM_DECAY_MS=0"]
    assert both["time"]["low"] <= both["time"]["value"] <= both["time"]["high"]
    assert "| A | counters |" in page.read_text()
    assert picture.read_text().startswith("<svg")


def test_a_fraction_says_what_is_mixed(capsys: pytest.CaptureFixture[str]) -> None:
    switches = [word for i in range(3) for word in ("--switch", f"NOTHING_{i}=1")]
    words = ["--iters", "200", "--runs", "2", "--arms", "4", *WARM]
    assert main(["isolate", "bench_tiny", "--base", "glibc", *switches, *words]) == 0
    shown = capsys.readouterr().out
    assert "4 of 8 combinations (resolution 3)" in shown
    assert "NOTHING_0=1 is not told apart from NOTHING_1=1 x NOTHING_2=1" in shown
    assert "too few blocks: --budget" in shown


def test_an_arm_that_is_not_what_it_says_is_left_out(
    capsys: pytest.CaptureFixture[str], compile_c: Compile
) -> None:
    """The library hands every call on to glibc: without its arms, its effect cannot be told."""
    fake = compile_c("libforward.so", "forward.c", "-shared", "-fPIC", "-ldl")
    switches = ["--switch", str(fake), "--switch", "NOTHING=1"]
    code = main(["isolate", "bench_tiny", "--base", "glibc", *switches, *SHORT, *WARM])
    shown = capsys.readouterr().out
    assert code == 4
    assert "libforward.so: glibc" in shown
    assert "excluded" in shown
    assert "libforward.so: the arms that are left cannot tell what it does" in shown
    assert "B  NOTHING=1" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing is switched"),
        (["--switch", "countres"], "did you mean 'counters'"),
        (["--switch", "X=1", "--switch", "X=2"], "contradict"),
        (["--switch", "A=1", "--switch", "B=1", "--switch", "C=1", "--arms", "2"], "--arms"),
        ([word for i in range(9) for word in ("--switch", f"V{i}=1")], "8 at most"),
    ],
)
def test_bad_requests_are_one_line(
    capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["isolate", "bench_tiny", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
