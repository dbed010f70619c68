"""`hakprof verify`: which allocator serves a program's calls, and nothing else."""

from collections.abc import Sequence
from typing import Annotated

import typer

from hakprof.allocators import find_allocator
from hakprof.benchmarks import all_benchmarks, find_benchmark
from hakprof.cli import options
from hakprof.cli.shared import ProgramCommand, application, parse_env, show
from hakprof.errors import UnprovenError, UsageError
from hakprof.model import Verdict
from hakprof.process import find_program
from hakprof.render import json_
from hakprof.render import proof as text
from hakprof.units import parse_seconds
from hakprof.verification import verify as run_and_judge

app = application()


@app.command(cls=ProgramCommand)
def verify(
    *,
    ctx: typer.Context,
    program: Annotated[
        str | None, typer.Argument(help="Benchmark, or program, by name or path.")
    ] = None,
    args: Annotated[
        list[str] | None, typer.Argument(help="Its arguments; those with a dash go behind --.")
    ] = None,
    alloc: Annotated[str, typer.Option(help="Allocator: name or path.")] = "hakmem",
    env: options.Env = None,
    timeout: Annotated[
        str, typer.Option(help="Stop the program then; its start is judged all the same.")
    ] = "1min",
    json: options.AsJson = False,
) -> None:
    """Run a program once and prove which allocator serves its calls.

    Looks at bindings, build ids, glibc's own statistics, calls that the allocator counted, and
    every program that the tree starts. Exit code 0 if proven, 4 if not.
    """
    found = run_and_judge(
        find_allocator(alloc),
        _command(program, [*(args or []), *(ctx.obj or [])]),
        parse_env(env),
        parse_seconds(timeout),
    )
    show(json_.render(found) if json else text.render(found))
    if found.proof.verdict is not Verdict.PROVEN:
        raise UnprovenError(
            f"it is not proven that {alloc} served the calls of {found.command[0]}",
            advice="what was seen stands in the table",
        )


def _command(program: str | None, args: Sequence[str]) -> Sequence[str]:
    """What to start: a benchmark at its shortest, or the program itself."""
    if program is None:
        if not args:
            raise UsageError("nothing to verify", advice="name a benchmark or a program")
        return args
    if program.partition(":")[0] in all_benchmarks():
        benchmark, preset = find_benchmark(program)
        return benchmark.target(preset=preset, counted=True, args=args).argv
    if find_program(program) is None and "/" not in program:
        find_benchmark(program, or_program=True)  # refuses with the nearest name
    return [program, *args]
