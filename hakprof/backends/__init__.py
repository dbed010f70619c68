"""The measuring backends, in the order in which one is chosen.

A backend is one file here and one line in `LADDER`; `model.CountingBackend` is what it provides.
"""

import difflib
from collections.abc import Iterator

from hakprof.backends.callgrind import Callgrind
from hakprof.backends.perf_stat import PerfStat
from hakprof.backends.qemu import Qemu
from hakprof.backends.stepper import Stepper
from hakprof.backends.timing import Timing
from hakprof.errors import BackendError, UsageError
from hakprof.model import Availability, CountingBackend

TIMING = Timing()
"""The one that needs nothing: the last rung, and beside every other the source of times."""

COUNTING: tuple[CountingBackend, ...] = (PerfStat(), Qemu(), Callgrind(), Stepper())
"""What counts instructions: hardware first, then the fastest that sees every instruction."""

LADDER = (*COUNTING, TIMING)


def choose(name: str | None = None, *, has_roi: bool = True) -> CountingBackend:
    """The backend called `name`, or without a name the first of the ladder that works here.

    `has_roi`: whether the target is a benchmark. A name that is unknown raises UsageError, one
    that cannot work here BackendError with the reason and what to do.
    """
    if name is None:
        fit = (backend for backend in COUNTING if has_roi or not backend.needs_roi)
        return next((backend for backend in fit if backend.probe().usable), TIMING)
    backend = _named(name)
    if backend.needs_roi and not has_roi:
        raise BackendError(
            f"backend {name} measures only hakprof's own benchmarks",
            advice="without --backend the best one for this program is taken",
        )
    found = backend.probe()
    if not found.usable:
        raise BackendError(f"backend {name} cannot work here: {found.why}", advice=found.advice)
    return backend


def probe_all() -> Iterator[tuple[CountingBackend, Availability]]:
    """Every backend with what it found, in order of the ladder."""
    for backend in LADDER:
        yield backend, backend.probe()


def _named(name: str) -> CountingBackend:
    names = {backend.name: backend for backend in LADDER}
    if name in names:
        return names[name]
    near = difflib.get_close_matches(name, names, n=1)
    raise UsageError(
        f"no backend {name!r}",
        advice=f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}",
    )
