"""Memory over time as text with a plot, and as a chart for SVG."""

from collections.abc import Iterator, Sequence

from hakprof import units
from hakprof.memory import Footprint, MemoryReport
from hakprof.render import chart, terminal_chart
from hakprof.render.table import labelled, table
from hakprof.units import NS_PER_S, Unit


def render(report: MemoryReport) -> str:
    """Table, plot, notes."""
    names = ", ".join(footprint.arm.name for footprint in report.footprints)
    parts = [
        [f"memory of {report.target.name} on {names}"],
        table(rows(report), (False, *(True for _ in report.footprints))),
        terminal_chart.render(charts_of(report)[0]) if any(_seen(report)) else [],
        labelled(list(_notes(report))),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def rows(report: MemoryReport) -> list[tuple[str, ...]]:
    """A row a quantity, a column an allocator."""
    prints = report.footprints
    found = [
        ("", *(f.arm.name for f in prints)),
        ("peak resident", *(_bytes(f, f.peak_bytes) for f in prints)),
        ("mean resident", *(_bytes(f, f.mean_bytes) for f in prints)),
        ("resident at exit", *(_bytes(f, f.last_bytes) for f in prints)),
        ("peak mapped", *(_bytes(f, f.mapped_bytes) for f in prints)),
        ("mapped at exit", *(_bytes(f, f.last_mapped_bytes) for f in prints)),
        (
            "run",
            *(units.show_ns(f.sights[-1].at_s * NS_PER_S) if f.sights else "-" for f in prints),
        ),
    ]
    if not any(f.calls for f in prints):
        return found
    returned = (units.show_bytes(f.calls.returned_bytes) if f.calls else "-" for f in prints)
    found.append(("given back", *returned))
    names = next(dict(f.calls.counts) for f in prints if f.calls)
    for name in names:
        counts = (f"{dict(f.calls.counts)[name]:,}" if f.calls else "-" for f in prints)
        found.append((f"{name} calls", *counts))
    took = (units.show_ns(f.calls.took_ns) if f.calls else "-" for f in prints)
    found.append(("time in these calls", *took))
    return found


def charts_of(report: MemoryReport) -> list[chart.Chart]:
    """What is resident, mapped and given back over time, a line an allocator."""
    seen = _seen(report)
    resident = [(f.arm.name, [(s.at_s, s.resident_bytes) for s in f.sights]) for f in seen]
    mapped = [(f.arm.name, [(s.at_s, s.mapped_bytes) for s in f.sights]) for f in seen]
    back = [(f.arm.name, [(0.0, 0), *f.calls.returns]) for f in report.footprints if f.calls]
    charts = [_chart(report, "resident", resident), _chart(report, "mapped", mapped)]
    return charts + ([_chart(report, "given back, traced", back)] if back else [])


def _chart(
    report: MemoryReport, what: str, curves: Sequence[tuple[str, Sequence[tuple[float, int]]]]
) -> chart.Chart:
    """One quantity in bytes over the seconds of a run."""
    lines = [
        chart.Line(name, tuple(chart.Point(at_s * NS_PER_S, float(y)) for at_s, y in curve))
        for name, curve in curves
    ]
    return chart.Chart(
        report.target.name,
        chart.Axis("time", Unit.NS, from_zero=True),
        chart.Axis(f"{what} memory", Unit.BYTES, from_zero=True),
        tuple(lines),
    )


def _seen(report: MemoryReport) -> list[Footprint]:
    return [footprint for footprint in report.footprints if footprint.sights]


def _bytes(footprint: Footprint, amount: float) -> str:
    return units.show_bytes(amount) if footprint.sights else "-"


def _notes(report: MemoryReport) -> Iterator[tuple[str, str]]:
    every = units.show_ns(report.interval_s * NS_PER_S)
    yield "watched", f"all processes of the program, every {every}; a run of its own, not timed"
    if report.no_calls:
        yield "not traced", f"system calls: {report.no_calls}"
    else:
        yield (
            "traced",
            f"a second run by {report.traced_by}, whose own time is in that of the calls",
        )
    for footprint in report.footprints:
        lazy = max((sight.lazy_bytes for sight in footprint.sights), default=0)
        if lazy:
            yield (
                "finding",
                (
                    f"{footprint.arm.name}: up to {units.show_bytes(lazy)} were freed lazily "
                    "(MADV_FREE): resident until the kernel needs them"
                ),
            )
        if footprint.problem:
            yield "failed", f"{footprint.arm.name}: {footprint.problem}"
        elif footprint.proof and not footprint.proof.proven:
            yield "UNPROVEN", f"nobody knows whether {footprint.arm.name} served the calls"
    proven = [f.arm.name for f in report.footprints if f.proof and f.proof.proven]
    if proven:
        yield "proof", f"{', '.join(proven)} served the calls"
