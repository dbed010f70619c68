"""`hakprof sweep`: throughput, cost and memory over thread counts, sizes or working sets."""

import sys
from typing import Annotated

import typer

from hakprof import sweep as workflow
from hakprof.benchmarks import find_benchmark
from hakprof.cli import options
from hakprof.cli.pictures import Png, Svg, pictures
from hakprof.cli.progress import progress
from hakprof.cli.shared import (
    ProgramCommand,
    application,
    finish,
    parse_env,
    show,
    split_list,
)
from hakprof.errors import UsageError
from hakprof.profiles import find_allocator
from hakprof.render import json_
from hakprof.render import sweep as text
from hakprof.units import parse_count, parse_seconds

app = application()

MOST_THREADS = 256


@app.command(cls=ProgramCommand)
def sweep(
    *,
    ctx: typer.Context,
    target: Annotated[str, typer.Argument(help="Benchmark, or BENCHMARK:PRESET.")],
    threads: Annotated[
        str,
        typer.Option(
            metavar="N,N", help="Thread counts to go through, e.g. 1,2,4,8,16; or one for all."
        ),
    ] = "",
    vary: Annotated[
        str,
        typer.Option(
            metavar="OPTION=N,N",
            help="Option of the benchmark to go through: ws=400,8k; min,max=16,64.",
        ),
    ] = "",
    alloc: Annotated[
        list[str] | None,
        typer.Option(metavar="A,B", help="Allocators: names or paths. [hakmem,glibc]"),
    ] = None,
    budget: options.Budget = "120s",
    runs: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=1000, help="Runs of each point. [as many as fit]"),
    ] = None,
    iters: Annotated[
        int | None, typer.Option(metavar="N", parser=parse_count, help="Length of a run, e.g. 4M.")
    ] = None,
    pin: options.Pin = None,
    env: options.Env = None,
    timeout: options.Timeout = "10min",
    svg_file: Svg = None,
    png_file: Png = None,
    json: options.Json = None,
) -> None:
    """Vary one thing and see where throughput ends, and what holds it back.

    Over thread counts the scaling law is fitted: contention (a lock) against coherence (threads
    that exchange data). Give thread counts beyond the number of cores too.
    """
    benchmark, preset = find_benchmark(target)
    counts = _numbers(threads, "--threads")
    axis = _axis(vary, counts)
    request = workflow.Request(
        command=("hakprof", "sweep", *sys.argv[2:]),
        benchmark=benchmark,
        preset=preset,
        axis=axis,
        allocators=tuple(
            find_allocator(name) for name in split_list("--alloc", alloc) or ["hakmem", "glibc"]
        ),
        threads=counts[0] if counts and vary else None,
        iters=iters,
        args=tuple(ctx.obj or ()),
        env=parse_env(env),
        runs=runs,
        budget_s=parse_seconds(budget),
        timeout_s=parse_seconds(timeout),
        cpus=pin,
    )
    with progress() as tell:
        outcome = workflow.measure(request, tell)
    show(text.render(outcome.report))
    finish(
        outcome.errors,
        [
            (json, lambda: json_.render(outcome.report)),
            *pictures(
                lambda: [text.chart_of(outcome.report)], svg_file=svg_file, png_file=png_file
            ),
        ],
    )


def _axis(vary: str, threads: tuple[int, ...]) -> workflow.Axis:
    """What is varied: what --vary names, else the thread counts."""
    if vary:
        names, sign, values = vary.partition("=")
        if len(threads) > 1:
            raise UsageError("--threads and --vary both vary", advice="give --threads one count")
        if not sign or not names.replace(",", "").isalnum():
            raise UsageError(
                f"--vary {vary!r} varies nothing", advice="write --vary ws=400,8k,100k"
            )
        return workflow.Axis(tuple(names.split(",")), _numbers(values, f"--vary {names}"))
    if len(threads) < 2:  # noqa: PLR2004 (one point is no curve)
        raise UsageError(
            "nothing is varied", advice="write --threads 1,2,4,8,16 or --vary ws=400,8k,100k"
        )
    if max(threads) > MOST_THREADS:
        raise UsageError(f"--threads {max(threads)} is too many", advice=f"{MOST_THREADS} at most")
    return workflow.Axis((workflow.THREADS,), threads)


def _numbers(text: str, option: str) -> tuple[int, ...]:
    """`1,2,8k` in rising order, each once. UsageError where one is no count."""
    try:
        return tuple(sorted({parse_count(word) for word in text.split(",") if word}))
    except UsageError as error:
        raise UsageError(f"{option}: {error.message}", advice=error.advice) from error
