"""What is run: a target as it is timed, and the same work at any length as it is counted."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from hakprof.benchmarks import Benchmark
from hakprof.errors import UsageError
from hakprof.model import Target
from hakprof.process import require_program

MAX_LENGTHS = 6
"""Counting doubles the ops at most so often; by then every benchmark here is steady."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large a benchmark is run; None is what its description says."""

    threads: int | None = None
    iters: int | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """What is run: as it is timed, and of any length as it is counted."""

    target: Target
    iters: int = 0  # of the timed target; 0 for a program, which has one length
    first_counted: int = 0  # iterations of the shortest counted run
    counted: Callable[[int], Target] | None = None
    runs_a_block: int = 1  # of a comparison: short ones, whose median is what an arm costs

    def lengths(self, first_ops: int, ops_per_iter: float) -> tuple[Target, ...]:
        """Targets for counting, each twice as long as the one before.

        They start with the benchmark's own length, or with `first_ops` ops for a backend that is
        too slow for that.
        """
        if self.counted is None:
            return (self.target,)
        first = min(self.first_counted, math.ceil(first_ops / ops_per_iter))
        return tuple(self.counted(first << i) for i in range(MAX_LENGTHS))


def benchmark_work(
    benchmark: Benchmark,
    preset: str,
    size: Size,
    args: Sequence[str],
    env: Mapping[str, str],
    *,
    parts: int = 1,
) -> Work:
    """A benchmark at the size asked for, or a part of its own. UsageError if it cannot be that."""
    alone = (size.threads or benchmark.threads_default) == 1
    runs_a_block = benchmark.runs_a_block if parts > 1 and alone and not size.iters else 1
    parts *= runs_a_block
    iters = size.iters or benchmark.iters_timed // parts
    warmup = ["--warmup", str(min(iters, benchmark.warmup_timed // parts))] if parts > 1 else []

    def target(iters: int, *, counted: bool = True) -> Target:
        words = [*args] if counted else [*warmup, *args]
        found = benchmark.target(
            preset=preset, iters=iters, counted=counted, threads=size.threads, args=words, env=env
        )
        return replace(found, name=" ".join([found.name, *args]))

    first = min(benchmark.iters_counted[0], iters)
    return Work(target(iters, counted=False), iters, first, target, runs_a_block)


def program_work(words: Sequence[str], size: Size, env: Mapping[str, str]) -> Work:
    """Any program: it has one length. TargetError if there is no such program."""
    if size != Size():
        raise UsageError(
            "--threads and --iters are for benchmarks",
            advice="a program of your own takes its size behind --, as it understands it",
        )
    path = require_program(words[0])
    argv = (str(path), *words[1:])
    target = Target(name=path.name, argv=argv, is_benchmark=False, env=env)
    return Work(target)
