"""`hakprof list`: what can be measured, on what, and how, on this machine."""

from hakprof.cli import options
from hakprof.cli.shared import application, show
from hakprof.listing import listing
from hakprof.render import json_
from hakprof.render import listing as text

app = application()


@app.command()
def list_(
    *,
    json: options.AsJson = False,
) -> None:
    """Show the benchmarks, the allocators and the backends that this machine has.

    What is missing is shown too, with how to get it.
    """
    found = listing()
    show(json_.render(found) if json else text.render(found))
