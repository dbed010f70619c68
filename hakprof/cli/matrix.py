"""`hakprof matrix`: benchmarks x allocators x threads from a small file, as table and page."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from hakprof import matrix as workflow
from hakprof.cli import options
from hakprof.cli.progress import progress
from hakprof.cli.shared import application, finish, show, writable
from hakprof.errors import HakprofError, InterruptedRunError
from hakprof.render import json_
from hakprof.render import matrix as pages

app = application()


@app.command()
def matrix(
    *,
    file: Annotated[Path, typer.Argument(help="TOML file: allocators and cells.")],
    results: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder of the finished comparisons. [FILE.results]"),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", callback=writable, help="Write one page with plots."),
    ] = None,
    markdown: options.Markdown = None,
    json: options.Json = None,
) -> None:
    """Run many comparisons from one file; what is finished is kept and not run again.

    The file names allocators (the first is the base) and cells: a benchmark with thread counts, or
    a program. docs/statistics.md says what the verdicts rest on.
    """
    folder = results or file.with_name(f"{file.name}.results")
    run = workflow.Run(workflow.load(file), folder, ("hakprof", "matrix", *sys.argv[2:]))
    with progress() as tell:
        for _ in run.measure(tell):
            pass
    report = run.report()
    show(pages.render(report))
    left = len(run.matrix.cells) - len(report.cells)
    finish(
        [*_left_over(left), *run.errors],
        [
            (html, lambda: pages.html(report)),
            (markdown, lambda: pages.markdown(report)),
            (json, lambda: json_.render(report)),
        ],
    )


def _left_over(cells: int) -> list[HakprofError]:
    if not cells:
        return []
    advice = "the same command goes on where this one stopped"
    return [InterruptedRunError(f"{cells} comparisons are not finished", advice=advice)]
