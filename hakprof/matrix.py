"""The workflow of `hakprof matrix`: many comparisons from one TOML file, resumed where it stopped.

    allocators = ["glibc", "mimalloc", "hakmem"]    # the first is the base
    budget = "20s"                                  # longest time of each comparison

    [[cell]]
    target = "larson"                               # BENCHMARK or BENCHMARK:PRESET
    threads = [1, 2, 4]                             # one comparison each; left out: the default
    iters = "1M"                                    # left out: about 0.1 s
    args = ["--chunks", "1000"]                     # further words for the benchmark

    [[cell]]
    program = ["sqlite3", ":memory:", "..."]        # any program
    allocators = ["jemalloc", "hakmem"]             # others than those above

Each comparison that is finished is a JSON document in the results folder. A second start reads
those that fit the file, the allocators' builds and this version, and runs the others.
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from hakprof import comparison, records, stat
from hakprof.benchmarks import find_benchmark
from hakprof.comparison import ComparisonReport
from hakprof.errors import HakprofError, InputError, StoreError, reason
from hakprof.measurement import Tell
from hakprof.model import Allocator
from hakprof.profiles import find_allocator
from hakprof.units import parse_count, parse_seconds
from hakprof.work import Size, Work, benchmark_work, program_work

SCHEMA = "hakprof.matrix/1"


@dataclass(frozen=True, slots=True)
class CellSpec:
    """One [[cell]] of the file."""

    target: str = ""
    program: tuple[str, ...] = ()
    threads: tuple[int, ...] = ()
    iters: str = ""
    args: tuple[str, ...] = ()
    allocators: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MatrixSpec:
    """The file as it is written."""

    allocators: tuple[str, ...]
    cell: tuple[CellSpec, ...]
    budget: str = "20s"


@dataclass(frozen=True, slots=True)
class Cell:
    """One comparison: what is run on what, and the name of its document."""

    name: str
    work: Work
    allocators: tuple[Allocator, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """The file, checked and resolved."""

    cells: tuple[Cell, ...]
    budget_s: float


@dataclass(frozen=True, slots=True)
class MatrixReport:
    """All comparisons that are finished, in the order of the file."""

    schema: str
    cells: tuple[ComparisonReport, ...]


def load(path: Path) -> Matrix:
    """Read the file and look that everything it names is there. Raises HakprofError."""
    try:
        spec = records.from_json(MatrixSpec, tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, InputError) as error:
        raise InputError(
            f"{path}: {reason(error)}", advice="hakprof matrix --help shows the form"
        ) from error
    if not spec.cell:
        raise InputError(f"{path}: needs one [[cell]] at least")
    cells = tuple(cell for one in spec.cell for cell in _cells(one, spec.allocators, path))
    return Matrix(cells, parse_seconds(spec.budget))


def _cells(spec: CellSpec, default: tuple[str, ...], path: Path) -> Iterator[Cell]:
    """One cell a thread count."""
    allocators = tuple(find_allocator(name) for name in spec.allocators or default)
    if len(allocators) < 2:  # noqa: PLR2004 (one alone is no comparison)
        raise InputError(f"{path}: needs two allocators to compare")
    if bool(spec.target) == bool(spec.program):
        raise InputError(f"{path}: each [[cell]] needs a target or a program, and not both")
    if spec.program:
        work = program_work(spec.program, Size(), {})
        yield Cell(" ".join(spec.program), work, allocators)
        return
    benchmark, preset = find_benchmark(spec.target)
    iters = parse_count(spec.iters) if spec.iters else None
    for threads in spec.threads or (None,):
        size = Size(threads, iters)
        work = benchmark_work(benchmark, preset, size, spec.args, {}, parts=comparison.PARTS)
        name = " ".join((spec.target, *spec.args, f"{work.target.threads}t"))
        yield Cell(name, work, allocators)


class Run:
    """A matrix and its results folder: what is finished, and what there is left to do."""

    def __init__(self, matrix: Matrix, folder: Path, command: tuple[str, ...]) -> None:
        self.matrix = matrix
        self.folder = folder
        self.errors: list[HakprofError] = []
        self._command = command
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot write {folder}: {error.strerror}") from error

    def finished(self) -> Mapping[str, ComparisonReport]:
        """The comparisons whose documents are there and fit, by the names of their cells."""
        found = {cell.name: self._read(cell) for cell in self.matrix.cells}
        return {name: report for name, report in found.items() if report}

    def measure(self, tell: Tell) -> Iterator[ComparisonReport]:
        """Run each cell that is not finished and keep it. An interrupted one ends the matrix."""
        done = self.finished()
        for number, cell in enumerate(self.matrix.cells, 1):
            if cell.name in done:
                self.errors += stat.errors_of(done[cell.name].report)
                continue
            request = stat.Request(
                command=self._command,
                work=cell.work,
                allocators=cell.allocators,
                budget_s=self.matrix.budget_s,
            )
            head = f"{number}/{len(self.matrix.cells)} {cell.name}"
            outcome = comparison.measure(request, _headed(tell, head))
            self.errors += outcome.errors
            if outcome.report.report.interrupted:
                return
            self._write(cell, outcome.report)
            yield outcome.report

    def report(self) -> MatrixReport:
        """Everything that is finished, in the order of the file."""
        done = self.finished()
        cells = [done[cell.name] for cell in self.matrix.cells if cell.name in done]
        return MatrixReport(SCHEMA, tuple(cells))

    def document(self, cell: Cell) -> Path:
        """Where the comparison of a cell is kept; the name depends on all that it rests on."""
        slug = re.sub(r"[^A-Za-z0-9]+", "-", cell.name).strip("-")[:60]
        target = replace(cell.work.target, argv=cell.work.target.argv[1:], harness_argv=())
        builds = [(allocator.name, allocator.build_id) for allocator in cell.allocators]
        rests_on = (cell.name, records.to_json(target), builds, self.matrix.budget_s)
        text = json.dumps([*rests_on, version("hakprof")])
        return self.folder / f"{slug}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.json"

    def _read(self, cell: Cell) -> ComparisonReport | None:
        try:
            data = json.loads(self.document(cell).read_text(encoding="utf-8"))
            return records.from_json(ComparisonReport, data)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, InputError, RecursionError) as error:
            raise StoreError(
                f"{self.document(cell)}: {error}", advice="remove the file to run that cell again"
            ) from error

    def _write(self, cell: Cell, report: ComparisonReport) -> None:
        """The whole document or none: an interruption leaves no half."""
        path = self.document(cell)
        part = path.with_suffix(".part")
        try:
            part.write_text(json.dumps(records.to_json(report)), encoding="utf-8")
            part.replace(path)
        except OSError as error:
            raise StoreError(f"cannot write {path}: {error.strerror}") from error


def _headed(tell: Tell, head: str) -> Tell:
    """Tells which cell it is about, too."""
    return lambda phase, share: tell(f"{head}: {phase}", share)
