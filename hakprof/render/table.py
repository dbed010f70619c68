"""Plain text tables and paragraphs that fit a width. No box drawing, no colours.

Only a terminal has a width that lines must not exceed: in pipes and files nothing is cut or folded.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 100
LEAST_WIDTH = 20
GAP = "  "


@dataclass(slots=True)
class Page:
    """What text is wrapped to, and the longest line that a terminal shows; None: any."""

    text: int = WIDTH
    line: int | None = None

    def fit(self, columns: int) -> None:
        """There is a terminal of so many columns."""
        self.line = max(columns, LEAST_WIDTH)
        self.text = min(WIDTH, self.line)


PAGE = Page()


def cut(lines: Sequence[str]) -> list[str]:
    """Lines that may lose their ends on a terminal."""
    return [line[: PAGE.line].rstrip() for line in lines]


def table(rows: Sequence[Sequence[str]], right: Sequence[bool]) -> list[str]:
    """Lines with aligned columns; `right` says which columns are aligned to the right.

    What is too wide for a terminal goes on below, the first column again beside it; where that does
    not fit either, it becomes a list.
    """
    label, *others = _widths(rows)
    if PAGE.line is None or sum(others) + label + len(GAP) * len(others) <= PAGE.line:
        return aligned(rows, right)
    if label + len(GAP) + max(others) > PAGE.line:
        return _listed(rows)
    lines: list[str] = []
    for columns in _folded([label, *others], PAGE.line):
        part = [[row[i] for i in columns] for row in rows]
        shown = [part[0], *(row for row in part[1:] if any(row[1:]))]
        lines += [*([""] if lines else []), *aligned(shown, [right[i] for i in columns])]
    return lines


def aligned(rows: Sequence[Sequence[str]], right: Sequence[bool]) -> list[str]:
    """The same however wide it becomes: one line a row."""
    widths = _widths(rows)
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(row, widths, right, strict=True)
        ]
        lines.append(GAP.join(cells).rstrip())
    return lines


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def _folded(widths: Sequence[int], most: int) -> list[list[int]]:
    """Which columns stand beside each other; the first stands in each part."""
    parts: list[list[int]] = []
    left = 0
    for i, width in enumerate(widths[1:], 1):
        if not parts or left < len(GAP) + width:
            parts.append([0])
            left = most - widths[0]
        parts[-1].append(i)
        left -= len(GAP) + width
    return parts


def _listed(rows: Sequence[Sequence[str]]) -> list[str]:
    """A row as a heading and a line for each of its cells, with the name of its column."""
    lines = []
    names = rows[0]
    for row in rows[1:]:
        lines += wrapped(row[0])
        for name, cell in zip(names[1:], row[1:], strict=True):
            if cell.strip():
                text = f"{name}: {cell.strip()}" if name else cell.strip()
                lines += wrapped(f"{2 * GAP}{text}", 3 * GAP)
    return lines


def wrapped(text: str, indent: str = "  ") -> list[str]:
    """A sentence over several lines, all but the first indented. Long paths stay whole."""
    return textwrap.wrap(
        text,
        PAGE.text,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    )


def labelled(rows: Sequence[tuple[str, str]], width: int | None = None) -> list[str]:
    """`label  text`, the text wrapped and indented to its own left edge."""
    edge = max((len(label) for label, _ in rows), default=0) + len(GAP)
    lines: list[str] = []
    for label, text in rows:
        lines += textwrap.wrap(
            text,
            width or PAGE.text,
            initial_indent=label.ljust(edge),
            subsequent_indent=" " * edge,
            break_on_hyphens=False,
            break_long_words=False,
        ) or [label]
    return lines
