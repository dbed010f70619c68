"""`hakprof stat`: measure one target on one allocator or several, and show what was measured."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from hakprof import counting
from hakprof import stat as workflow
from hakprof.cli import options
from hakprof.cli.progress import progress
from hakprof.cli.shared import (
    ProgramCommand,
    application,
    choose_work,
    finish,
    show,
    split_list,
    writable,
)
from hakprof.errors import UsageError
from hakprof.profiles import find_allocator
from hakprof.render import json_, text
from hakprof.render.counters import render_counted
from hakprof.report import Report
from hakprof.units import parse_count, parse_seconds
from hakprof.work import Size

app = application()


@app.command(cls=ProgramCommand)
def stat(
    *,
    ctx: typer.Context,
    target: options.Target = None,
    alloc: Annotated[
        list[str] | None,
        typer.Option(metavar="A,B", help="Allocators, by name or path. Repeatable. [hakmem]"),
    ] = None,
    runs: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, max=10_000, help="Timed runs of each. [as many as fit in 8 s]"
        ),
    ] = None,
    warmup: options.Warmup = 1,
    threads: options.Threads = None,
    iters: Annotated[
        int | None,
        typer.Option(
            metavar="N", parser=parse_count, help="Length of a timed run, e.g. 20M. [about 0.3 s]"
        ),
    ] = None,
    pin: options.Pin = None,
    env: options.Env = None,
    backend: options.Backend = "",
    simulate: Annotated[
        str,
        typer.Option(metavar="MODEL", help="cache, branch, or both: models of them, by callgrind."),
    ] = "",
    counters: Annotated[
        bool,
        typer.Option("--counters", help="Also what hakmem counts inside (docs/counters.md)."),
    ] = False,
    timeout: options.Timeout = "10min",
    json: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", callback=writable, help="Write the report as JSON (docs/json.md)."
        ),
    ] = None,
    pyperf: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", callback=writable, help="Write the runs for `pyperf compare_to`."
        ),
    ] = None,
) -> None:
    """Measure a benchmark, or a program behind --, on one allocator or several.

    Throughput, time, instructions and cycles per operation, faults and memory, net of the
    harness where there is one, with the proof of who served the calls.
    """
    request = workflow.Request(
        command=("hakprof", "stat", *sys.argv[2:]),
        work=choose_work(target, ctx.obj, Size(threads, iters), env),
        allocators=tuple(
            find_allocator(name) for name in split_list("--alloc", alloc) or ["hakmem"]
        ),
        runs=runs,
        warmup=warmup,
        timeout_s=parse_seconds(timeout),
        cpus=pin,
        backend=backend,
        options=_models(simulate),
    )
    if counters:
        counting.check_request(request.allocators)
    with progress() as tell:
        outcome = workflow.measure(request, tell)
        counted = counting.count(request, tell) if counters else None
    if outcome.report.measured:
        show(text.render(outcome.report))
    if counted:
        show(render_counted(counted))
    finish(
        outcome.errors,
        [
            (json, lambda: json_.render(outcome.report)),
            (pyperf, lambda: _pyperf(outcome.report)),
        ],
    )


def _models(simulate: str) -> dict[str, str]:
    """`cache,branch` as the option of a job. UsageError where there is no such model."""
    asked = split_list("--simulate", [simulate] if simulate else None)
    for name in asked:
        if name not in workflow.MODELS:
            raise UsageError(f"no model {name!r}", advice=f"there are {', '.join(workflow.MODELS)}")
    return {workflow.SIMULATE: ",".join(asked)} if asked else {}


def _pyperf(report: Report) -> str:
    from hakprof.render import pyperf_  # noqa: PLC0415 (pyperf takes its time to import)

    return pyperf_.render(report)
