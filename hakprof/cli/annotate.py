"""`hakprof annotate`: source and assembly of one function with costs, inlined or not."""

import os
import sys
from typing import Annotated

import typer

from hakprof.cli.recorded import OneSource, Run, find_recording
from hakprof.cli.shared import application, show
from hakprof.hotspots import annotate as workflow
from hakprof.hotspots import code
from hakprof.hotspots.recording import sources
from hakprof.render import annotate as text

app = application()


@app.command()
def annotate(
    *,
    symbol: Annotated[str, typer.Argument(help="A function, as source or symbol table call it.")],
    run: Run = None,
    source: OneSource = "",
    everything: Annotated[
        bool, typer.Option("--all", help="Also long stretches that cost nothing.")
    ] = False,
) -> None:
    """Show what a function costs, line by line and instruction by instruction.

    Every copy is shown: the function itself in each library, and each place it was inlined into.
    """
    recording = find_recording(run)
    found = workflow.annotate(recording, code.build(sources(recording, source)), symbol)
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    show(text.render(found, everything=everything, colour=colour))
