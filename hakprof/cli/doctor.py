"""`hakprof doctor`: is this machine fit to measure on, and with what can it count."""

from hakprof.checkup import examine
from hakprof.cli import options
from hakprof.cli.shared import application, show
from hakprof.render import checkup as text
from hakprof.render import json_

app = application()


@app.command()
def doctor(
    *,
    json: options.AsJson = False,
) -> None:
    """Check what disturbs measurements on this machine, and try every backend.

    Each row says ok, warn or absent, what was seen, and what to do about it. The exit code is 0
    whatever was seen: a bad machine can be measured on, with wider intervals.
    """
    found = examine()
    show(json_.render(found) if json else text.render(found))
