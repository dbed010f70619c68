"""What several commands have in common on their command lines."""

from collections.abc import Sequence
from typing import Any

from typer.core import TyperCommand

from hakprof.benchmarks import Benchmark, find_benchmark
from hakprof.errors import UsageError

Context = Any
"""click's, which typer brings along under one name or another, depending on its version."""


class ProgramCommand(TyperCommand):
    """A command that takes a program's own words behind `--`; they are left alone, in `ctx.obj`.

    `ctx.obj` is None without `--`, so that `stat true` (a benchmark called true) and `stat -- true`
    (a program) stay two things.
    """

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Cut the words behind the first `--` off before the options are read."""
        ctx.obj = None
        if "--" in args:
            cut = args.index("--")
            ctx.obj = args[cut + 1 :]
            args = args[:cut]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: Context) -> list[str]:
        """Show the `--` in the usage line."""
        return [*super().collect_usage_pieces(ctx), "[-- PROGRAM ARGS]"]


def split_list(values: Sequence[str] | None) -> list[str]:
    """`["a,b", "c"]` -> `["a", "b", "c"]`; a path may hold a comma if it holds a slash."""
    words: list[str] = []
    for value in values or ():
        words += [value] if "/" in value else [word for word in value.split(",") if word]
    return list(dict.fromkeys(words))


def parse_env(values: Sequence[str] | None) -> dict[str, str]:
    """`["K=V"]` -> `{"K": "V"}`. UsageError where the `=` is missing."""
    env = {}
    for value in values or ():
        key, sign, content = value.partition("=")
        if not (key and sign) or "\0" in value:
            raise UsageError(f"--env {value!r} sets nothing", advice="write --env NAME=VALUE")
        env[key] = content
    return env


def choose_target(target: str | None, words: list[str] | None) -> tuple[Benchmark, str] | None:
    """(benchmark, preset) where TARGET is one; None where a program stands behind `--`."""
    if target is not None:
        return find_benchmark(target)
    if not words:
        raise UsageError(
            "nothing to measure", advice="name a benchmark (hakprof list) or write -- PROGRAM ARGS"
        )
    return None
