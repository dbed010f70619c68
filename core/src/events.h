/* What happens in hakmem, named once. Hot code says what happened and never counts:
 *
 *     hk_on_alloc_hit(cls, size);
 *
 * Each line below says which counters the event moves (counters/hakmem.toml). In a library without
 * counters the condition is a constant 0: the bodies are still compiled, and leave no code; the
 * machine code is that of a source without events.
 *
 * Arguments are values that the caller holds anyway. `cls` is a size class (size_class.h). A `list`
 * is a chain of free blocks linked through their first word, ended by NULL, and in no other hands
 * during the event: its length is nowhere kept, so it is walked here. Events never allocate and may
 * happen under any lock of hakmem, in any thread, before constructors and after destructors. */
#ifndef HK_EVENTS_H
#define HK_EVENTS_H

#include "counters.h"
#include "free_list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef HK_COUNTERS
#define HK_COUNTERS 0
#endif

enum { hk_counters_on = HK_COUNTERS };

/* clang optimises a little before it inlines: an event that is off must not look like a call that
 * could change memory. */
#if defined(__clang__) && !HK_COUNTERS
#define HK_EVENT_INLINE static inline __attribute__((always_inline, const))
#else
#define HK_EVENT_INLINE static inline __attribute__((always_inline))
#endif

/* clang-format off */
#define HK_EVENT(name, parameters, ...)                                                            \
    HK_EVENT_INLINE void hk_on_##name parameters {                                                 \
        if (hk_counters_on) {                                                                      \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }

/* Blocks in a list. */
static inline size_t hk_list_length(const void *list) {
    size_t length = 0;
    for (; list; list = hk_next(list)) {
        length++;
    }
    return length;
}

/* --- allocation ----------------------------------------------------------------------------- */
/* malloc took a block from the thread's list: the fast path. `own` is the thread's block, which the
 * thread cache keeps at hand: a list has blocks only after thread_started. */
HK_EVENT(alloc_hit, (struct hk_block *own, size_t cls, size_t size),
         hk_count_fast(own, cache_hit, cls, 1);
         hk_count_fast(own, requested_bytes, cls, size);)
/* malloc served a small block after a refill (or one block at a time, for a dead thread). */
HK_EVENT(alloc_refilled, (unsigned cls, size_t size),
         hk_count(refill_served[cls], 1);
         hk_count(requested_bytes[cls], size);)
/* malloc served a run of units (L2.5 pool); `given` bytes. */
HK_EVENT(alloc_run, (size_t size, size_t given),
         hk_count(run_alloc, 1);
         hk_count(run_requested_bytes, size);
         hk_count(run_given_bytes, given);)
/* malloc served a mapping of its own; `given` bytes. */
HK_EVENT(alloc_large, (size_t size, size_t given),
         hk_count(large_alloc, 1);
         hk_count(large_requested_bytes, size);
         hk_count(large_given_bytes, given);)
/* An entry point returned NULL for want of memory. */
HK_EVENT(alloc_failed, (void),
         hk_count(alloc_failed, 1);
         hk_stage_abandon();)
/* calloc, and an aligned entry point, on top of the event of the block itself. */
HK_EVENT(calloc, (void), hk_count(calloc, 1);)
HK_EVENT(aligned, (void), hk_count(aligned, 1);)
/* realloc kept the block, or moved it (then a malloc and a free are reported as well). */
HK_EVENT(realloc_in_place, (void), hk_count(realloc_in_place, 1);)
HK_EVENT(realloc_moved, (void), hk_count(realloc_moved, 1);)
/* A layer declined. */
HK_EVENT(early, (enum hk_early reason), hk_count(early_return[reason], 1);)

/* --- refill --------------------------------------------------------------------------------- */
/* A stage is asked for blocks of a class. */
HK_EVENT(refill_try, (enum hk_stage stage, unsigned cls),
         hk_count(stage_attempt[stage][cls], 1);
         hk_stage_enter(stage);)
/* It gave `list` (HK_STAGE_RECYCLED and later: the new slab's first carved blocks). */
HK_EVENT(refill_got, (enum hk_stage stage, unsigned cls, const void *list),
         hk_stage_leave();
         hk_count(stage_success[stage][cls], 1);
         hk_count(stage_block[stage][cls], hk_list_length(list));)
/* The same, where blocks are handed over in an array. */
HK_EVENT(refill_took, (enum hk_stage stage, unsigned cls, unsigned blocks),
         hk_stage_leave();
         hk_count(stage_success[stage][cls], 1);
         hk_count(stage_block[stage][cls], blocks);)
/* Blocks that had come back into a slab are given out again: to the thread that opened the slab, or
 * to another. */
HK_EVENT(reused, (unsigned cls, bool own, unsigned blocks),
         if (own) { hk_count(reused_own[cls], blocks); }
         else { hk_count(reused_other[cls], blocks); })
/* Blocks that never existed before were cut from a slab. */
HK_EVENT(carved, (unsigned cls, unsigned blocks), hk_count(carved[cls], blocks);)

/* --- free pipeline -------------------------------------------------------------------------- */
/* free pushed onto the thread's own list (tls_sll): the fast path. */
HK_EVENT(free_tls_sll, (struct hk_block *own, size_t cls), hk_count_fast(own, tls_sll, cls, 1);)
/* The same after room was made. */
HK_EVENT(free_tls_sll_overflow, (unsigned cls), hk_count(tls_sll_overflow[cls], 1);)
/* A thread without a cache freed: the block went to central alone. */
HK_EVENT(free_threadless, (unsigned cls), hk_count(threadless_free[cls], 1);)
HK_EVENT(free_run, (size_t given), hk_count(run_free, 1); hk_count(run_freed_bytes, given);)
HK_EVENT(free_large, (size_t given), hk_count(large_free, 1); hk_count(large_freed_bytes, given);)
/* The thread's list of the class was full and became its spare list. */
HK_EVENT(overflow, (unsigned cls), hk_count(overflow[cls], 1);)
/* A list of blocks went to the class's central stack (overflow, thread exit, trim), or was not taken
 * because the stack may not grow, or was taken off it: the latter two go back into their slabs. */
HK_EVENT(central_put, (unsigned cls, const void *list),
         hk_count(central_list[cls], 1);
         hk_count(central_block[cls], hk_list_length(list));)
HK_EVENT(central_full, (unsigned cls, const void *list),
         hk_count(early_return[HK_EARLY_CENTRAL_FULL], 1);
         hk_count(central_full_block[cls], hk_list_length(list));)
HK_EVENT(central_drained, (unsigned cls, const void *list),
         hk_count(central_drained_block[cls], hk_list_length(list));)
/* The same three, where blocks are handed over in an array. */
HK_EVENT(depot_put, (unsigned cls, unsigned blocks),
         hk_count(central_list[cls], 1);
         hk_count(central_block[cls], blocks);)
HK_EVENT(depot_full, (unsigned cls, unsigned blocks),
         hk_count(early_return[HK_EARLY_CENTRAL_FULL], 1);
         hk_count(central_full_block[cls], blocks);)
HK_EVENT(depot_drained, (unsigned cls, unsigned blocks),
         hk_count(central_drained_block[cls], blocks);)
/* One block went back into its slab: opened by the thread that returns it, or by another. */
HK_EVENT(ss_local, (unsigned cls), hk_count(ss_local[cls], 1);)
HK_EVENT(ss_remote, (unsigned cls), hk_count(ss_remote[cls], 1);)
/* The thread's limit of the class grew. */
HK_EVENT(cap_grown, (unsigned cls), hk_count(cap_grown[cls], 1);)

/* --- life of slabs, SuperSlabs, mappings ------------------------------------------------------ */
HK_EVENT(slab_opened, (unsigned cls), hk_count(slab_opened[cls], 1);)
/* Its blocks cease to exist: as many as were cut from it. */
HK_EVENT(slab_retired, (unsigned cls, unsigned blocks),
         hk_count(slab_retired[cls], 1);
         hk_count(retired_block[cls], blocks);)
HK_EVENT(superslab_mapped, (void), hk_count(superslab_mapped, 1); hk_gauge(superslab_live, 1);)
HK_EVENT(superslab_emptied, (void), hk_count(superslab_emptied, 1);)
/* Units of it were taken, of a wholly free one: just mapped, or emptied before. */
HK_EVENT(superslab_claimed, (bool whole), if (whole) { hk_count(superslab_claimed, 1); })
HK_EVENT(superslab_unmapped, (void), hk_count(superslab_unmapped, 1); hk_gauge(superslab_live, -1);)
HK_EVENT(large_mapped, (size_t bytes),
         hk_count(large_mapped, 1);
         hk_count(large_mapped_bytes, bytes);)
HK_EVENT(large_reused, (void), hk_count(large_reused, 1);)
HK_EVENT(large_cached, (void), hk_count(large_cached, 1);)
HK_EVENT(large_unmapped, (size_t bytes),
         hk_count(large_unmapped, 1);
         hk_count(large_unmapped_bytes, bytes);)

/* --- call sites, in the variant `learn` -------------------------------------------------------- */
HK_EVENT(learned, (enum hk_learned what, unsigned times), hk_count(learned[what], times);)

/* --- system --------------------------------------------------------------------------------- */
HK_EVENT(os_call, (enum hk_os_call call, size_t bytes, bool worked),
         hk_count(os_call[call], 1);
         if (worked) { hk_count(os_call_bytes[call], bytes); }
         else { hk_count(os_call_failed[call], 1); })
/* A round of giving memory back: so many madvise calls, so many bytes. */
HK_EVENT(purged, (unsigned calls, size_t bytes),
         hk_count(purge_round, 1);
         hk_count(purge_call, calls);
         hk_count(purge_bytes, bytes);)
/* malloc_trim, or pressure: everything that can go goes. */
HK_EVENT(trimmed, (void), hk_count(trim, 1);)
/* A lock was held by another thread, which had to be waited for. */
HK_EVENT(lock_wait, (enum hk_lock_kind kind), hk_count(lock_wait[kind], 1);)

/* --- threads and processes ------------------------------------------------------------------- */
/* The environment is there, and hak_stats_read works. */
HK_EVENT(process_started, (void), hk_counters_start();)
/* The calling thread got a cache; it is about to lose it (its lists are in central by then). `own` is
 * where the thread cache keeps the thread's block at hand. */
HK_EVENT(thread_started, (struct hk_block **own),
         hk_count(thread_started, 1);
         *own = hk_own_block;)
HK_EVENT(thread_exiting, (struct hk_block **own),
         hk_count(thread_exited, 1);
         hk_counters_leave();
         *own = hk_own_block;)
/* Around fork, while all locks of hakmem are held; `forked` in the only thread of the child. */
HK_EVENT(fork_begins, (void), hk_counters_fork_prepare();)
HK_EVENT(fork_done, (void), hk_counters_fork_parent();)
HK_EVENT(forked, (struct hk_block **own),
         hk_counters_fork_child();
         *own = hk_own_block;)

/* --- a look at the whole heap ------------------------------------------------------------------ */
/* hak_stats_read walks everything; during a look (counters.c) it says what it finds. */
HK_EVENT(seen_list, (unsigned cls, size_t blocks), hk_seen(cached_block[cls], blocks);)
HK_EVENT(seen_batch, (unsigned cls, size_t blocks), hk_seen(batch_block[cls], blocks);)
HK_EVENT(seen_slab, (unsigned cls, size_t used, size_t free),
         hk_seen(slab_live[cls], 1);
         hk_seen(slab_used_block[cls], used);
         hk_seen(slab_free_block[cls], free);)
HK_EVENT(seen_runs, (size_t blocks), hk_seen(run_live, blocks);)
HK_EVENT(seen_large, (size_t blocks), hk_seen(large_live, blocks);)
HK_EVENT(seen_waiting, (size_t blocks), hk_seen(learn_waiting, blocks);)
/* clang-format on */
#undef HK_EVENT

#endif
