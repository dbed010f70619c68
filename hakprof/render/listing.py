"""The lists of `hakprof list` as text."""

from collections.abc import Iterator

from hakprof.allocators import Known
from hakprof.benchmarks import Benchmark
from hakprof.listing import BackendRow, Listing
from hakprof.render.table import GAP, labelled


def render(listing: Listing) -> str:
    """Three headed lists, each name at the left edge, ending in a newline."""
    parts = [
        ["Benchmarks", *labelled([row for b in listing.benchmarks for row in _benchmark(b)])],
        ["Allocators", *_allocators(listing.allocators)],
        ["Backends, the best first", *labelled([_backend(row) for row in listing.backends])],
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _benchmark(benchmark: Benchmark) -> Iterator[tuple[str, str]]:
    threads = benchmark.threads_default
    more = f" ({threads} threads)" if threads > 1 else ""
    yield f"  {benchmark.name}", benchmark.description + more
    if benchmark.presets:
        yield "", " ".join(f"{benchmark.name}:{name}" for name in benchmark.presets)


def _allocators(known: tuple[Known, ...]) -> list[str]:
    """Name, version, and where it is or how to get it."""
    version = max((len(k.allocator.version) for k in known if k.allocator), default=0)
    return labelled([(f"  {k.name}", _allocator(k, version)) for k in known])


def _allocator(known: Known, width: int) -> str:
    found = known.allocator
    if found is None:
        return f"{'-':{width}}{GAP}not here; {known.install}"
    where = str(found.library) if found.library else "the C library that a program is linked with"
    build = f"build {found.build_id[:8]}{GAP}" if found.build_id else ""
    return f"{found.version:{width}}{GAP}{build}{where}"


def _backend(row: BackendRow) -> tuple[str, str]:
    here = row.availability
    if here.usable:
        return f"  {row.name}", f"{row.kind}: {here.label}"
    advice = f"; {here.advice}" if here.advice else ""
    return f"  {row.name}", f"not here: {here.why}{advice}"
