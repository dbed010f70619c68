"""`hakprof health`: whether hakmem's profiles do what they promise, on this machine."""

import sys
from typing import Annotated

import typer

from hakprof import health as workflow
from hakprof import profiles as switches
from hakprof.cli import options
from hakprof.cli.progress import progress
from hakprof.cli.shared import application, finish, show
from hakprof.errors import HakprofError
from hakprof.render import health as text
from hakprof.render import json_

app = application()


@app.command()
def health(
    *,
    profiles: Annotated[list[str] | None, typer.Argument(help="Profiles to examine. [all]")] = None,
    json: options.Json = None,
) -> None:
    """Examine profiles: named sets of hakmem's switches, used as --alloc hakmem@PROFILE.

    Each must run, serve every call, understand its switches, stay in its bands of speed and memory
    against glibc in the same run, and obey the laws of its counters.
    """
    known = [switches.find_profile(name) for name in profiles or switches.profiles()]
    command = ("hakprof", "health", *sys.argv[2:])
    with progress() as tell:
        found = tuple(workflow.examine(profile, tell, command) for profile in known)
    show(text.render(found))
    sick = [health.profile for health in found if not health.healthy]
    errors = [HakprofError(f"sick: {', '.join(sick)}", advice="see the checks above")]
    finish(errors if sick else [], [(json, lambda: json_.render(found))])
