"""The lists of `hakprof list` as text."""

from collections.abc import Iterator

from hakprof.allocators import Known
from hakprof.benchmarks import Benchmark
from hakprof.listing import BackendRow, Listing
from hakprof.render.table import WIDTH, labelled


def render(listing: Listing) -> str:
    """Three headed lists, each name at the left edge, ending in a newline."""
    parts = [
        ["Benchmarks", *labelled([row for b in listing.benchmarks for row in _benchmark(b)])],
        ["Allocators", *labelled([_allocator(known) for known in listing.allocators])],
        ["Backends, the best first", *labelled([_backend(row) for row in listing.backends])],
    ]
    return "\n\n".join("\n".join(line[:WIDTH] for line in part) for part in parts) + "\n"


def _benchmark(benchmark: Benchmark) -> Iterator[tuple[str, str]]:
    threads = benchmark.threads_default
    text = f"{benchmark.description}; {threads} thread{'s' if threads > 1 else ''} if not told"
    yield f"  {benchmark.name}", text
    if benchmark.presets:
        yield "", f"presets: {', '.join(f'{benchmark.name}:{name}' for name in benchmark.presets)}"


def _allocator(known: Known) -> tuple[str, str]:
    found = known.allocator
    if found is None:
        return f"  {known.name}", f"{known.summary}; not here. {known.install}"
    words = [found.version or "version unknown"]
    words.append(str(found.library) if found.library else "the C library of the program")
    if found.build_id:
        words.append(f"build {found.build_id[:12]}")
    return f"  {known.name}", f"{known.summary}; {', '.join(words)}"


def _backend(row: BackendRow) -> tuple[str, str]:
    here = row.availability
    if here.usable:
        return f"  {row.name}", f"{row.kind}; {here.label}"
    advice = f". {here.advice}" if here.advice else ""
    return f"  {row.name}", f"{row.kind}; not here: {here.why}{advice}"
