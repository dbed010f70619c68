"""The pages of docs/experiments: made by real commands, judged by intervals, never by hand."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs" / "experiments"
EXPERIMENT = """
title = "A page"
about = "What is asked."
[runs]
tiny = "compare bench_tiny --alloc glibc,hakmem --iters 500 --runs 8 -- --warmup 100"
switches = "isolate bench_tiny --switch counters --iters 500 --runs 9 -- --warmup 100"
[[claims]]
text = "every call is counted"
run = "switches"
arm = "counters"
figure = "effect_instructions"
low = 1
high = 30
[[claims]]
text = "hakmem takes under 30 instructions"
run = "tiny"
arm = "hakmem"
figure = "instructions_per_op"
low = 1
high = 30
[[claims]]
text = "an allocation and its free take glibc over 1000 instructions more"
run = "tiny"
arm = "glibc"
minus = "hakmem"
figure = "instructions_per_op"
times = 2
low = 1000
[[claims]]
text = "glibc takes three to eight times the instructions"
run = "tiny"
arm = "glibc"
over = "hakmem"
figure = "instructions_per_op"
low = 3
high = 12
[[claims]]
text = "hakmem is faster or slower"
run = "tiny"
arm = "hakmem"
figure = "speed"
[[claims]]
text = "glibc misses its caches"
run = "tiny"
arm = "glibc"
figure = "no_such_metric"
"""


@pytest.fixture
def reproduce(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("reproduce", ROOT / "scripts" / "reproduce.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "reproduce", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "FOLDER", tmp_path)
    monkeypatch.setenv("HAKPROF_HOME", str(tmp_path / "home"))
    return module


def test_a_page_carries_machine_proof_and_verdicts(reproduce: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(EXPERIMENT)
    assert reproduce.main(["mine"]) == 0
    page = (tmp_path / "mine.md").read_text()
    assert re.search(r"^Machine: .+, \d+ CPUs", page, re.MULTILINE)
    assert "glibc, hakmem served the calls" in page
    assert "hakprof compare bench_tiny" in page
    claims = page[page.index("## Claims") :].splitlines()[4:]
    verdicts = [re.search(r"\*\*(.+)\*\*", line)[1] for line in claims]  # type: ignore[index]
    assert verdicts == [
        "confirmed",
        "confirmed",
        "refuted",
        "confirmed",
        "confirmed",
        "cannot tell here",
    ]


def test_a_command_that_fails_leaves_the_old_page(
    reproduce: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.toml").write_text(EXPERIMENT.replace("glibc,hakmem", "glibc,hakmem:nosuch"))
    (tmp_path / "mine.md").write_text("old")
    assert reproduce.main([]) == 1
    assert (tmp_path / "mine.md").read_text() == "old"
    assert "mine: no page" in capsys.readouterr().err


def test_unknown_names_and_broken_files_are_said(
    reproduce: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.toml").write_text("title = 1")
    assert reproduce.main(["brokn"]) == 2
    assert "there are broken" in capsys.readouterr().err
    assert reproduce.main(["broken"]) == 1
    assert "broken.toml" in capsys.readouterr().err


@pytest.mark.parametrize("path", sorted(PAGES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_experiment_is_whole(reproduce: ModuleType, path: Path) -> None:
    experiment = reproduce.load(path)
    assert experiment.claims
    for claim in experiment.claims:
        assert claim.run in experiment.runs
        arms = experiment.runs[claim.run]
        named = set(re.findall(r"[\w=]+", claim.arm)) - {"hakmem", "x"}
        assert all(name in arms for name in named)
        assert claim.low < claim.high


@pytest.mark.parametrize("path", sorted(PAGES.glob("*.md")), ids=lambda path: path.stem)
def test_every_page_is_what_its_experiment_makes(reproduce: ModuleType, path: Path) -> None:
    experiment = reproduce.load(path.with_suffix(".toml"))
    page = path.read_text()
    assert all(f"## `hakprof {command}`" in page for command in experiment.runs.values())
    for claim in experiment.claims:
        row = next(line for line in page.splitlines() if line.startswith(f"| {claim.text} |"))
        assert re.search(r"\*\*(confirmed|refuted|cannot tell here)\*\* \|$", row)
