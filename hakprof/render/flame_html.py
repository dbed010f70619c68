"""A flame graph as one HTML file that needs nothing else: search, zoom, difference of two runs."""

import html
import json
from pathlib import Path

from hakprof.hotspots.flame import Flame, Node, tree

TEMPLATE = Path(__file__).resolve().parent.parent / "data" / "flame.html"
SMALLEST = 1 / 5000
"""Calls with less than this share of the whole are narrower than a dot on any screen."""


def render(shown: Flame, before: Flame | None = None) -> str:
    """The page."""
    root = tree(shown, before)
    data = {
        "title": ". ".join(filter(None, (shown.title, shown.remark))),
        "before": before.title if before else None,
        "unit": shown.unit,
        "kind": shown.kind,
        "rows": _rows(root, SMALLEST * max(root.weight, root.before)),
    }
    embedded = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    page = TEMPLATE.read_text(encoding="utf-8")
    return page.replace("@TITLE@", html.escape(shown.title)).replace("@DATA@", embedded)


def _rows(root: Node, least: float) -> list[tuple[int, str, float, float]]:
    """(row of the caller, name, weight, weight before), callers first: a tree of any depth."""
    rows: list[tuple[int, str, float, float]] = []
    todo = [(-1, root)]
    while todo:
        caller, node = todo.pop()
        todo += [
            (len(rows), child)
            for child in reversed(node.ordered())
            if max(child.weight, child.before) >= least
        ]
        rows.append((caller, node.name, node.weight, node.before))
    return rows
