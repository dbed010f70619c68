"""The rows of `hakprof doctor` as text."""

from collections.abc import Iterable

from hakprof.checkup import Check, Checkup, State
from hakprof.render.table import labelled


def render(checkup: Checkup) -> str:
    """Two headed lists and a last line that sums up, ending in a newline."""
    rows = (*checkup.machine, *checkup.backends)
    edge = max(len(row.name) for row in rows)
    warnings = sum(row.state is State.WARN for row in rows)
    last = f"Counts with {checkup.counts_with}. {warnings} warning{'' if warnings == 1 else 's'}."
    parts = [
        ["Machine", *_lines(checkup.machine, edge)],
        ["Backends, the best first", *_lines(checkup.backends, edge)],
        [last],
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _lines(rows: Iterable[Check], edge: int) -> list[str]:
    return labelled(
        [line for row in rows for line in _row(row, edge)],
    )


def _row(row: Check, edge: int) -> list[tuple[str, str]]:
    state = max(len(state) for state in State)
    first = (f"  {row.state:{state}}  {row.name:{edge}}", row.seen)
    return [first, ("", f"-> {row.advice}")] if row.advice else [first]
