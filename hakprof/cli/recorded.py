"""How the commands on recordings name one: a run's number, a folder, a file, or the latest."""

from pathlib import Path
from typing import Annotated

import typer

from hakprof.errors import UsageError
from hakprof.hotspots.recording import FILE, Recording, load
from hakprof.store import Store

Run = Annotated[
    str | None,
    typer.Option(
        "--run",
        metavar="RUN",
        help="Number of a run, or a file of perf record, callgrind or the stepper. [the latest]",
    ),
]
OneSource = Annotated[
    str, typer.Option("--source", metavar="NAME", help="Only perf, sampler, callgrind or stepper.")
]


def find_recording(name: str | None) -> Recording:
    """The recording that `--run` names. UsageError if there is none."""
    if name is not None and not name.isdecimal():
        path = Path(name)
        if not path.exists():
            raise UsageError(f"no run and no file {name!r}", advice="hakprof record makes a run")
        return load(path)
    store = Store()
    if name is not None:
        folder = store.folder / "runs" / name
        if not (folder / FILE).exists():
            raise UsageError(f"run {name} has no recording", advice=_have(store))
        return load(folder)
    for run in store.runs():
        folder = store.folder / "runs" / str(run.id)
        if (folder / FILE).exists():
            return load(folder)
    raise UsageError("nothing was recorded yet", advice="hakprof record bench_random_mixed")


def _have(store: Store) -> str:
    runs = [
        str(run.id) for run in store.runs() if (store.folder / "runs" / str(run.id) / FILE).exists()
    ]
    return f"runs with one: {', '.join(runs[:10])}" if runs else "hakprof record makes one"
