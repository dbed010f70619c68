"""A comparison as text and as Markdown: the figures of every arm, then what may be said of them."""

import math
from collections.abc import Iterator

from hakprof import units
from hakprof.compare import Comparison, Judgement
from hakprof.comparison import ComparisonReport, Row, findings
from hakprof.render import text
from hakprof.render.table import labelled, table
from hakprof.stats import LEAST_BLOCKS

TWICE = 2.0
"""From here on a factor says more than per cent."""


def render(comparison: ComparisonReport) -> str:
    """The figures as `hakprof stat` shows them, then the verdicts and what they rest on."""
    report = comparison.report
    parts = [text.heading(report), *text.side_by_side(report), text.calls(report)]
    parts += [text.sources(report), labelled(list(text.trust(report)))]
    return "".join("\n".join(part) + "\n\n" for part in parts if part) + verdicts(comparison)


def verdicts(comparison: ComparisonReport) -> str:
    """Verdicts, winner, noise, and what was left out, ending in a newline."""
    lines = []
    if comparison.rows:
        rows = [("", *_headings(comparison)), *((row.arm, *_cells(row)) for row in comparison.rows)]
        lines += [*table(rows, (False, False, True, True, True)), ""]
    lines += labelled(list(notes(comparison)))
    return "\n".join(lines) + "\n"


def markdown(comparison: ComparisonReport) -> str:
    """The verdicts as a Markdown table with its notes below."""
    rows = [("", *_headings(comparison)), ("---",) * 5]
    rows += [(row.arm, *_cells(row)) for row in comparison.rows]
    target = comparison.report.target
    head = f"### {target.name}, {target.threads} thread{'s' if target.threads != 1 else ''}"
    lines = [head, "", *(f"| {' | '.join(row)} |" for row in rows), ""]
    lines += [f"- {label}: {note}" for label, note in notes(comparison)]
    return "\n".join(lines) + "\n"


def verdict(row: Row | Comparison) -> str:
    """`faster by 3.10 .. 4.20 %`, `2.75 .. 3.10x as fast`, `no difference larger than 0.90 %`."""
    if row.speed is None or row.judgement is Judgement.UNDECIDED:
        return str(row.judgement)
    low, high = row.speed.low - 1, row.speed.high - 1
    if row.judgement is Judgement.FASTER and row.speed.low >= TWICE:
        return f"{row.speed.low:.2f} .. {row.speed.high:.2f}x as fast"
    if row.judgement is Judgement.FASTER:
        return f"faster by {_range(low, high)}"
    if row.judgement is Judgement.SLOWER:
        return f"slower by {_range(-high, -low)}"
    return f"no difference larger than {units.show_percent(row.speed.bound)}"


def _range(low: float, high: float) -> str:
    first, last = units.show_percent(low), units.show_percent(high)
    return first if first == last else f"{first.removesuffix(' %')} .. {last}"


def _headings(comparison: ComparisonReport) -> tuple[str, ...]:
    against = f"{comparison.compared}, against {comparison.base}"
    runs = comparison.runs_a_block
    blocks = f"blocks of {runs} runs" if runs > 1 else "blocks"
    return (against, blocks, "peak RSS", "instructions/op")


def _cells(row: Row) -> tuple[str, ...]:
    return (verdict(row), str(row.blocks), _times(row.memory), _times(row.instructions))


def _times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.3f}x"


def notes(comparison: ComparisonReport) -> Iterator[tuple[str, str]]:
    """(label, sentence): winner, findings, noise, and the arms without a verdict."""
    if comparison.winner:
        yield "winner", f"{comparison.winner}: faster than each other arm"
    elif len(comparison.rows) > 1:
        yield "winner", "none: the fastest cannot be told apart from every other arm"
    for finding in findings(comparison):
        yield "finding", finding
    base = comparison.base
    if comparison.noise is not None:
        least = units.show_percent(comparison.noise)
        seen = f"{least} is the least difference that can be seen here now: by so much"
        yield "noise", f"{seen} {base} may differ from itself (A/A in the same blocks)"
    if comparison.unsteady:
        yield "noise", f"{base} differed from itself: other arms must differ by more than that"
    for arm, why in comparison.excluded.items():
        yield "no verdict", f"{arm}: {why}"
    if comparison.needed_s is not None:
        needed = f"--budget {math.ceil(comparison.needed_s)}s"
        yield "no verdict", f"too few blocks for any: {needed} is the least that can decide"
    elif comparison.rows and all(row.speed is None for row in comparison.rows):
        needed = f"--runs {LEAST_BLOCKS}"
        yield "no verdict", f"too few blocks for any: {needed} is the least that can decide"
