"""`hakprof flame`: call stacks as a picture, in the terminal, as a page, or for another viewer."""

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from hakprof.cli.recorded import OneSource, find_recording
from hakprof.cli.shared import Output, application, finish, show
from hakprof.errors import UsageError
from hakprof.hotspots import code
from hakprof.hotspots import flame as workflow
from hakprof.hotspots.flame import Flame
from hakprof.hotspots.recording import STEPPER, Recording, sources, trace_of
from hakprof.render import flame_formats, flame_html, flame_text

app = application()

File = typer.Option
COMPARED = 2


@app.command()
def flame(
    *,
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN]...", help="Runs or files; two of them with --diff."),
    ] = None,
    diff: Annotated[bool, typer.Option("--diff", help="Compare two: before, after.")] = False,
    source: OneSource = "",
    html: Annotated[Path | None, File(metavar="FILE", help="A page with search and zoom.")] = None,
    collapsed: Annotated[Path | None, File(metavar="FILE", help="Collapsed stacks.")] = None,
    speedscope: Annotated[Path | None, File(metavar="FILE", help="For speedscope.app.")] = None,
    firefox: Annotated[Path | None, File(metavar="FILE", help="For the Firefox profiler.")] = None,
    pprof: Annotated[Path | None, File(metavar="FILE", help="For pprof.")] = None,
) -> None:
    """Show call stacks, inlined calls included.

    Exact ones from the stepper; sampled ones where --call-graph recorded them. Without a file
    the picture is drawn in the terminal.
    """
    names = runs or []
    if len(names) != (COMPARED if diff else min(len(names), 1)):
        raise UsageError(
            "--diff compares two runs" if diff else f"{len(names)} runs",
            advice="hakprof flame --diff BEFORE AFTER",
        )
    recordings = [find_recording(name) for name in names] or [find_recording(None)]
    before = _flame(recordings[0], source) if diff else None
    shown = _flame(recordings[-1], source)
    if before is not None and (before.kind, before.unit) != (shown.kind, shown.unit):
        raise UsageError(
            f"{before.kind} {before.unit} and {shown.kind} {shown.unit} are not compared",
            advice="choose a source that both runs have by --source",
        )
    outputs: list[Output] = [
        (html, lambda: flame_html.render(shown, before)),
        (collapsed, lambda: flame_formats.collapsed(shown)),
        (speedscope, lambda: flame_formats.speedscope(shown)),
        (firefox, lambda: flame_formats.firefox(shown)),
        (pprof, lambda: flame_formats.pprof(shown)),
    ]
    if all(path is None for path, _ in outputs):
        colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        width = shutil.get_terminal_size((100, 24)).columns
        show(flame_text.render(shown, before, width=width, colour=colour))
    finish((), outputs)


def _flame(recording: Recording, source: str) -> Flame:
    """The stacks of the source asked for, else of the one that has the best."""
    if not source:
        names = [piece.source for piece in recording.pieces]
        source = STEPPER if STEPPER in names else names[0]
    trace = trace_of(recording) if source == STEPPER else None
    return workflow.flame(recording, code.build(sources(recording, source)), trace)
