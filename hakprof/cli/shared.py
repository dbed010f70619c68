"""What several commands have in common on their command lines."""

import errno
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

from hakprof.benchmarks import Benchmark, find_benchmark
from hakprof.errors import HakprofError, StoreError, UsageError
from hakprof.units import parse_cpus
from hakprof.work import Size, Work, benchmark_work, program_work


def application() -> typer.Typer:
    """A command's own application: plain text, whether it goes to a terminal or not."""
    return typer.Typer(add_completion=False, rich_markup_mode=None)


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


def split_list(option: str, values: Sequence[str] | None) -> list[str]:
    """`["a,b", "c"]` -> `["a", "b", "c"]`; the path of a file may hold a comma.

    UsageError where the option was given and names nothing.
    """
    words: list[str] = []
    for value in values or ():
        named = [value] if _is_file(value) else [word for word in value.split(",") if word.strip()]
        if not named:
            raise UsageError(f"{option} {value!r} names nothing", advice=f"write {option} A,B")
        words += named
    return list(dict.fromkeys(words))


def _is_file(value: str) -> bool:
    """Whether all of it is one PATH, or one TITLE=PATH."""
    return "/" in value and any(os.access(p, os.F_OK) for p in (value, value.partition("=")[2]))


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


def choose_work(
    target: str | None,
    words: list[str] | None,
    size: Size,
    env: Sequence[str] | None,
    *,
    parts: int = 1,
) -> Work:
    """What is run: the benchmark TARGET with the words behind `--`, or the program behind it."""
    chosen = choose_target(target, words)
    if chosen is None:
        return program_work(words or [], size, parse_env(env))
    return benchmark_work(*chosen, size, words or [], parse_env(env), parts=parts)


def usable_cpus(text: str) -> frozenset[int]:
    """The CPUs that `--pin` names. UsageError if this process may not run on one of them."""
    cpus = parse_cpus(text)
    allowed = os.sched_getaffinity(0)
    if missing := sorted(cpus - allowed):
        raise UsageError(
            f"--pin {text}: CPU {missing[0]} is not there",
            advice=f"this process may use {', '.join(map(str, sorted(allowed)))}",
        )
    return cpus


def show(text: str) -> None:
    """Print to standard output. StoreError where that is full; a closed pipe passes through."""
    try:
        print(text, end="", flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StoreError(f"standard output: {error.strerror}") from error


Output = tuple[Path | None, Callable[[], str | bytes]]
"""A file, or None if it was not asked for, and what makes its content."""


def finish(errors: Sequence[HakprofError], outputs: Iterable[Output] = ()) -> None:
    """Write the files, say all that went wrong, raise the first of it for its exit code."""
    problems = list(errors)
    for path, render in outputs:
        if path is None:
            continue
        try:
            write_file(path, render())
        except HakprofError as error:
            problems.append(error)
    for problem in problems[1:]:
        sys.stderr.write(f"hakprof: {problem}\n")
    if problems:
        raise problems[0]


def writable(path: Path | None) -> Path | None:
    """An output file that may be made, looked at before anything is measured for it. StoreError."""
    if path is None:
        return None
    folder = path.parent
    why = 0
    if path.is_dir():
        why = errno.EISDIR
    elif not folder.is_dir():
        why = errno.ENOTDIR if folder.exists() else errno.ENOENT
    elif not os.access(path if path.exists() and not path.is_file() else folder, os.W_OK):
        why = errno.EACCES
    if why:
        raise _cannot_write(path, OSError(why, os.strerror(why)))
    return path


def _cannot_write(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"cannot write {path}: {error.strerror}", advice="choose another file or free space"
    )


def write_file(path: Path, content: str | bytes) -> None:
    """Write a whole file or none: a reader never finds half of one. StoreError if it fails."""
    data = content.encode() if isinstance(content, str) else content
    try:
        if path.exists() and not path.is_file():  # /dev/stdout, a pipe
            path.write_bytes(data)
            return
        part = path.with_name(f"{path.name}.part-{os.getpid()}")
        try:
            part.write_bytes(data)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise _cannot_write(path, error) from error
