"""The gap between two allocators as text: a sum that comes out, then findings."""

from collections.abc import Iterator, Sequence

from hakprof.gap import GapReport, Side, StageCost, findings
from hakprof.hotspots.stages import PROGRAM, UNATTRIBUTED
from hakprof.render import comparison
from hakprof.render.table import labelled, table

LEAST_NS = 0.005
"""Stages below are summed up in one row."""


def render(report: GapReport) -> str:
    """The sum, the findings, and what it rests on."""
    a, b = report.a, report.b
    target = report.comparison.report.target.name
    sides = f"{a.arm} {a.ns:.2f} ns/op, {b.arm} {b.ns:.2f} ns/op"
    head = [f"{target}: {sides}, the gap is {report.total_ns:+.2f} ns/op"]
    rows: list[tuple[str, ...]] = [("stage", "instr/op", "x ns", "= ns/op", "+-", "share")]
    rows += [*_side(a, 1, report), *_side(b, -1, report), *_rest(report)]
    sums = table(rows, (False, True, True, True, True, True))
    notes = labelled(list(_notes(report)))
    return "\n\n".join("\n".join(part) for part in (head, sums, notes)) + "\n"


def _side(side: Side, sign: int, report: GapReport) -> Iterator[tuple[str, ...]]:
    """The allocator's own stages and their sum; those of B are taken away."""
    own = [
        cost
        for cost in side.stages
        if cost.stage not in (PROGRAM, *report.shared) and not cost.stage.endswith(UNATTRIBUTED)
    ]
    mark = "+" if sign > 0 else "-"
    small = [cost for cost in own if cost.ns < LEAST_NS]
    for cost in own:
        if cost.ns >= LEAST_NS:
            yield (f"{mark} {cost.stage}", *_cells(cost, sign, report))
    if small:
        yield (
            f"{mark} {side.arm}: all smaller stages",
            *_cells(_together("", small), sign, report),
        )
    yield (f"  {side.arm} in all", *_cells(_together("", own), sign, report))


def _cells(cost: StageCost, sign: int, report: GapReport) -> tuple[str, ...]:
    each = cost.ns_per_instruction
    return (
        "-" if cost.instructions is None else f"{cost.instructions:.2f}",
        "-" if each is None else f"{each:.3f}",
        f"{sign * cost.ns:+.3f}",
        f"{cost.ns_error:.3f}",
        _share(sign * cost.ns, report),
    )


def _rest(report: GapReport) -> Iterator[tuple[str, ...]]:
    """What both have, what no stage explains, and the sum."""
    for name in (*report.shared, PROGRAM, UNATTRIBUTED):
        ours, theirs = _of(report.a, name), _of(report.b, name)
        if not (ours.ns or theirs.ns):
            continue
        error = (ours.ns_error**2 + theirs.ns_error**2) ** 0.5
        counts = (ours.instructions, theirs.instructions)
        known = counts[0] is not None and counts[1] is not None
        more = f"{(counts[0] or 0) - (counts[1] or 0):+.2f}" if known else "-"
        change = ours.ns - theirs.ns
        what = f"  {'both' if name in report.shared else 'unexplained'}: {name}"
        yield (what, more, "", f"{change:+.3f}", f"{error:.3f}", _share(change, report))
    total = f"{report.total_ns:+.3f}"
    yield (
        f"= {report.a.arm} less {report.b.arm}",
        "",
        "",
        total,
        "",
        _share(report.total_ns, report),
    )


def _of(side: Side, name: str) -> StageCost:
    """All costs of a kind together."""
    return _together(name, [cost for cost in side.stages if cost.stage.endswith(name)])


def _together(name: str, costs: Sequence[StageCost]) -> StageCost:
    counts = [cost.instructions for cost in costs if cost.instructions is not None]
    return StageCost(
        stage=name,
        instructions=sum(counts) if counts else None,
        ns=sum(cost.ns for cost in costs),
        ns_error=sum(cost.ns_error**2 for cost in costs) ** 0.5,
        function="",
    )


def _share(ns: float, report: GapReport) -> str:
    return f"{100 * ns / report.total_ns:.0f} %" if report.total_ns else "-"


def _notes(report: GapReport) -> Iterator[tuple[str, str]]:
    for row in report.comparison.rows:
        yield "verdict", f"{row.arm}: {comparison.verdict(row)}, against {report.comparison.base}"
    for number, finding in enumerate(findings(report), 1):
        yield f"{number}.", finding
    yield "instructions", f"{report.a.exact or 'not counted here'}, per op"
    yield "ns/op", f"time per op x the share of samples ({report.a.sampled}); +-: standard error"
    where = "samples fall where the processor waits: the time of the program's own code, the same "
    yield "unexplained", f"{where}beside both, moves with what the allocator does around it"
    for arm, why in report.comparison.excluded.items():
        yield "UNPROVEN", f"{arm}: {why}"
