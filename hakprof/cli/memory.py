"""`hakprof memory`: mapped, resident and returned memory over time, and the calls behind it."""

import sys
from typing import Annotated

import typer

from hakprof import memory as workflow
from hakprof.cli import options
from hakprof.cli.pictures import Png, Svg, pictures
from hakprof.cli.progress import progress
from hakprof.cli.shared import (
    ProgramCommand,
    application,
    choose_work,
    finish,
    show,
    split_list,
)
from hakprof.profiles import find_allocator
from hakprof.render import json_
from hakprof.render import memory as text
from hakprof.units import parse_count, parse_seconds
from hakprof.work import Size

app = application()


@app.command(cls=ProgramCommand)
def memory(
    *,
    ctx: typer.Context,
    target: options.Target = None,
    alloc: Annotated[
        list[str] | None,
        typer.Option(metavar="A,B", help="Allocators: names or paths. [hakmem,glibc]"),
    ] = None,
    threads: options.Threads = None,
    iters: Annotated[
        int | None, typer.Option(metavar="N", parser=parse_count, help="Length of a run, e.g. 20M.")
    ] = None,
    env: options.Env = None,
    interval: Annotated[str, typer.Option(metavar="TIME", help="Time between two looks.")] = "10ms",
    timeout: options.Timeout = "10min",
    svg_file: Svg = None,
    png_file: Png = None,
    json: options.Json = None,
) -> None:
    """Show where a program's memory goes, allocator by allocator.

    One run is watched, another traced by strace or ptrace: mmap, munmap, madvise, mremap and
    brk, how often, how long, and how much was given back.
    """
    size = Size(threads, iters)
    request = workflow.Request(
        command=("hakprof", "memory", *sys.argv[2:]),
        target=choose_work(target, ctx.obj, size, env).target,
        allocators=tuple(
            find_allocator(name) for name in split_list("--alloc", alloc) or ["hakmem", "glibc"]
        ),
        interval_s=parse_seconds(interval),
        timeout_s=parse_seconds(timeout),
    )
    with progress() as tell:
        outcome = workflow.measure(request, tell)
    show(text.render(outcome.report))
    finish(
        outcome.errors,
        [
            (json, lambda: json_.render(outcome.report)),
            *pictures(lambda: text.charts_of(outcome.report), svg_file=svg_file, png_file=png_file),
        ],
    )
