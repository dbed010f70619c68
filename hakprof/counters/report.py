"""Dumps to a report: which process, its tables, whether the identities hold, what it means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hakprof.counters.dump import Dump, State
from hakprof.counters.identities import Check, check_all, excuse, verdict
from hakprof.counters.layout import Layout, layout_of
from hakprof.counters.sentences import sentences
from hakprof.counters.tables import (
    TEXT,
    Cell,
    Column,
    Table,
    all_tables,
    process_table,
    thread_table,
)
from hakprof.counters.view import View, difference_view, merged_view, share, view_of
from hakprof.errors import InputError
from hakprof.schema import Schema
from hakprof.units import Unit


@dataclass(frozen=True, slots=True)
class CounterReport:
    """What `hakprof counters` shows, before it is text."""

    title: str
    facts: Mapping[str, str]
    tables: Sequence[Table]
    findings: Sequence[str]
    verdicts: Sequence[str]
    broken: Sequence[str]  # verdicts on identities that do not hold and have no excuse
    problems: Sequence[str]
    view: View = field(repr=False)


def report_on(dumps: Sequence[Dump], schema: Schema) -> CounterReport:
    """One process, or several together. `dumps` has at least one."""
    checks = [check_all(schema, dump) for dump in dumps]
    problems = [f"{dump.source}: {text}" for dump in dumps for text in dump.problems]
    problems += layout_notes(dumps[0].layout, schema)
    mixed = [dump.source for dump in dumps if dump.layout != dumps[0].layout]
    if mixed:
        problems.append(f"{', '.join(mixed)}: of another layout, not in the sums")
        pairs = [(d, c) for d, c in zip(dumps, checks, strict=True) if d.source not in mixed]
        dumps, checks = [d for d, _ in pairs], [c for _, c in pairs]
    view = view_of(dumps[0]) if len(dumps) == 1 else merged_view(dumps)
    tables = all_tables(view, meanings(schema))
    if len(dumps) == 1:
        tables.append(thread_table(dumps[0]))
        verdicts = _verdicts(dumps[0], checks[0])
    else:
        verdicts = [_summary(d, c) for d, c in zip(dumps, checks, strict=True)]
        tables.insert(0, process_table(dumps, [view_of(dump) for dump in dumps], verdicts))
    return CounterReport(
        title=_title(dumps),
        facts=_facts(dumps[0]) if len(dumps) == 1 else {},
        tables=[table for table in tables if table.rows],
        findings=sentences(view),
        verdicts=verdicts if len(dumps) == 1 else (),
        broken=_broken(dumps, checks),
        problems=problems,
        view=view,
    )


def report_difference(before: Dump, after: Dump, schema: Schema) -> CounterReport:
    """What changed: within one process what it did between the dumps, else two runs per op."""
    if before.layout != after.layout:
        raise InputError(
            f"{before.source} and {after.source} count different things "
            f"(layouts {before.layout.digest} and {after.layout.digest})",
            advice="compare dumps of one build of hakmem",
        )
    same = (before.pid, before.started_ns) == (after.pid, after.started_ns)
    if same:
        if (before.history() > after.history()).any():
            raise InputError(f"{before.source} is the later one", advice="swap the two files")
        view = difference_view(before, after)
        tables = all_tables(view, meanings(schema))
        findings = sentences(view)
        title = f"Process {after.pid}, from {before.source} to {after.source}"
    else:
        view = view_of(after)
        tables = [change_table(view_of(before), view)]
        findings = []
        title = f"{before.source} against {after.source}, for 1000 operations"
    checks = [check_all(schema, dump) for dump in (before, after)]
    return CounterReport(
        title=title,
        facts={},
        tables=tables,
        findings=findings,
        verdicts=[f"{d.source}: {_summary(d, c)}" for d, c in zip((before, after), checks)],  # noqa: B905 # pairs
        broken=_broken((before, after), checks),
        problems=[f"{dump.source}: {p}" for dump in (before, after) for p in dump.problems],
        view=view,
    )


def change_table(before: View, after: View) -> Table:
    """Each counter of two runs for 1000 operations, and the ratio."""
    rows: list[tuple[Cell, ...]] = []
    for name, found in after.layout.counters.items():
        named = [axis for axis in found.axes if axis.members]
        for member in named[0].members if named else ("",):
            pick = {named[0].name: member} if named else {}
            a = share(1000 * before.sum(name, **pick), before.ops)
            b = share(1000 * after.sum(name, **pick), after.ops)
            if a or b:
                label = f"{name}[{member}]" if member else name
                rows.append((label, a, b, share(b, a) if a and b is not None else None))
    columns = (
        Column("counter", TEXT),
        Column("before", Unit.COUNT),
        Column("after", Unit.COUNT),
        Column("ratio", Unit.RATIO),
    )
    return Table("change", "Counters for 1000 operations", columns, tuple(rows))


def meanings(schema: Schema) -> dict[str, dict[str, str]]:
    """By axis: what its members mean."""
    axes = schema.extra.get("axis", {})
    return {name: dict(axis.get("members", {})) for name, axis in axes.items()}


def layout_notes(layout: Layout, schema: Schema) -> list[str]:
    """Counters that only one side knows: a dump of an older or newer hakmem."""
    ours = layout_of(schema)
    if layout.digest == ours.digest:
        return []
    unknown = sorted(set(layout.counters) - set(ours.counters))
    missing = sorted(set(ours.counters) - set(layout.counters))
    note = f"the dump is of another layout ({layout.schema} {layout.digest})"
    note += f"; unknown counters: {', '.join(unknown)[:200]}" if unknown else ""
    note += f"; it lacks: {', '.join(missing)[:200]}" if missing else ""
    return [note]


def _title(dumps: Sequence[Dump]) -> str:
    if len(dumps) > 1:
        return f"{len(dumps)} processes"
    dump = dumps[0]
    how = {
        State.FINISHED: "at its end",
        State.RUNNING: "while it ran",
        State.DIED: "as it was when it died",
    }[dump.state]
    return f"Process {dump.pid}, {how}"


def _facts(dump: Dump) -> dict[str, str]:
    info = dump.info
    command = info.get("command")
    config = info.get("config")
    threads = sum(not thread.shared for thread in dump.threads)
    facts = {
        "command": " ".join(map(str, command)) if isinstance(command, list) else "",
        "program": str(info.get("exe", "")),
        "build ids": f"program {info.get('program_build_id') or 'none'}, "
        f"hakmem {info.get('library_build_id') or 'none'}",
        "configuration": " ".join(f"{k}={v}" for k, v in config.items())
        if isinstance(config, dict)
        else "",
        "threads": f"{threads} live, {dump.threads_ended} ended",
        "forked": f"from {dump.parent_pid}: its counts are left out" if dump.inherited else "",
    }
    return {name: text for name, text in facts.items() if text}


def _verdicts(dump: Dump, checks: Sequence[Check]) -> list[str]:
    """Those that do not hold, a line each; the others together."""
    known = set(dump.layout.counters) | set(dump.layout.gauges)
    lines = [verdict(check, dump) for check in checks if check.breaches]
    for text, found in (
        ("hold", [c for c in checks if c.holds]),
        (
            "need a look at the heap at rest, which this dump has not",
            [c for c in checks if c.missing and known.issuperset(c.missing)],
        ),
        (
            "are about counters that this dump has not",
            [c for c in checks if not known.issuperset(c.missing)],
        ),
    ):
        if found:
            names = ", ".join(check.identity.name for check in found)
            lines.append(f"{len(found)} of {len(checks)} {text}: {names}")
    return lines


def _summary(dump: Dump, checks: Sequence[Check]) -> str:
    off = [check.identity.name for check in checks if check.breaches]
    checked = sum(not check.missing for check in checks)
    if not off:
        return f"all {checked} hold"
    return f"off: {', '.join(off)} ({excuse(dump) or 'BROKEN'})"


def _broken(dumps: Sequence[Dump], checks: Sequence[Sequence[Check]]) -> list[str]:
    return [
        f"{dump.source}: {verdict(check, dump)}"
        for dump, row in zip(dumps, checks, strict=True)
        for check in row
        if check.breaches and not excuse(dump)
    ]
