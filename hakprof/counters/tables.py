"""The tables of `hakprof counters`, as data: what is in them, not how they look."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from hakprof.counters.dump import Dump
from hakprof.counters.view import (
    SMALL_ALLOCS,
    SMALL_FREES,
    View,
    share,
    thread_view,
)
from hakprof.units import Unit

Cell = str | int | float | None
TEXT = "text"
TOP_CLASSES = 16
TOP_THREADS = 16


@dataclass(frozen=True, slots=True)
class Column:
    """A heading, and the unit of the cells below it (a `units.Unit`, or TEXT)."""

    name: str
    unit: str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under headings; a cell that is None was not to be had."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


def all_tables(view: View, meanings: Mapping[str, Mapping[str, str]]) -> list[Table]:
    """Every table of a view that has something in it. `meanings`: by axis, of its members."""
    makers: list[Callable[[View], Table]] = [
        allocation_table,
        ladder_table,
        free_table,
        flush_table,
        lambda v: early_table(v, meanings.get("early", {})),
        life_table,
        system_table,
        class_table,
    ]
    return [table for table in (maker(view) for maker in makers) if table.rows]


def allocation_table(view: View) -> Table:
    """Who served the allocations, and how much of what was given was asked for."""
    small = view.sum("requested_bytes")
    rows: list[tuple[Cell, ...]] = []
    for label, calls, asked, given in (
        ("cache hit (thread's own list)", view.sum("cache_hit"), None, None),
        ("after a refill", view.sum("refill_served"), None, None),
        ("small, together", view.sum(*SMALL_ALLOCS), small, view.small_given_bytes or None),
        (
            "run of units (L2.5 pool)",
            view.sum("run_alloc"),
            view.sum("run_requested_bytes"),
            view.sum("run_given_bytes"),
        ),
        (
            "mapping of its own",
            view.sum("large_alloc"),
            view.sum("large_requested_bytes"),
            view.sum("large_given_bytes"),
        ),
    ):
        if calls:
            waste = None if asked is None or given is None else share(given - asked, given)
            rows.append((label, calls, share(calls, view.allocs), asked, given, waste))
    rows += [
        (label, count, None, None, None, None)
        for label, count in (
            ("of these by calloc", view.sum("calloc")),
            ("of these aligned", view.sum("aligned")),
            ("realloc in place", view.sum("realloc_in_place")),
            ("realloc moved", view.sum("realloc_moved")),
            ("failed", view.sum("alloc_failed")),
        )
        if count
    ]
    columns = (
        Column("served by", TEXT),
        Column("calls", Unit.COUNT),
        Column("share", Unit.FRACTION),
        Column("asked", Unit.BYTES),
        Column("given", Unit.BYTES),
        Column("unused", Unit.FRACTION),
    )
    return Table("allocations", "Allocations", columns, tuple(rows))


def ladder_table(view: View) -> Table:
    """The refill stages in the order in which they are asked."""
    blocks_in_all = view.sum("stage_block")
    timed = view.sum("stage_cycle") > 0  # built with HAKMEM_DEBUG_TIMING
    rows: list[tuple[Cell, ...]] = []
    for stage in view.members("stage"):
        asked = view.sum("stage_attempt", stage=stage)
        gave = view.sum("stage_success", stage=stage)
        blocks = view.sum("stage_block", stage=stage)
        rows.append(
            (
                stage,
                asked,
                gave,
                share(gave, asked),
                blocks,
                share(blocks, blocks_in_all),
                share(blocks, gave),
                share(1000 * gave, view.allocs),
                *((share(view.sum("stage_cycle", stage=stage), asked),) if timed else ()),
            )
        )
    columns = (
        Column("stage", TEXT),
        Column("asked", Unit.COUNT),
        Column("gave", Unit.COUNT),
        Column("success", Unit.FRACTION),
        Column("blocks", Unit.COUNT),
        Column("share", Unit.FRACTION),
        Column("blocks a time", Unit.COUNT),
        Column("per 1000 allocs", Unit.COUNT),
        *((Column("cycles a time", Unit.COUNT),) if timed else ()),
    )
    return Table(
        "refill",
        "Refill ladder",
        columns,
        tuple(rows) if view.sum("stage_attempt") else (),
    )


def free_table(view: View) -> Table:
    """Where frees went."""
    labels = {
        "tls_sll": "tls_sll (thread's own list)",
        "tls_sll_overflow": "tls_sll after an overflow",
        "threadless_free": "central, by a thread without a cache",
        "run_free": "run of units (L2.5 pool)",
        "large_free": "mapping of its own",
    }
    columns = (
        Column("frees went to", TEXT),
        Column("calls", Unit.COUNT),
        Column("share", Unit.FRACTION),
    )
    return Table("frees", "Free pipeline", columns, _counted(view, labels, view.frees))


def flush_table(view: View) -> Table:
    """What became of blocks that left a thread's lists."""
    labels = {
        "overflow": "overflows of a thread's list",
        "cap_grown": "limits grown",
        "central_list": "lists to central",
        "central_block": "blocks in those",
        "ss_local": "ss_local: blocks back to a slab of this thread",
        "ss_remote": "ss_remote: blocks back to a slab of another",
        "reused_own": "taken from there by the slab's own thread",
        "reused_other": "taken from there by another thread",
    }
    columns = (
        Column("leaving the thread", TEXT),
        Column("count", Unit.COUNT),
        Column("per 1000 frees", Unit.COUNT),
    )
    return Table("flush", "Flush", columns, _counted(view, labels, view.frees / 1000))


def _counted(view: View, labels: Mapping[str, str], whole: float) -> tuple[tuple[Cell, ...], ...]:
    """(label, count, count / whole) of each counter that has counted anything."""
    counts = ((label, view.sum(name)) for name, label in labels.items())
    return tuple((label, count, share(count, whole)) for label, count in counts if count)


def early_table(view: View, meanings: Mapping[str, str]) -> Table:
    """Early returns, the most frequent first."""
    counts = [(view.sum("early_return", early=name), name) for name in view.members("early")]
    rows = [
        (name, count, share(1000 * count, view.ops), meanings.get(name, ""))
        for count, name in sorted(counts, key=lambda pair: -pair[0])
        if count
    ]
    columns = (
        Column("early return", TEXT),
        Column("times", Unit.COUNT),
        Column("per 1000 ops", Unit.COUNT),
        Column("meaning", TEXT),
    )
    return Table("early_returns", "Early returns", columns, tuple(rows))


def life_table(view: View) -> Table:
    """Slabs, SuperSlabs and large mappings: made, reused, retired, live, peak."""
    live, peak = view.gauges.get("superslab_live"), view.gauges.get("superslab_live_peak")
    opened, retired = view.sum("slab_opened"), view.sum("slab_retired")
    rows: list[tuple[Cell, ...]] = [
        ("slabs", opened, None, retired, None, None),
        (
            "SuperSlabs",
            view.sum("superslab_mapped"),
            max(0, view.sum("superslab_claimed") - view.sum("superslab_mapped")),
            view.sum("superslab_unmapped"),
            live,
            peak,
        ),
        (
            "large mappings",
            view.sum("large_mapped"),
            view.sum("large_reused"),
            view.sum("large_unmapped"),
            None,
            None,
        ),
    ]
    columns = (
        Column("what", TEXT),
        Column("made", Unit.COUNT),
        Column("reused", Unit.COUNT),
        Column("retired", Unit.COUNT),
        Column("live", Unit.COUNT),
        Column("peak", Unit.COUNT),
    )
    return Table("life", "Slabs and mappings", columns, tuple(r for r in rows if any(r[1:4])))


def system_table(view: View) -> Table:
    """System calls and lock waits."""
    rows: list[tuple[Cell, ...]] = [
        (
            name,
            view.sum("os_call", os_call=name),
            view.sum("os_call_failed", os_call=name),
            view.sum("os_call_bytes", os_call=name),
        )
        for name in view.members("os_call")
    ]
    rows += [
        (f"lock wait: {name}", view.sum("lock_wait", lock_kind=name), None, None)
        for name in view.members("lock_kind")
    ]
    rows.append(("purge rounds", view.sum("purge_round"), None, view.sum("purge_bytes")))
    columns = (
        Column("system", TEXT),
        Column("times", Unit.COUNT),
        Column("failed", Unit.COUNT),
        Column("bytes", Unit.BYTES),
    )
    return Table("system", "System", columns, tuple(row for row in rows if row[1]))


def class_table(view: View) -> Table:
    """The size classes that were used most."""
    hits, served = view.by_class("cache_hit"), view.by_class("refill_served")
    frees, asked = view.by_class(*SMALL_FREES), view.by_class("requested_bytes")
    calls = [a + b for a, b in zip(hits, served, strict=True)]
    order = sorted((c for c in range(len(calls)) if calls[c] or frees[c]), key=lambda c: -calls[c])
    rows = []
    for c in order[:TOP_CLASSES]:
        size = view.class_bytes[c] if c < len(view.class_bytes) else None
        unused = None if size is None else share(size * calls[c] - asked[c], size * calls[c])
        rows.append(
            (f"C{c}", size, calls[c], frees[c], share(hits[c], calls[c]), unused),
        )
    left = len(order) - len(rows)
    columns = (
        Column("class", TEXT),
        Column("block", Unit.BYTES),
        Column("allocs", Unit.COUNT),
        Column("frees", Unit.COUNT),
        Column("hit rate", Unit.FRACTION),
        Column("unused", Unit.FRACTION),
    )
    note = f"{left} classes that were used less are left out" if left > 0 else ""
    return Table("classes", "Size classes", columns, tuple(rows), note)


def thread_table(dump: Dump) -> Table:
    """What each thread did."""
    rows = sorted(_thread_rows(dump), key=lambda row: -row[1])
    columns = (
        Column("thread", TEXT),
        Column("allocs", Unit.COUNT),
        Column("frees", Unit.COUNT),
        Column("hit rate", Unit.FRACTION),
        Column("ss_local", Unit.COUNT),
        Column("ss_remote", Unit.COUNT),
        Column("lock waits", Unit.COUNT),
    )
    left = len(rows) - TOP_THREADS
    note = f"{left} threads that did less are left out" if left > 0 else ""
    return Table("threads", "Threads", columns, tuple(rows[:TOP_THREADS]), note)


def _thread_rows(
    dump: Dump,
) -> Iterator[tuple[str, int, int, float | None, int, int, int]]:
    blocks = [(f"{t.tid} {t.name}" if t.tid else "shared block", t.counts) for t in dump.threads]
    if dump.threads_ended:
        blocks.append((f"{dump.threads_ended} that ended", dump.ended - dump.base))
    for label, counts in blocks:
        view = thread_view(dump, counts)
        if view.ops:
            yield (
                label,
                view.allocs,
                view.frees,
                share(view.sum("cache_hit"), view.sum(*SMALL_ALLOCS)),
                view.sum("ss_local"),
                view.sum("ss_remote"),
                view.sum("lock_wait"),
            )


def process_table(dumps: Sequence[Dump], views: Sequence[View], verdicts: Sequence[str]) -> Table:
    """One row for each process of a folder."""
    rows = []
    for dump, view, verdict in zip(dumps, views, verdicts, strict=True):
        command = dump.info.get("command")
        words = command if isinstance(command, list) else []
        hit = share(view.sum("cache_hit"), view.sum(*SMALL_ALLOCS))
        text = " ".join(str(word) for word in words)
        rows.append((str(dump.pid), str(dump.state), verdict, view.allocs, view.frees, hit, text))
    columns = (
        Column("process", TEXT),
        Column("state", TEXT),
        Column("identities", TEXT),
        Column("allocs", Unit.COUNT),
        Column("frees", Unit.COUNT),
        Column("hit rate", Unit.FRACTION),
        Column("command", TEXT),
    )
    return Table("processes", "Processes", columns, tuple(rows))
