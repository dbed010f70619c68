"""Paths through a function: a table of them, then the first ones instruction by instruction."""

import textwrap
from collections.abc import Iterable, Iterator

from hakprof.hotspots.annotate import source_text
from hakprof.hotspots.paths import Path, Paths
from hakprof.render.hotspots import heading
from hakprof.render.table import PAGE, cut, table
from hakprof.symbols.lines import Place

SUMMARY = 12
TOP_STAGES = 2


def render(found: list[Paths], detailed: int) -> str:
    """The paths of each library; `detailed` of them with all instructions."""
    parts = [heading(found[0].recording)]
    for one in found:
        parts.append(_summary(one))
        parts += [list(_detail(one, i, path)) for i, path in enumerate(one.paths[:detailed])]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _summary(one: Paths) -> list[str]:
    head = f"{one.function} in {one.library}: {one.operations:,} operations on {len(one.paths)} "
    lines = [head + f"paths, {one.mean:.2f} instructions each (exact, single steps)"]
    if one.unfinished:
        lines.append("the trace ends in one more operation, which is left out")
    rows = [("path", "share", "count", "instructions", "most of them")]
    for i, path in enumerate(one.paths[:SUMMARY]):
        share = f"{100 * path.count / one.operations:.2f} %"
        top = sorted(path.stages, key=lambda stage: -stage[1])[:TOP_STAGES]
        rows.append((str(i + 1), share, f"{path.count:,}", str(len(path.steps)), _stages(top)))
    lines += cut(table(rows, (True, True, True, True, False)))
    rest = one.paths[SUMMARY:]
    if rest:
        count = sum(path.count for path in rest)
        lengths = [len(path.steps) for path in rest]
        lines.append(
            f"and {len(rest)} more paths, {100 * count / one.operations:.2f} % of all, "
            f"{min(lengths)} to {max(lengths)} instructions"
        )
    return lines


def _stages(counts: Iterable[tuple[str, int]]) -> str:
    """`pop 6, class look-up 2`, without the allocator's name."""
    return ", ".join(f"{stage.split(': ', 1)[-1]} {count}" for stage, count in counts)


def _detail(one: Paths, number: int, path: Path) -> Iterator[str]:
    share = 100 * path.count / one.operations
    yield f"path {number + 1}: {share:.2f} % of operations, {len(path.steps)} instructions"
    yield from textwrap.wrap(
        _stages(path.stages), PAGE.text, initial_indent="  ", subsequent_indent="  "
    )
    function, place, stage = "", None, ""
    for i, step in enumerate(path.steps):
        if step.function != function:
            function, place = step.function, None
            yield f"  {function or '(no name)'} ({step.library})"
        here = step.chain[0] if step.chain else None
        if here != place:
            place = here
            if here is not None:
                yield _source_line(here)
        mark = "" if step.stage == stage else f"  ; {step.stage.split(': ', 1)[-1]}"
        stage = step.stage
        instruction = step.instruction
        left = f"{i + 1:6}  {instruction.address:6x}  {instruction.text}"
        yield f"{left:<58}{mark}".rstrip()[: PAGE.line]


def _source_line(place: Place) -> str:
    where = f"{place.file.rsplit('/', 1)[-1]}:{place.line}"
    return f"                  {where}  {source_text(place)}".rstrip()[: PAGE.line]
