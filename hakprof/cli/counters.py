"""`hakprof counters`: what a hakmem built with counters says of one process or many."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from hakprof.cli import options
from hakprof.cli.shared import application, show
from hakprof.counters.dump import Dump, State
from hakprof.counters.read import live_file_of, read_dumps, read_live
from hakprof.counters.report import CounterReport, report_difference, report_on
from hakprof.errors import HakprofError, InputError, UsageError
from hakprof.native import counter_schema
from hakprof.render.counters import render_csv, render_json, render_text
from hakprof.schema import Schema, load

app = application()
CLEAR_SCREEN = "\x1b[H\x1b[2J"


@app.command()
def counters(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE|FOLDER]...", show_default=False)
    ] = None,
    *,
    diff: Annotated[
        bool, typer.Option("--diff", help="Compare two files, BEFORE and AFTER.")
    ] = False,
    live: Annotated[
        int | None,
        typer.Option("--live", metavar="PID", help="Watch a running process.", min=1),
    ] = None,
    interval: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="Between two looks of --live.", min=0.1, max=86_400),
    ] = 2.0,
    looks: Annotated[
        int | None, typer.Option(metavar="N", help="End --live after so many looks.", min=1)
    ] = None,
    json: options.AsJson = False,
    csv: Annotated[bool, typer.Option("--csv", help="As CSV, a figure a line.")] = False,
    openmetrics: Annotated[
        bool, typer.Option("--openmetrics", help="As OpenMetrics text, for a scraper.")
    ] = False,
) -> None:
    """Show where blocks came from, where frees went, and why a fast path gave up.

    A file is what HAKMEM_COUNTERS=FILE wrote, or its live file. See docs/counters.md.
    """
    schema = load(counter_schema("hakmem"))
    render = _renderer(json=json, csv=csv, openmetrics=openmetrics)
    paths = files or []
    if live is not None:
        if paths or diff or openmetrics:
            raise UsageError("--live takes no files", advice="hakprof counters --live PID")
        _watch(live, interval, looks, schema, render)
    elif diff:
        if len(paths) != 2:  # noqa: PLR2004 # before and after
            raise UsageError("--diff takes two files", advice="hakprof counters --diff A B")
        _present(report_difference(_one(paths[0]), _one(paths[1]), schema), render)
    elif paths:
        dumps = [dump for path in paths for dump in read_dumps(path)]
        if openmetrics:
            from hakprof.counters.openmetrics import openmetrics as as_text  # noqa: PLC0415

            show(as_text(dumps, schema))
        else:
            _present(report_on(dumps, schema), render)
    else:
        raise UsageError(
            "no counter file", advice="hakprof counters FILE, or --live PID; --help says more"
        )


def _renderer(*, json: bool, csv: bool, openmetrics: bool) -> Callable[[CounterReport], str]:
    if json + csv + openmetrics > 1:
        raise UsageError("--json, --csv and --openmetrics exclude each other", advice="choose one")
    if json:
        return render_json
    return render_csv if csv else render_text


def _one(path: Path) -> Dump:
    dumps = read_dumps(path)
    if len(dumps) != 1:
        raise InputError(
            f"{path} holds {len(dumps)} processes", advice="--diff takes one of its files"
        )
    return dumps[0]


def _present(report: CounterReport, render: Callable[[CounterReport], str]) -> None:
    """Print it; an identity that is broken without excuse ends in an error."""
    show(render(report))
    if report.broken:
        raise HakprofError(
            f"identity broken: {report.broken[0]}",
            advice="hakmem miscounts or lost blocks: please report it with the file",
        )


def _watch(
    pid: int,
    interval: float,
    looks: int | None,
    schema: Schema,
    render: Callable[[CounterReport], str],
) -> None:
    """Look again and again until the process ends; on a terminal each look replaces the last."""
    path = live_file_of(pid)
    clear = CLEAR_SCREEN if sys.stdout.isatty() and render is render_text else ""
    while True:
        try:
            dump = read_live(path)
        except InputError:
            sys.stderr.write(f"hakprof: process {pid} has ended and took its live file along\n")
            return
        show(clear + render(report_on([dump], schema)))
        looks = looks - 1 if looks else looks
        if looks == 0 or dump.state is not State.RUNNING:
            return
        time.sleep(interval)
