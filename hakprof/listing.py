"""What `hakprof list` shows: benchmarks, allocators, backends, as this machine has them."""

from dataclasses import dataclass

from hakprof import backends
from hakprof.allocators import Known, known_allocators
from hakprof.benchmarks import Benchmark, all_benchmarks
from hakprof.model import Availability, Kind

SCHEMA = "hakprof.list/1"


@dataclass(frozen=True, slots=True)
class BackendRow:
    """One backend and whether it works here."""

    name: str
    kind: Kind
    availability: Availability


@dataclass(frozen=True, slots=True)
class Listing:
    """All three lists."""

    schema: str
    benchmarks: tuple[Benchmark, ...]
    allocators: tuple[Known, ...]
    backends: tuple[BackendRow, ...]


def listing() -> Listing:
    """Look at this machine."""
    return Listing(
        schema=SCHEMA,
        benchmarks=tuple(all_benchmarks().values()),
        allocators=known_allocators(),
        backends=tuple(BackendRow(b.name, b.kind, here) for b, here in backends.probe_all()),
    )
