"""The runs as a pyperf suite, so that `pyperf compare_to` and `pyperf stats` read them."""

import io

import pyperf

from hakprof.errors import StoreError
from hakprof.report import Column, Report, headline

NS_PER_S = 1e9


def render(report: Report) -> str:
    """One benchmark an allocator: seconds per op of each run, of each whole run for a program.

    With one allocator the benchmark has the target's name, so that the files of two allocators
    compare; with several each is called `TARGET/ALLOCATOR`.
    """
    several = len(report.columns) > 1
    benchmarks = [_benchmark(report, column, several=several) for column in report.columns]
    found = [benchmark for benchmark in benchmarks if benchmark]
    if not found:
        raise StoreError("there is no run to write for pyperf")
    document = io.StringIO()
    pyperf.BenchmarkSuite(found).dump(document)
    return document.getvalue()


def _benchmark(report: Report, column: Column, *, several: bool) -> pyperf.Benchmark | None:
    values = column.values.get(headline(report.target), ())
    if not values:
        return None
    name = report.target.name
    metadata = {
        "name": f"{name}/{column.arm.name}" if several else name,
        "unit": "second",
        "allocator": " ".join(
            filter(None, (column.arm.allocator.name, column.arm.allocator.version))
        ),
        "hakprof_version": report.hakprof,
        "date": report.started,
    }
    runs = [
        pyperf.Run([value / NS_PER_S], metadata=metadata, collect_metadata=False)
        for value in values
    ]
    return pyperf.Benchmark(runs)
