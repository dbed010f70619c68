"""An annotated function: costs beside instructions below their source lines."""

from collections.abc import Iterator, Sequence

from hakprof.hotspots.annotate import Annotation, Copy, Cost, source_text
from hakprof.hotspots.tables import Share
from hakprof.model import Kind
from hakprof.render.hotspots import header, heading, show_share, source_lines
from hakprof.render.table import PAGE, cut, labelled, table
from hakprof.symbols.lines import Chain, Place

SHORT = 60
"""Copies with more instructions leave out stretches that cost nothing."""

STRETCH = 4
LINES = 12
HOT, WARM = 0.10, 0.03
"""Shares of the whole function from which on a row is red, yellow."""

RED, YELLOW, DIM, PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[2m", "\x1b[0m"
COLUMN = 10
SKID = (
    "the clock stops one instruction late (skid): sampled shares of lines and instructions are "
    "estimates, most of an instruction's time stands at the one after it; exact counts have none"
)


def render(found: Annotation, *, everything: bool, colour: bool) -> str:
    """All copies, the dearest first."""
    inlined = sum(1 for copy in found.copies if copy.callers)
    what = f"{found.symbol}: {_counted(len(found.copies) - inlined, 'function')}"
    what += f", inlined into {_counted(inlined, 'place')}"
    sources = found.code.sources
    parts = [[*heading(found.recording), "", what]]
    rows = [("", *header(sources), ""), ("all of it", *map(show_share, found.total), "")]
    rows += [
        (_place(line.place), *map(show_share, line.shares), line.text)
        for line in found.lines[:LINES]
    ]
    lines = table(rows, (False, *(True for _ in sources), False))
    parts.append(cut(lines))
    shown = [copy for copy in found.copies if everything or copy.has_cost]
    rest = [copy for copy in found.copies if copy not in shown]
    parts += [list(_copy(found, copy, everything=everything, colour=colour)) for copy in shown]
    if rest:
        parts.append(
            ["without cost here (--all shows them)", *(f"  {_title(found, c)}" for c in rest)]
        )
    parts.append(source_lines(sources))
    notes = [("skid", SKID)] if found.has_skid else []
    parts.append(labelled([*notes, *(("note", note) for note in found.notes)]))
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _copy(found: Annotation, copy: Copy, *, everything: bool, colour: bool) -> Iterator[str]:
    yield _title(found, copy)
    names = [source.name[:COLUMN] for source in found.code.sources]
    units = [_unit(source.kind, source.ops) for source in found.code.sources]
    yield "".join(name.rjust(COLUMN) for name in names)
    yield "".join(unit.rjust(COLUMN) for unit in units)
    hide = not everything and len(copy.costs) > SHORT
    shown: Chain | None = None
    skipped = 0
    quiet = _quiet(copy.costs) if hide else [False] * len(copy.costs)
    for cost, is_quiet in zip(copy.costs, quiet, strict=True):
        if is_quiet:
            skipped += 1
            continue
        if skipped:
            yield " " * COLUMN * len(names) + f"   ... {skipped} instructions without cost"
            skipped, shown = 0, None
        if cost.chain and cost.chain[:1] != shown:
            shown = cost.chain[:1]
            yield _tint(_source_line(cost.chain[0], len(names)), DIM, on=colour)
        yield _tint(_instruction(cost), _heat(cost.shares, found.total), on=colour)
    if skipped:
        yield " " * COLUMN * len(names) + f"   ... {skipped} instructions without cost"


def _title(found: Annotation, copy: Copy) -> str:
    """`libx.so: malloc, pop < alloc (api.c:3) < malloc (api.c:9)`: whose code, inlined how."""
    into = "".join(f" < {_call(place)}" for place in copy.callers)
    return f"{copy.library}: {copy.function}" + (f", {found.symbol}{into}" if into else "")


def _quiet(costs: Sequence[Cost]) -> list[bool]:
    """Instructions in stretches without any cost, but for those next to one that has some."""
    costly = [any(share.fraction for share in cost.shares) for cost in costs]
    near = [any(costly[max(0, i - 2) : i + 3]) for i in range(len(costs))]
    quiet = [not is_near for is_near in near]
    for i in range(len(quiet)):  # a short gap is no shorter as a note
        run = next((j for j in range(i, len(quiet)) if not quiet[j]), len(quiet)) - i
        if quiet[i] and (i == 0 or not quiet[i - 1]) and run < STRETCH:
            quiet[i : i + run] = [False] * run
    return quiet


def _instruction(cost: Cost) -> str:
    columns = "".join(_cell(share).rjust(COLUMN) for share in cost.shares)
    return f"{columns}  {cost.instruction.address:6x}  {cost.instruction.text}"[: PAGE.line]


def _source_line(place: Place, columns: int) -> str:
    text = source_text(place)
    return f"{' ' * COLUMN * columns} {_place(place)}  {text}".rstrip()[: PAGE.line]


def _cell(share: Share) -> str:
    if not share.fraction:
        return "."
    if share.per_op is not None:
        return f"{share.per_op:.3f}"
    return f"{100 * share.fraction:.2f}"


def _unit(kind: Kind, ops: int) -> str:
    if kind is Kind.SAMPLED:
        return "time %"
    return "instr/op" if ops else "instr %"


def _heat(shares: Sequence[Share], total: Sequence[Share]) -> str:
    parts = [s.fraction / t.fraction for s, t in zip(shares, total, strict=True) if t.fraction]
    hottest = max(parts, default=0.0)
    return RED if hottest >= HOT else YELLOW if hottest >= WARM else ""


def _tint(text: str, code: str, *, on: bool) -> str:
    return f"{code}{text}{PLAIN}" if on and code else text


def _place(place: Place) -> str:
    return f"{place.file.rsplit('/', 1)[-1]}:{place.line}" if place.file else "(no line)"


def _call(place: Place) -> str:
    return f"{place.function} ({_place(place)})"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
