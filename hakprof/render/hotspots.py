"""Hotspots as text and JSON."""

import json
import textwrap
from collections.abc import Sequence

from hakprof import records
from hakprof.hotspots.recording import Recording, Source
from hakprof.hotspots.tables import Hotspots, Row, Share
from hakprof.model import Kind
from hakprof.render.table import GAP, PAGE, cut, labelled, table

SCHEMA = "hakprof-hotspots-1"
HIDDEN_BELOW = 0.0005
NAME_WIDTH, NAME_LEAST = 48, 20
MANY_SOURCES = 4


def render(found: Hotspots, top: int) -> str:
    """Findings first, then stages, libraries and the functions with the largest shares."""
    parts = [heading(found.recording)]
    parts.append([line for text in found.findings for line in _wrap(f"! {text}", "  ")])
    parts.append(_rows("by stage", found.stages, found.sources, len(found.stages)))
    parts.append(_rows("by library", [_library(r) for r in found.libraries], found.sources, 10))
    parts.append(_rows("by function", found.functions, found.sources, top))
    parts.append(source_lines(found.sources))
    parts.append([line for note in found.notes for line in _wrap(note, "  ")])
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def recorded(recording: Recording, found: Sequence[Source]) -> str:
    """What `hakprof record` says when it is done."""
    parts = [heading(recording), source_lines(found)]
    if recording.proof:
        parts.append(_wrap(f"! {recording.proof}", "  "))
    parts.append(["hakprof hotspots, annotate SYMBOL, paths FUNCTION and flame show it"])
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def render_json(found: Hotspots) -> str:
    """All rows."""
    document = {
        "schema": SCHEMA,
        "recording": records.to_json(found.recording),
        "sources": [
            {"name": s.name, "label": s.label, "kind": str(s.kind), "samples": s.samples}
            for s in found.sources
        ],
        "findings": list(found.findings),
        "notes": list(found.notes),
        **{
            name: [records.to_json(row) for row in rows]
            for name, rows in (
                ("stages", found.stages),
                ("libraries", found.libraries),
                ("functions", found.functions),
            )
        },
    }
    return json.dumps(document, indent=1) + "\n"


def heading(recording: Recording) -> list[str]:
    """What was recorded, where and when."""
    if not recording.run:
        return [str(recording.folder / recording.pieces[0].file)]
    return [
        f"{recording.target} on {recording.allocator}",
        f"run {recording.run}, {recording.started}, {recording.machine}",
    ]


def source_lines(found: Sequence[Source]) -> list[str]:
    """How each column was got."""
    rows = []
    for source in found:
        runs = len(source.profiles)
        if source.kind is Kind.SAMPLED:
            how = f"{source.samples:,} samples in {runs} profile{'s' if runs > 1 else ''}"
            meaning = "time" if source.profiles[0].unit == "ns" else source.profiles[0].event
            rows.append((source.name, f"{meaning}, {source.kind}: {source.label}; {how}; +- is SE"))
        else:
            how = f"{source.samples:,} instructions"
            if source.ops:
                how += f" in {source.ops:,} ops, {source.samples / source.ops:.2f} an op"
            rows.append((source.name, f"instructions, {source.kind}: {source.label}; {how}"))
    return labelled(rows)


def show_share(share: Share) -> str:
    """`12.3 %`, `12.3 +-0.4 %`, or `3.21 12.3 %` where the number per op is known."""
    percent = f"{100 * share.fraction:.1f}"
    if share.error:
        percent += f" +-{100 * share.error:.1f}"
    if share.per_op is not None:
        return f"{share.per_op:.2f}  {percent:>5} %"
    return f"{percent} %"


def header(found: Sequence[Source]) -> tuple[str, ...]:
    """A column: the source and what it is a share of, the latter short if there are many."""
    instructions = " instr" if len(found) < MANY_SOURCES else " i"
    return tuple(
        f"{source.name} {'time' if source.profiles[0].unit == 'ns' else 'samples'}"
        if source.kind is Kind.SAMPLED
        else f"{source.name}{instructions}{'/op' if source.ops else ''}"
        for source in found
    )


def _rows(title: str, rows: Sequence[Row], found: Sequence[Source], top: int) -> list[str]:
    shown = [row for row in rows if row.weight >= HIDDEN_BELOW][:top]
    figures = [header(found), *(tuple(map(show_share, row.shares)) for row in shown)]
    taken = sum(max(map(len, column)) + len(GAP) for column in zip(*figures, strict=True))
    taken += max((len(row.library) + len(GAP) for row in shown if row.library), default=0)
    width = min(NAME_WIDTH, max(PAGE.text - taken, NAME_LEAST))
    cells = [(title, *header(found), "")]
    cells += [
        (_cut(row.name, width), *shares, row.library)
        for row, shares in zip(shown, figures[1:], strict=True)
    ]
    rest = rows[len(shown) :]
    if rest:
        sums = [sum(row.shares[i].fraction for row in rest) for i in range(len(found))]
        cells.append((f"{len(rest)} more", *(f"{100 * s:.1f} %" for s in sums), ""))
    return cut(table(cells, (False, *(True for _ in found), False)))


def _library(row: Row) -> Row:
    return Row(row.library, "", row.shares)


def _cut(name: str, width: int) -> str:
    return name if len(name) <= width else name[: width - 3] + "..."


def _wrap(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, PAGE.text, subsequent_indent=indent, break_on_hyphens=False)
