"""A counter report as text, CSV and JSON."""

import csv
import io
import json
import textwrap
from typing import Any

from hakprof.counters.report import CounterReport
from hakprof.counters.tables import TEXT, Cell, Column, Table
from hakprof.counting import Counted
from hakprof.render.table import PAGE, cut, labelled, table
from hakprof.units import Unit, show, show_number, show_percent


def render_text(report: CounterReport) -> str:
    """Heading, tables, findings, identities; ends in a newline."""
    parts = [[report.title, *labelled([(f"  {k}", v) for k, v in report.facts.items()])]]
    parts += [_table(one) for one in report.tables]
    parts.append([line for text in report.findings for line in _wrap(text)])
    if report.verdicts:
        parts.append(["Identities", *(line for v in report.verdicts for line in _wrap(v, "  "))])
    if report.problems:
        parts.append(["Problems", *(line for p in report.problems for line in _wrap(p, "  "))])
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def render_counted(counted: Counted) -> str:
    """The counts of a run beside its figures, and what counting costs."""
    cost = counted.cost
    low, high = (show_percent(end - 1) for end in (cost.low, cost.high))
    price = (
        f"Cost of counting: {show_percent(cost.value - 1)} of the time ({low} to {high}; "
        f"{counted.timed}, {counted.pairs} pairs of both builds, interleaved)"
    )
    lines = [*_wrap(price), *_wrap("No figure above was measured with counters.")]
    return "\n".join(["", *lines, "", render_text(counted.report)])


def _wrap(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        PAGE.text,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_on_hyphens=False,
        break_long_words=False,
    )


def _table(one: Table) -> list[str]:
    heading = [one.title, *[""] * (len(one.columns) - 1)]
    heading[1:] = [column.name for column in one.columns[1:]]
    rows = [heading]
    rows += [
        [_cell(cell, column) for cell, column in zip(row, one.columns, strict=True)]
        for row in one.rows
    ]
    right = [column.unit != TEXT for column in one.columns]
    lines = cut(table(rows, right))
    return [*lines, f"({one.note})"] if one.note else lines


def _cell(cell: Cell, column: Column) -> str:
    match cell:
        case None:
            return ""
        case str():
            return cell
        case int() if column.unit == Unit.COUNT:
            return f"{cell:,}"
        case _ if column.unit in {Unit.COUNT, Unit.RATIO}:
            return show_number(cell)
    return show(cell, column.unit)


def render_csv(report: CounterReport) -> str:
    """All tables below each other: table, row, column, unit, value."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("table", "row", "column", "unit", "value"))
    for one in report.tables:
        for row in one.rows:
            for cell, column in zip(row[1:], one.columns[1:], strict=True):
                writer.writerow((one.name, row[0], column.name, column.unit, cell))
    return out.getvalue()


def render_json(report: CounterReport) -> str:
    """One document: tables as lists of objects, and every counter that is not zero."""
    view = report.view
    document: dict[str, Any] = {
        "hakprof_counters": 1,
        "title": report.title,
        **report.facts,
        "tables": {
            one.name: [
                dict(zip((column.name for column in one.columns), row, strict=True))
                for row in one.rows
            ]
            for one in report.tables
        },
        "counters": {name: n for name in view.layout.counters if (n := view.sum(name))},
        "gauges": dict(view.gauges),
        "findings": list(report.findings),
        "identities": list(report.verdicts),
        "broken": list(report.broken),
        "problems": list(report.problems),
    }
    return json.dumps(document, indent=2) + "\n"
