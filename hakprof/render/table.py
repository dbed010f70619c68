"""Plain text tables and paragraphs that fit a width. No box drawing, no colours."""

import textwrap
from collections.abc import Sequence

WIDTH = 100
GAP = "  "


def table(rows: Sequence[Sequence[str]], right: Sequence[bool]) -> list[str]:
    """Lines with aligned columns; `right` says which columns are aligned to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(right))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(row, widths, right, strict=True)
        ]
        lines.append(GAP.join(cells).rstrip())
    return lines


def wrapped(text: str, indent: str = "  ") -> list[str]:
    """A sentence over several lines, all but the first indented. Long paths stay whole."""
    return textwrap.wrap(
        text,
        WIDTH,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    )


def labelled(rows: Sequence[tuple[str, str]], width: int = WIDTH) -> list[str]:
    """`label  text`, the text wrapped and indented to its own left edge."""
    edge = max((len(label) for label, _ in rows), default=0) + len(GAP)
    lines: list[str] = []
    for label, text in rows:
        lines += textwrap.wrap(
            text,
            width,
            initial_indent=label.ljust(edge),
            subsequent_indent=" " * edge,
            break_on_hyphens=False,
            break_long_words=False,
        ) or [label]
    return lines
