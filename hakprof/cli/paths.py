"""`hakprof paths`: every path through a function, how often it was taken, how long it is."""

from typing import Annotated

import typer

from hakprof.cli.recorded import Run, find_recording
from hakprof.cli.shared import application, show
from hakprof.hotspots import code
from hakprof.hotspots import paths as workflow
from hakprof.hotspots.recording import STEPPER, Source, trace_of
from hakprof.render import paths as text

app = application()


@app.command()
def paths(
    *,
    function: Annotated[str, typer.Argument(help="A function of the symbol table: malloc.")],
    run: Run = None,
    top: Annotated[int, typer.Option(metavar="N", min=0, help="Paths shown in full.")] = 2,
) -> None:
    """Show the paths through a function as the stepper saw them, the most frequent first.

    Each with its share of the calls, its instructions in order, their source lines and stages.
    """
    recording = find_recording(run)
    trace = trace_of(recording)
    source = Source(STEPPER, trace.profile.source, (trace.profile,), 0)
    found = workflow.paths(recording, code.build([source]), trace, function)
    show(text.render(found, top))
