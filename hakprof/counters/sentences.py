"""What the counts mean, in sentences: only what is worth acting on."""

from collections.abc import Iterator

from hakprof.counters.view import SMALL_ALLOCS, SMALL_FREES, View, share
from hakprof.units import show_bytes, show_percent

MUCH = 0.10
GOOD_HIT_RATE = 0.98
POOR_HIT_RATE = 0.90
FEW_CALLS = 1000
WASTE = 0.15
MANY_FAILED_PURGES = 10


def sentences(view: View) -> list[str]:
    """Findings, the weightiest kinds first."""
    if view.ops < FEW_CALLS:
        return [f"Only {view.ops} operations were counted: too few to conclude from."]
    return [
        text
        for finder in (_service, _cache, _refill, _remote, _off_path, _waste, _system, _locks)
        for text in finder(view)
    ]


def _service(view: View) -> Iterator[str]:
    foreign = view.sum("early_return", early="foreign")
    if foreign:
        yield (
            f"{foreign:,} frees were of pointers that hakmem did not hand out: another allocator "
            "serves part of the program."
        )
    failed = view.sum("alloc_failed")
    if failed:
        yield f"{failed:,} allocations failed for want of memory."


def _cache(view: View) -> Iterator[str]:
    hit = share(view.sum("cache_hit"), view.sum(*SMALL_ALLOCS))
    if hit is None:
        return
    if hit >= GOOD_HIT_RATE:
        yield f"{show_percent(hit)} of small allocations never left the thread's own list."
    elif hit < POOR_HIT_RATE:
        yield (
            f"Only {show_percent(hit)} of small allocations came from the thread's own list: "
            "the refill ladder decides the speed of this program."
        )


def _refill(view: View) -> Iterator[str]:
    blocks = view.sum("stage_block")
    fresh = ("carve", "recycled", "superslab", "mmap")
    new = sum(view.sum("stage_block", stage=stage) for stage in fresh)
    grown = share(new, blocks)
    if grown is not None and grown > 1 - MUCH:
        yield (
            f"{show_percent(grown)} of refilled blocks are cut from new memory: the program grows "
            "and hardly reuses."
        )
    lists = view.sum("central_list")
    central = view.sum("stage_success", stage="central")
    if lists >= FEW_CALLS and central < MUCH * lists:
        yield (
            f"{lists:,} lists went to central and only {central:,} came back from there: "
            "blocks move on to their slabs."
        )


def _remote(view: View) -> Iterator[str]:
    remote = view.sum("ss_remote")
    frees = view.sum(*SMALL_FREES)
    part = share(remote, frees)
    if part is not None and part > MUCH:
        back = share(view.sum("stage_block", stage="partial"), view.sum("ss_local", "ss_remote"))
        own = share(view.sum("reused_own"), view.sum("reused_own", "reused_other"))
        text = f"{show_percent(part)} of small frees end in a slab of another thread (ss_remote)"
        if back is not None:
            text += (
                f", and {show_percent(back)} of returned blocks come back by refill stage partial"
            )
        if own is not None:
            text += f", {show_percent(own)} of those to the slab's own thread"
            text += ": consumers feed producers" if own > 1 - MUCH else ""
        yield f"{text}."
    handed = share(view.sum("central_block"), frees)
    taken = share(view.sum("stage_block", stage="central"), view.sum("central_block"))
    if handed is not None and taken is not None and handed > MUCH:
        yield (
            f"{show_percent(handed)} of small frees are handed to the central stacks, and "
            f"{show_percent(taken)} of those are taken from there again."
        )


def _off_path(view: View) -> Iterator[str]:
    for reason, why in (
        ("dead_thread", "threads that allocate after their cache is gone"),
        ("booting", "allocations while a thread's cache is being made"),
        ("size_large", "requests too large for the L2.5 pool"),
    ):
        calls = view.sum("early_return", early=reason)
        part = share(calls, view.ops)
        if part is not None and part > MUCH / 10:
            yield f"{show_percent(part)} of operations leave the fast path for {why} ({reason})."


def _waste(view: View) -> Iterator[str]:
    given = view.small_given_bytes
    unused = given - view.sum("requested_bytes")
    part = share(unused, given)
    if part is not None and part > WASTE:
        yield (
            f"{show_percent(part)} of the bytes in small blocks were not asked for "
            f"({show_bytes(unused)}): the sizes of this program lie badly between the classes."
        )


def _system(view: View) -> Iterator[str]:
    calls = view.sum("os_call")
    rate = share(1000 * calls, view.ops)
    if rate is not None and rate > 1:
        yield f"{calls:,} system calls, {rate:.1f} for 1000 operations: memory is not kept."
    failed = view.sum("os_call_failed")
    if failed > MANY_FAILED_PURGES:
        yield f"{failed:,} system calls failed."


def _locks(view: View) -> Iterator[str]:
    waits = view.sum("lock_wait")
    rate = share(1000 * waits, view.ops)
    if rate is not None and rate > 1 / 10:
        worst = max(
            view.members("lock_kind"), key=lambda kind: view.sum("lock_wait", lock_kind=kind)
        )
        yield f"{waits:,} waits for a lock ({rate:.2f} for 1000 operations), most for {worst!r}."
