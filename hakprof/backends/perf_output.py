"""Parses what `perf stat` prints for machines: JSON lines (-j) or separated values (-x ';').

Fields come and go by version, so they are read by name where there are names and the rest is
ignored. `<not supported>` and `<not counted>` come with exit code 0.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from hakprof.model import Absence, Absent, Value

UNIT_FACTORS = {"msec": 1e6, "usec": 1e3, "ns": 1.0, "": 1.0}
"""perf's unit -> factor to what counters/perf.toml promises (ns, or plain counts)"""

MIN_RUNNING = 0.25
"""An event that counted in less than this share of the time is refused: the rest is a guess."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of perf: an event of one PMU."""

    event: str  # without PMU and modifiers: `instructions` for `cpu_core/instructions/u`
    value: Value
    running: float  # share of the time in which it was counted; perf divided the value by it


def plain_event(name: str) -> str:
    """`instructions` in `instructions:u`, `cpu_core/instructions/u`, `cpu_atom/instructions:u/`."""
    pmu_or_event, _, event = name.strip().partition("/")
    return re.split("[/:]", event or pmu_or_event)[0]


def parse_json(text: str) -> list[Row]:
    """Rows of -j. What is no object with an event (comments, metrics alone) is no row."""
    return [
        _row(
            str(table["event"]),
            str(table.get("counter-value", "")),
            str(table.get("unit", "")),
            table.get("event-runtime"),
            table.get("pcnt-running"),
        )
        for table in _objects(text.splitlines())
        if "event" in table
    ]


def _objects(lines: Iterable[str]) -> Iterable[dict[str, Any]]:
    for line in lines:
        try:
            table = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(table, dict):
            yield table


def parse_csv(text: str) -> list[Row]:
    """Rows of -x ';': value;unit;event;[variance;]runtime;percent[;metric;unit]."""
    rows = []
    for line in text.splitlines():
        fields = line.split(";")
        if len(fields) < 5 or line.startswith("#"):  # noqa: PLR2004 (up to `percent`)
            continue
        rest = fields[3:]
        if rest[0].endswith("%"):
            rest = rest[1:]
        runtime, percent = (*rest, "", "")[:2]
        rows.append(_row(fields[2], fields[0], fields[1], runtime, percent))
    return rows


def _row(event: str, value: str, unit: str, runtime: object, percent: object) -> Row:
    running = (_number(percent) or 0.0) / 100
    name = plain_event(event)
    if value == "<not supported>":
        why = "the processor or the hypervisor does not count it"
        return Row(name, Absent(Absence.NOT_SUPPORTED, why), running)
    number = _number(value)
    if number is None or not (_number(runtime) or 0) > 0 or not 0 < running <= 1.01:  # noqa: PLR2004 (a rounded 100 %)
        return Row(name, Absent(Absence.NOT_COUNTED, "perf never got to count it"), running)
    return Row(name, number * UNIT_FACTORS.get(unit, 1.0), running)


def _number(text: object) -> float | None:
    """A finite number that is not negative; None if the text is no such number."""
    match = re.fullmatch(r"\d+(\.\d+)?(e[+-]?\d+)?", str(text).strip(), re.ASCII)
    return float(match[0]) if match and float(match[0]) < float("inf") else None


def combine(rows: Sequence[Row]) -> Row | None:
    """One row of the rows of one event: a hybrid processor has one for each kind of core.

    perf scales each row as if its kind of core had been the only one. What was counted is taken
    together and scaled by the time that was counted in all; too little of it is refused.
    """
    counted = [(row.value, row.running) for row in rows if not isinstance(row.value, Absent)]
    if not counted:
        return rows[0] if rows else None
    running = sum(share for _, share in counted)
    if running < MIN_RUNNING:
        why = f"counted only {running:.0%} of the time: too many events for this processor"
        return Row(rows[0].event, Absent(Absence.NOT_COUNTED, why), running)
    seen = sum(value * share for value, share in counted)
    return Row(rows[0].event, seen / running, min(running, 1.0))
