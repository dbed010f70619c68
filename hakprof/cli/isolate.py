"""`hakprof isolate`: what each of several design decisions costs, alone and together."""

import sys
from typing import Annotated

import typer

from hakprof import comparison, stat
from hakprof import isolate as workflow
from hakprof.allocators import find_allocator
from hakprof.cli import options
from hakprof.cli.pictures import Png, Svg, pictures
from hakprof.cli.progress import progress
from hakprof.cli.shared import (
    ProgramCommand,
    application,
    choose_work,
    finish,
    parse_env,
    show,
)
from hakprof.errors import UsageError
from hakprof.factorial import MOST_SWITCHES
from hakprof.render import isolate as text
from hakprof.render import json_
from hakprof.units import parse_seconds
from hakprof.work import Size

app = application()


@app.command(cls=ProgramCommand)
def isolate(
    *,
    ctx: typer.Context,
    target: options.Target = None,
    switch: Annotated[
        list[str] | None,
        typer.Option(metavar="S", help="Variant of the base, library, or NAME=VALUE. Repeatable."),
    ] = None,
    base: Annotated[
        str, typer.Option(metavar="A", help="Allocator with all switches off.")
    ] = "hakmem",
    arms: Annotated[
        int,
        typer.Option(
            metavar="N", min=2, max=64, help="Combinations at most; more: a fraction of them."
        ),
    ] = workflow.DEFAULT_ARMS,
    order: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, max=MOST_SWITCHES, help="Most switches of an interaction."
        ),
    ] = workflow.DEFAULT_ORDER,
    budget: options.Budget = "180s",
    runs: options.Blocks = None,
    warmup: options.Warmup = 1,
    threads: options.Threads = None,
    iters: options.Iters = None,
    pin: options.Pin = None,
    env: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="For every arm. Repeatable.")
    ] = None,
    backend: options.Backend = "",
    wall: options.Wall = False,
    timeout: options.Timeout = "10min",
    json: options.Json = None,
    markdown: options.Markdown = None,
    svg_file: Svg = None,
    png_file: Png = None,
) -> None:
    """Turn switches on and off in all combinations and tell what each costs.

    A benchmark, or a program behind --, runs on every combination, interleaved in random order.
    Effects are in time and in exact instructions, all of them at 95 % together
    (docs/statistics.md).
    """
    if not switch:
        raise UsageError(
            "nothing is switched", advice="write --switch header, or --switch HAKMEM_DECAY_MS=0"
        )
    if len(switch) > MOST_SWITCHES:
        raise UsageError(f"{len(switch)} switches are too many", advice=f"{MOST_SWITCHES} at most")
    experiment = workflow.plan_experiment(
        switch, find_allocator(base), parse_env(env), arms=arms, order=order
    )
    kept = [setting for setting in env or () if not experiment.switches_setting(setting)]
    request = stat.Request(
        command=("hakprof", "isolate", *sys.argv[2:]),
        work=choose_work(target, ctx.obj, Size(threads, iters), kept, parts=comparison.PARTS),
        allocators=experiment.allocators,
        runs=runs,
        budget_s=parse_seconds(budget),
        warmup=warmup,
        timeout_s=parse_seconds(timeout),
        cpus=pin,
        backend=backend,
    )
    with progress() as tell:
        outcome = workflow.measure(request, experiment, tell, wall_time=wall)
    show(text.render(outcome.report))
    finish(
        outcome.errors,
        [
            (json, lambda: json_.render(outcome.report)),
            (markdown, lambda: text.markdown(outcome.report)),
            *pictures(
                lambda: [text.chart_of(outcome.report)], svg_file=svg_file, png_file=png_file
            ),
        ],
    )
