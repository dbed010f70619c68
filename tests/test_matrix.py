import dataclasses
import json
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from hakprof import comparison, matrix
from hakprof.benchmarks import all_benchmarks
from hakprof.cli.main import main
from hakprof.errors import InputError, UsageError
from hakprof.measurement import Tell
from hakprof.model import Allocator, Target
from hakprof.render import matrix as pages
from hakprof.stat import Request
from hakprof.work import Size, Work

ROOT = Path(__file__).resolve().parent.parent
FILE = """
allocators = ["glibc", "hakmem"]
budget = "1s"
[[cell]]
target = "bench_tiny"
threads = [1, 2]
iters = "2k"
args = ["--warmup", "100"]
[[cell]]
program = ["sh", "-c", "exit 0"]
"""


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HAKPROF_HOME", str(tmp_path / "home"))


def write(tmp_path: Path, text: str = FILE) -> Path:
    path = tmp_path / "matrix.toml"
    path.write_text(text)
    return path


def silent(_phase: str, _share: float) -> None:
    pass


def test_a_matrix_runs_resumes_and_renders(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path)
    measured = []
    measure = comparison.measure

    def interrupted(request: Request, tell: Tell) -> comparison.Outcome:
        if len(measured) == 1:
            raise KeyboardInterrupt
        measured.append(request.work.target)
        return measure(request, tell)

    monkeypatch.setattr(comparison, "measure", interrupted)
    assert main(["matrix", str(path)]) == 130
    monkeypatch.setattr(comparison, "measure", measure)
    page, document = tmp_path / "page.html", tmp_path / "m.json"
    assert main(["matrix", str(path), "--html", str(page), "--json", str(document)]) == 0
    shown = capsys.readouterr().out
    assert "bench_tiny --warmup 100, 2 threads" in shown
    base = next(line for line in shown.splitlines() if line.startswith("  glibc"))
    assert base.split()[1] == "base"
    assert len(base.split()) >= 6  # time, instructions and peak RSS with their units
    assert max(map(len, shown.splitlines())) <= 100
    cells = json.loads(document.read_text())["cells"]
    assert [cell["report"]["target"]["threads"] for cell in cells] == [1, 2, 1]
    assert cells[0]["report"]["run"] == 1
    assert_self_contained(page.read_text())
    assert main(["matrix", str(path), "--markdown", str(tmp_path / "m.md")]) == 0
    assert (tmp_path / "m.md").read_text().count("| hakmem |") == 3
    assert page.read_text().count("net of harness") >= 4  # time and instructions of two cells


def assert_self_contained(page: str) -> None:
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "src=" not in page
    assert "<script" not in page
    pictures = page.split("<svg")[1:]
    assert len(pictures) >= 1 + 3
    for picture in pictures:
        ET.fromstring("<svg" + picture.partition("</svg>")[0] + "</svg>")  # noqa: S314 (ours)


def test_a_finished_cell_is_not_run_again_until_something_changes(tmp_path: Path) -> None:
    loaded = matrix.load(write(tmp_path, FILE.partition("[[cell]]\nprogram")[0]))
    run = matrix.Run(loaded, tmp_path / "results", ("test",))
    assert len(list(run.measure(silent))) == 2
    assert list(run.measure(silent)) == []
    cells = [dataclasses.replace(cell, needed_s=9.0) for cell in run.report().cells]
    shown = pages.render(matrix.MatrixReport(matrix.SCHEMA, tuple(cells)))
    assert "too few blocks in 2 of the comparisons: a budget of 9s" in shown
    longer = FILE.partition("[[cell]]\nprogram")[0].replace("2k", "3k")
    other = matrix.Run(matrix.load(write(tmp_path, longer)), tmp_path / "results", ("test",))
    assert other.finished() == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("allocators = [", "matrix.toml"),
        ('allocators = ["glibc"]\n[[cell]]\ntarget = "larson"', "two allocators"),
        ('allocators = ["glibc", "hakmem"]\ncell = []', r"one \[\[cell\]\]"),
        ('allocators = ["glibc", "hakmem"]\n[[cell]]', "a target or a program"),
        ('allocators = ["glibc", "hakmem"]\n[[cell]]\ntarget = 3', r"cell\[0\].target"),
    ],
)
def test_a_broken_file_is_explained(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        matrix.load(write(tmp_path, text))


def test_a_cell_may_have_a_base_of_its_own(tmp_path: Path) -> None:
    text = FILE + 'allocators = ["hakmem", "null", "glibc"]\n'
    first, *_, last = matrix.load(write(tmp_path, text)).cells
    assert [allocator.name for allocator in first.allocators] == ["glibc", "hakmem"]
    assert [allocator.name for allocator in last.allocators] == ["hakmem", "null", "glibc"]


def without_looking(words: tuple[str, ...], _size: Size, _env: Mapping[str, str]) -> Work:
    """A program's work on a machine that may not have it."""
    return Work(Target(words[0], words, is_benchmark=False))


@pytest.mark.parametrize("name", ["allocators", "programs"])
def test_the_matrices_that_come_with_it_name_what_exists(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(matrix, "find_allocator", lambda name: Allocator(name, None))
    monkeypatch.setattr(matrix, "program_work", without_looking)
    cells = matrix.load(ROOT / "benchmarks" / f"{name}.toml").cells
    names = [cell.name for cell in cells]
    assert len(set(names)) == len(names)
    covered = {cell.work.target.name.partition(":")[0] for cell in cells}
    assert name == "programs" or covered >= set(all_benchmarks())


def test_an_arm_that_crashes_leaves_the_others_whole_and_is_remembered(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, compile_c: Callable[..., Path]
) -> None:
    crashes = compile_c("libcrashes.so", "crashes.c", "-shared", "-fPIC")
    text = FILE.partition("[[cell]]\nprogram")[0].replace('"hakmem"]', f'"hakmem", "{crashes}"]')
    path, document = write(tmp_path, text), tmp_path / "m.json"
    for _ in range(2):  # the second time from what was kept
        assert main(["matrix", str(path), "--json", str(document)]) == 3
        shown = " ".join(capsys.readouterr().out.split())
        assert "libcrashes.so: bench_tiny --warmup 100: killed by SIGABRT" in shown
        for cell in json.loads(document.read_text())["cells"]:
            assert [row["arm"] for row in cell["rows"]] == ["hakmem"]
            assert list(cell["excluded"]) == ["libcrashes.so"]


def test_an_unknown_benchmark_is_found_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="larsen"):
        matrix.load(write(tmp_path, FILE.replace('"bench_tiny"', '"larsen"')))


def test_a_broken_result_names_its_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = write(tmp_path)
    run = matrix.Run(matrix.load(path), tmp_path / "matrix.toml.results", ("test",))
    run.document(run.matrix.cells[0]).write_text("{")
    assert main(["matrix", str(path)]) == 7
    assert "remove the file" in capsys.readouterr().err


def test_nothing_finished_is_a_page_too() -> None:
    empty = matrix.MatrixReport(matrix.SCHEMA, ())
    assert "no comparison is finished" in pages.html(empty)
    assert pages.render(empty) == "no comparison is finished\n"
