"""`hakprof compare`: several allocators on one target, and which differences are real."""

import sys
from typing import Annotated

import typer

from hakprof import comparison, stat
from hakprof.allocators import known_allocators
from hakprof.cli import options
from hakprof.cli.progress import progress
from hakprof.cli.shared import (
    ProgramCommand,
    application,
    choose_work,
    finish,
    show,
    split_list,
)
from hakprof.errors import UsageError
from hakprof.model import Allocator
from hakprof.profiles import find_allocator
from hakprof.render import comparison as text
from hakprof.render import json_
from hakprof.units import parse_seconds
from hakprof.work import Size

app = application()


@app.command(cls=ProgramCommand)
def compare(
    *,
    ctx: typer.Context,
    target: options.Target = None,
    alloc: Annotated[
        list[str] | None,
        typer.Option(
            metavar="A,B", help="Names or paths; the first is the base. [all that are here]"
        ),
    ] = None,
    budget: options.Budget = "60s",
    runs: options.Blocks = None,
    warmup: options.Warmup = 1,
    threads: options.Threads = None,
    iters: options.Iters = None,
    pin: options.Pin = None,
    env: options.Env = None,
    backend: options.Backend = "",
    wall: options.Wall = False,
    timeout: options.Timeout = "10min",
    json: options.Json = None,
    markdown: options.Markdown = None,
) -> None:
    """Compare allocators on a benchmark, or on a program behind --.

    Runs are interleaved in random order, the base twice in each block, until the verdicts are
    settled or the budget is spent. Faster or slower is only what chance explains in less than 5 %
    of cases, all arms together (docs/statistics.md).
    """
    request = stat.Request(
        command=("hakprof", "compare", *sys.argv[2:]),
        work=choose_work(target, ctx.obj, Size(threads, iters), env, parts=comparison.PARTS),
        allocators=_allocators(split_list("--alloc", alloc)),
        runs=runs,
        budget_s=parse_seconds(budget),
        warmup=warmup,
        timeout_s=parse_seconds(timeout),
        cpus=pin,
        backend=backend,
    )
    with progress() as tell:
        outcome = comparison.measure(request, tell, wall_time=wall)
    show(text.render(outcome.report))
    finish(
        outcome.errors,
        [
            (json, lambda: json_.render(outcome.report)),
            (markdown, lambda: text.markdown(outcome.report)),
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
            f"{names[0]} alone is no comparison",
            advice="name two or more: --alloc A,B, or --alloc PATH --alloc PATH",
        )
    return tuple(find_allocator(name) for name in names)
