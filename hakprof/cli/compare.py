"""`hakprof compare`: several allocators on one target, and which differences are real."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from hakprof import comparison, stat
from hakprof.allocators import known_allocators
from hakprof.cli.progress import progress
from hakprof.cli.shared import (
    ProgramCommand,
    application,
    choose_work,
    finish,
    show,
    split_list,
    usable_cpus,
)
from hakprof.errors import UsageError
from hakprof.model import Allocator
from hakprof.profiles import find_allocator
from hakprof.render import comparison as text
from hakprof.render import json_
from hakprof.units import parse_count, parse_seconds
from hakprof.work import Size

app = application()


@app.command(cls=ProgramCommand)
def compare(
    *,
    ctx: typer.Context,
    target: Annotated[
        str | None, typer.Argument(help="Benchmark, or BENCHMARK:PRESET; see hakprof list.")
    ] = None,
    alloc: Annotated[
        list[str] | None,
        typer.Option(help="Names or paths; the first is the base. [all that are here]"),
    ] = None,
    budget: Annotated[str, typer.Option(help="Longest time of the timed runs.")] = "60s",
    runs: Annotated[int | None, typer.Option(min=1, help="Blocks at most. [160]")] = None,
    warmup: Annotated[int, typer.Option(min=0, help="Runs before the first that counts.")] = 1,
    threads: Annotated[
        int | None, typer.Option(min=1, max=256, help="Threads of the benchmark.")
    ] = None,
    iters: Annotated[
        str | None, typer.Option(help="Length of a timed run, e.g. 20M. [about 0.1 s]")
    ] = None,
    pin: Annotated[str | None, typer.Option(help="CPUs to run on: 0, or 0,2, or 1-3.")] = None,
    env: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE for the program. Repeatable.")
    ] = None,
    backend: Annotated[
        str, typer.Option(help="Count with this one only; see hakprof list. [the best]")
    ] = "",
    wall: Annotated[
        bool, typer.Option("--wall", help="Compare wall time where CPU time would be.")
    ] = False,
    timeout: Annotated[str, typer.Option(help="Longest time of one run.")] = "10min",
    json: Annotated[Path | None, typer.Option(help="Write the comparison as JSON.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the verdicts as Markdown.")] = None,
) -> None:
    """Compare allocators on a benchmark, or on a program behind --.

    Runs are interleaved in random order, the base twice in each block, until the verdicts are
    settled or the budget is spent. Faster or slower is only what chance explains in less than 5 %
    of cases, all arms together (docs/statistics.md).
    """
    request = stat.Request(
        command=("hakprof", "compare", *sys.argv[2:]),
        work=choose_work(
            target,
            ctx.obj,
            Size(threads, parse_count(iters) if iters else None),
            env,
            parts=comparison.PARTS,
        ),
        allocators=_allocators(split_list(alloc)),
        runs=runs,
        budget_s=parse_seconds(budget),
        warmup=warmup,
        timeout_s=parse_seconds(timeout),
        cpus=usable_cpus(pin),
        backend=backend,
    )
    with progress() as tell:
        outcome = comparison.measure(request, tell, wall_time=wall)
    show(text.render(outcome.comparison))
    finish(
        outcome.errors,
        [
            (json, lambda: json_.render(outcome.comparison)),
            (markdown, lambda: text.markdown(outcome.comparison)),
        ],
    )


def _allocators(names: list[str]) -> tuple[Allocator, ...]:
    """Those named, or every one that is here, hakmem first."""
    if not names:
        found = [known.allocator for known in known_allocators() if known.allocator]
        plain = [allocator for allocator in found if ":" not in allocator.name]
        return tuple(sorted(plain, key=lambda allocator: allocator.name != "hakmem"))
    if len(names) == 1:
        raise UsageError(
            f"{names[0]} alone is no comparison", advice="name two allocators or more with --alloc"
        )
    return tuple(find_allocator(name) for name in names)
