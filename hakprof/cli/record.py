"""`hakprof record`: samples and exact counts of one target, kept in the run store."""

import sys
from dataclasses import replace
from typing import Annotated

import typer

from hakprof.allocators import find_allocator
from hakprof.cli import options
from hakprof.cli.progress import progress
from hakprof.cli.shared import (
    ProgramCommand,
    application,
    choose_target,
    parse_env,
    show,
    split_list,
)
from hakprof.hotspots import record as workflow
from hakprof.hotspots.recording import sources
from hakprof.render import hotspots as text
from hakprof.store import Store
from hakprof.units import parse_count, parse_seconds
from hakprof.work import Size, benchmark_work, program_work

app = application()


@app.command(cls=ProgramCommand)
def record(
    *,
    ctx: typer.Context,
    target: options.Target = None,
    alloc: Annotated[
        str, typer.Option(metavar="NAME", help="Allocator, by name or path.")
    ] = "hakmem",
    source: Annotated[
        list[str] | None,
        typer.Option(
            metavar="A,B",
            help="perf, sampler, callgrind, stepper. [perf or sampler; on a benchmark exact ones]",
        ),
    ] = None,
    frequency: Annotated[
        int, typer.Option(metavar="HZ", min=1, max=20_000, help="Samples per second.")
    ] = 999,
    call_graph: Annotated[
        bool, typer.Option("--call-graph", help="Keep call stacks, by frame pointers.")
    ] = False,
    profiles: Annotated[
        int,
        typer.Option(metavar="N", min=1, max=100, help="Sampled runs: fewer hide bimodal ones."),
    ] = workflow.PROFILES,
    threads: options.Threads = None,
    iters: Annotated[
        int | None,
        typer.Option(metavar="N", parser=parse_count, help="Length of a sampled run, e.g. 200M."),
    ] = None,
    pin: options.Pin = None,
    env: options.Env = None,
    timeout: options.Timeout = "10min",
) -> None:
    """Record where a benchmark, or a program behind --, spends time and instructions.

    hotspots, annotate, paths and flame show what was recorded.
    """
    size = Size(threads, iters)
    chosen = choose_target(target, ctx.obj)
    if chosen is None:
        work = program_work(ctx.obj or [], size, parse_env(env))
        sampled = work.target
    else:
        work = benchmark_work(*chosen, size, ctx.obj or [], parse_env(env))
        long = replace(size, iters=size.iters or workflow.STRETCH * work.iters)
        sampled = benchmark_work(*chosen, long, ctx.obj or [], parse_env(env)).target
    request = workflow.Request(
        command=("hakprof", "record", *sys.argv[2:]),
        work=work,
        sampled=sampled,
        allocator=find_allocator(alloc),
        sources=tuple(split_list("--source", source)),
        frequency=frequency,
        call_graph=call_graph,
        profiles=profiles,
        timeout_s=parse_seconds(timeout),
        cpus=pin,
    )
    with progress() as tell:
        found = workflow.record(request, Store(), tell)
    show(text.recorded(found, sources(found)))
