"""`hakprof hotspots`: where time and instructions went, by stage, library and function."""

from typing import Annotated

import typer

from hakprof.cli import options
from hakprof.cli.recorded import OneSource, Run, find_recording
from hakprof.cli.shared import application, finish, show
from hakprof.hotspots import code, tables
from hakprof.hotspots.recording import sources
from hakprof.render import hotspots as text

app = application()


@app.command()
def hotspots(
    *,
    run: Run = None,
    source: OneSource = "",
    top: Annotated[int, typer.Option(metavar="N", min=1, help="Functions shown.")] = 20,
    json: options.Json = None,
) -> None:
    """Show a recording by stage of the allocator, by library and by function.

    One column a source. Sampled shares carry their standard error; exact ones have none.
    """
    recording = find_recording(run)
    found = tables.hotspots(recording, code.build(sources(recording, source)))
    show(text.render(found, top))
    finish((), [(json, lambda: text.render_json(found))])
