"""A flame view for a terminal: a row a depth, the root on top, width is weight."""

import textwrap
from collections.abc import Sequence

from hakprof.hotspots.flame import Flame, Node
from hakprof.hotspots.flame import tree as make_tree

DEPTH = 24
PLAIN = "\x1b[0m"
COLOURS = ("\x1b[30;43m", "\x1b[30;103m", "\x1b[97;41m", "\x1b[30;101m")
MORE, LESS = "\x1b[97;41m", "\x1b[97;44m"
NOTABLE = 0.001
"""A change of share smaller than this is not tinted."""

Cell = tuple[int, int, Node]
"""First column, width, what it shows."""


def render(shown: Flame, before: Flame | None, *, width: int, colour: bool) -> str:
    """Title, rows, and how wide a column is."""
    root = make_tree(shown, before)
    lines = [shown.title]
    if before is not None:
        lines.append(f"compared with {before.title}: red grew, blue shrank" if colour else "")
    row: list[Cell] = [(0, width, root)]
    for depth in range(DEPTH):
        lines.append(_line(row, depth, colour=colour, compared=before is not None))
        row = [cell for first, size, node in row for cell in _below(first, size, node)]
        if not row:
            break
    else:
        lines.append(f"deeper calls than {DEPTH} are left out")
    lines.append(f"a column is {100 / width:.2f} % of {shown.kind} {shown.unit}")
    lines += textwrap.wrap(shown.remark, width)
    return "\n".join(line.rstrip() for line in lines if line) + "\n"


def _below(first: int, size: int, node: Node) -> list[Cell]:
    cells, at = [], float(first)
    for child in node.ordered():
        wide = size * child.weight / (node.weight or 1.0)
        start, end = round(at), round(at + wide)
        if end > start:
            cells.append((start, end - start, child))
        at += wide
    return cells


def _line(row: Sequence[Cell], depth: int, *, colour: bool, compared: bool) -> str:
    text, at = "", 0
    for number, (first, size, node) in enumerate(row):
        text += " " * (first - at)
        label = (node.name if colour else f"|{node.name}")[:size].ljust(
            size, " " if colour else "-"
        )
        tint = _tint(node, depth + number, compared=compared)
        text += f"{tint}{label}{PLAIN}" if colour and tint else label
        at = first + size
    return text


def _tint(node: Node, number: int, *, compared: bool) -> str:
    if not compared:
        return COLOURS[number % len(COLOURS)]
    if abs(node.weight - node.before) < NOTABLE:
        return ""
    return MORE if node.weight > node.before else LESS
