"""The report as text of at most 100 columns; docs/stat.md explains every line."""

from collections.abc import Iterator, Sequence

from hakprof import units
from hakprof.census import Census
from hakprof.figures import MODELS
from hakprof.metrics import IPC, TITLES
from hakprof.model import Absent, Figure, Kind, Proof, Verdict
from hakprof.render.proof import who_served
from hakprof.render.table import labelled, table, wrapped
from hakprof.report import Column, Report
from hakprof.units import Unit

_HEADS = {
    Verdict.PROVEN: "",
    Verdict.UNPROVEN: "UNPROVEN: ",
    Verdict.REFUTED: "WRONG ALLOCATOR: ",
}

COLUMNS_A_TABLE = 4
"""So many allocators fit beside each other."""


def render(report: Report) -> str:
    """All of it, ending in a newline."""
    parts = [heading(report)]
    if len(report.columns) == 1:
        parts.append(one_column(report.columns[0], report.harness))
    else:
        parts += side_by_side(report)
    parts += [notes for notes in (calls(report), sources(report), footer(report)) if notes]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def heading(report: Report) -> list[str]:
    """What ran on what, how often."""
    names = ", ".join(_named(column) for column in report.columns)
    runs = min((column.runs for column in report.columns), default=0)
    beside = ", each beside a run of the harness alone" if report.harness else ""
    words = [f"{runs} run{_s(runs)}{beside}"]
    ops = next((column.ops for column in report.columns if column.ops), None)
    if report.target.is_benchmark:
        words.insert(0, f"{report.target.threads} thread{_s(report.target.threads)}")
    if ops:
        words.insert(-1, f"{ops:,.0f} ops a run")
    return [*wrapped(f"{report.target.name} on {names}"), *wrapped(", ".join(words))]


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def one_column(column: Column, harness: Column | None) -> list[str]:
    """One allocator: a metric a row, everything known about it beside it."""
    rows = [("", "median", "95 % interval", "CV", "net of harness" if harness else "", "got by")]
    for name, title in TITLES.items():
        figure = column.figures.get(name)
        if figure is None or isinstance(figure.value, Absent):
            continue
        net = column.net.get(name)
        rows.append(
            (
                title,
                _value(figure),
                _interval(figure),
                units.show_percent(figure.cv) if figure.cv is not None else "",
                _value(net) if net else "",
                _kind(figure),
            )
        )
    return table(rows, (False, True, True, True, True, False))


def side_by_side(report: Report) -> Iterator[list[str]]:
    """Several allocators: one column each, at most four beside each other."""
    for first in range(0, len(report.columns), COLUMNS_A_TABLE):
        columns = report.columns[first : first + COLUMNS_A_TABLE]
        shown = [*columns, *([report.harness] if report.harness else [])]
        rows = [("", *(column.arm.name for column in shown), "got by")]
        for name, title in TITLES.items():
            rows += _metric_rows(name, title, shown)
        floors = [units.show_percent(column.noise_floor or 0) for column in shown]
        if all(column.noise_floor is not None for column in shown):
            rows.append(("noise floor", *floors, ""))
        yield table(rows, (False, *(True for _ in shown), False))


def _metric_rows(name: str, title: str, columns: Sequence[Column]) -> Iterator[tuple[str, ...]]:
    found = [column.figures.get(name) for column in columns]
    known = [figure for figure in found if figure and not isinstance(figure.value, Absent)]
    if not known:
        return
    yield (title, *(_value(figure) for figure in found), _kinds(known))
    if any(figure.interval for figure in known) and known[0].unit != Unit.COUNT:
        yield ("  95 % interval", *(_half_width(figure) for figure in found), "")
    nets = [column.net.get(name) for column in columns]
    if any(nets):
        yield ("  net of harness", *(_value(net) for net in nets), "")


def calls(report: Report) -> list[str]:
    """What the census counted, for a program that reports no ops."""
    census = report.census
    if census is None or report.target.is_benchmark:
        return []
    if census.problem:
        return labelled([("calls", f"unknown: {census.problem}")])
    text = (
        f"{census.allocs:,} allocations, {census.frees:,} frees, {census.ops:,} ops of any kind, "
        f"in {census.processes} process{'es' if census.processes > 1 else ''} "
        "(by a census, a run of its own)"
    )
    rows = [("calls", text)]
    if census.allocs:
        mean = census.calls["bytes_requested"] / census.allocs
        half, most = (units.show_bytes(_size_of_share(census, share)) for share in (0.5, 0.99))
        text = f"{units.show_bytes(mean)} on average, half up to {half}, 99 % up to {most}"
        rows.append(("sizes", text))
    return labelled(rows)


def _size_of_share(census: Census, share: float) -> float:
    """The size that so large a share of the allocations does not exceed."""
    total = sum(count for _, count in census.sizes)
    so_far = 0
    for size, count in census.sizes:
        so_far += count
        if so_far >= share * total:
            return size
    return 0


def sources(report: Report) -> list[str]:
    """Which tool gave the figures of each kind, and what was not measured and why."""
    named: dict[Kind, dict[str, None]] = {}
    for column in report.columns:
        for figure in column.figures.values():
            if figure.name != IPC and not isinstance(figure.value, Absent):
                named.setdefault(figure.kind, {})[figure.source] = None
    rows = [(str(kind), "; ".join(named[kind])) for kind in Kind if kind in named]
    for gap in report.gaps:
        titles = ", ".join(TITLES[name] for name in gap.metrics)
        why = f": {gap.why.why}" if gap.why.why else ""
        advice = f"; {gap.advice}" if gap.advice else ""
        rows.append((str(gap.why.reason), f"{titles}{why}{advice}"))
    return labelled(rows)


def footer(report: Report) -> list[str]:
    """Noise floor, proof and findings: what decides how far the figures can be trusted."""
    rows: list[tuple[str, str]] = []
    floors = [column.noise_floor for column in report.columns if column.noise_floor is not None]
    if floors:
        text = f"{units.show_percent(max(floors))}: by chance alone, two such measurements differ"
        rows.append(("noise floor", f"{text} by so much (time per {_unit_of_work(report)})"))
    return labelled([*rows, *trust(report)])


def trust(report: Report) -> Iterator[tuple[str, str]]:
    """Findings, each once with the arms that it holds for; then the proofs.

    The evidence is spelled out for one arm alone and where it proves nothing.
    """
    several = len(report.columns) > 1
    findings: dict[str, list[str]] = {}
    for column in report.columns:
        for text in column.findings:
            findings.setdefault(text, []).append(column.arm.name)
    for text, names in findings.items():
        yield "finding", f"{_all_of(names, report)}: {text}" if several else text
    proven = [column for column in report.columns if column.proven] if several else []
    if proven:
        arms = _all_of([column.arm.name for column in proven], report)
        checks = dict.fromkeys(e.check for c in proven if c.proof for e in c.proof.evidence)
        yield "proof", f"{arms} served the calls of their own columns ({', '.join(checks)})"
    for column in report.columns:
        if column.proof and column not in proven:
            yield from proof_lines(column.proof)


def _all_of(names: Sequence[str], report: Report) -> str:
    """The names, or where these are many and all that there are, how many."""
    if len(names) == len(report.columns) > COLUMNS_A_TABLE:
        return f"all {len(names)} arms"
    return ", ".join(names)


def _unit_of_work(report: Report) -> str:
    return "op" if report.target.is_benchmark else "run"


def proof_lines(proof: Proof) -> Iterator[tuple[str, str]]:
    """The verdict, and under it one line for each check that led to it."""
    yield "proof", _HEADS[proof.verdict] + who_served(proof)
    checks: dict[str, str] = {}
    for item in proof.evidence:
        if item.verdict is proof.verdict:
            checks.setdefault(item.check, item.detail)
    yield from (("", f"{check}: {detail}") for check, detail in checks.items())


def _named(column: Column) -> str:
    allocator = column.arm.allocator
    words = [column.arm.name, allocator.version]
    if allocator.build_id:
        words.append(f"(build {allocator.build_id[:8]})")
    return " ".join(word for word in words if word)


def _value(figure: Figure | None) -> str:
    if figure is None or isinstance(figure.value, Absent):
        return "-"
    return units.show(figure.value, figure.unit)


def _interval(figure: Figure) -> str:
    if figure.interval:
        return units.show_range(*figure.interval, figure.unit)
    return f"±{units.show_percent(figure.error)}" if figure.kind in MODELS else ""


def _half_width(figure: Figure | None) -> str:
    if figure is None or isinstance(figure.value, Absent) or not figure.interval:
        return ""
    low, high = figure.interval
    return f"±{units.show_percent((high - low) / 2 / figure.value)}" if figure.value else ""


def _kinds(known: Sequence[Figure]) -> str:
    """How the figures of a row were got; where they differ in error only, the largest."""
    worst = {figure.kind: figure for figure in sorted(known, key=lambda figure: figure.error)}
    return ", ".join(_kind(figure) for figure in worst.values())


def _kind(figure: Figure) -> str:
    """`estimated ±3.00 %`, `timed, CPU clock`: the kind with what matters to its reader."""
    if figure.kind is Kind.ESTIMATED and figure.error:
        return f"{figure.kind} ±{units.show_percent(figure.error)}"
    if figure.kind is Kind.TIMED and figure.source.endswith("clock"):
        return f"{figure.kind}, {figure.source}"
    return str(figure.kind)
