"""`hakprof gap`: why one allocator is slower than another, stage by stage."""

import sys
from dataclasses import replace
from typing import Annotated

import typer

from hakprof import comparison, stat
from hakprof import gap as workflow
from hakprof.benchmarks import find_benchmark
from hakprof.cli import options
from hakprof.cli.progress import progress
from hakprof.cli.shared import ProgramCommand, application, finish, show
from hakprof.hotspots.record import STRETCH
from hakprof.profiles import find_allocator
from hakprof.render import gap as text
from hakprof.render import json_
from hakprof.units import parse_seconds
from hakprof.work import Size, benchmark_work

app = application()


@app.command(cls=ProgramCommand)
def gap(
    *,
    ctx: typer.Context,
    a: Annotated[str, typer.Argument(metavar="A", help="Allocator: name or path.")],
    b: Annotated[str, typer.Argument(metavar="B", help="What it is held against.")],
    target: Annotated[str, typer.Argument(help="Benchmark, or BENCHMARK:PRESET.")],
    budget: options.Budget = "20s",
    threads: options.Threads = None,
    iters: options.Iters = None,
    pin: options.Pin = None,
    json: options.Json = None,
) -> None:
    """Share the time between A and B out: instructions x cost per instruction, by stage.

    The rest that no stage explains is shown too. Findings are ranked, each with its evidence and
    the command that shows more.
    """
    benchmark, preset = find_benchmark(target)
    size = Size(threads, iters)
    words = ctx.obj or []
    work = benchmark_work(benchmark, preset, size, words, {}, parts=comparison.PARTS)
    long = replace(size, iters=STRETCH * (size.iters or benchmark.iters_timed))
    request = workflow.Request(
        comparison=stat.Request(
            command=("hakprof", "gap", *sys.argv[2:]),
            work=work,
            allocators=(find_allocator(a), find_allocator(b)),
            budget_s=parse_seconds(budget),
            cpus=pin,
        ),
        sampled=benchmark_work(benchmark, preset, long, words, {}).target,
    )
    with progress() as tell:
        outcome = workflow.measure(request, tell)
    show(text.render(outcome.report))
    finish(outcome.errors, [(json, lambda: json_.render(outcome.report))])
