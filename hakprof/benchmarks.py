"""The benchmarks: what each is called, how it is started, and how long it runs.

`data/benchmarks/NAME.toml` describes one; `NAME:PRESET` is the same with more arguments.
"""

import difflib
import functools
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hakprof import native, records
from hakprof.errors import InputError, UsageError
from hakprof.model import Target

FOLDER = Path(__file__).resolve().parent / "data" / "benchmarks"


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One benchmark as its file describes it."""

    name: str
    program: str
    description: str
    iteration: str  # what one of `iters` is, in words
    argv: tuple[str, ...]  # with {iters}, {threads} and {warmup} to fill in
    iters_timed: int
    iters_counted: tuple[int, ...]  # lengths for counting: the slope cancels start-up
    warmup_timed: int
    warmup_counted: int
    threads_default: int
    multithreaded: bool
    runs_a_block: int = 1  # so many times shorter, one thread's cost per op is the same
    presets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def target(
        self,
        *,
        preset: str = "",
        iters: int | None = None,
        counted: bool = False,
        threads: int | None = None,
        args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> Target:
        """What to start. `counted` takes the short warm-up and length of counting runs.

        A run shorter than the file's warms up for no longer than it then works.
        UsageError if the benchmark has no such preset or runs one thread only.
        """
        if preset and preset not in self.presets:
            raise UsageError(
                f"benchmark {self.name} has no preset {preset!r}",
                advice=f"it has: {', '.join(self.presets) or 'none'}",
            )
        threads = threads or self.threads_default
        if threads > 1 and not self.multithreaded:
            raise UsageError(f"benchmark {self.name} runs one thread only", advice="--threads 1")
        length = iters or (self.iters_counted[0] if counted else self.iters_timed)
        filled = {
            "iters": length,
            "threads": threads,
            "warmup": min(length, self.warmup_counted if counted else self.warmup_timed),
        }
        words = [word.format_map(filled) for word in self.argv]
        words += [*self.presets.get(preset, ()), *args]
        return Target(
            name=f"{self.name}:{preset}" if preset else self.name,
            argv=(str(native.benchmark(self.program)), *words),
            is_benchmark=True,
            harness_argv=(str(native.benchmark(f"{self.program}-null")), *words),
            threads=threads,
            env=env or {},
        )


@functools.cache
def all_benchmarks() -> Mapping[str, Benchmark]:
    """Every benchmark by name, in the order of the names. InputError if a file is broken."""
    found = [load(path) for path in sorted(FOLDER.glob("*.toml"))]
    return {benchmark.name: benchmark for benchmark in found}


def load(path: Path) -> Benchmark:
    """The benchmark that a file describes. InputError naming the file and the place."""
    try:
        return records.from_json(Benchmark, tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, InputError) as error:
        raise InputError(f"{path}: {error}") from error


def find_benchmark(name: str, *, or_program: bool = False) -> tuple[Benchmark, str]:
    """(benchmark, preset) of `NAME` or `NAME:PRESET`. UsageError with the nearest name.

    `or_program`: the caller takes programs in the same place, and there is none of that name.
    """
    base, _, preset = name.partition(":")
    known = all_benchmarks()
    if base in known:
        return known[base], preset
    near = difflib.get_close_matches(base, known, n=1, cutoff=0.5)
    raise UsageError(
        f"no benchmark {'or program ' if or_program else ''}{base!r}",
        advice=(f"did you mean {near[0]!r}? " if near else "")
        + "hakprof list shows the benchmarks"
        + ("" if or_program else "; a program of your own goes behind --"),
    )
