/* What happens in hakmem, named once. Hot code says what happened and never counts:
 *
 *     hk_on_alloc_hit(cls);
 *
 * Without HK_COUNTERS every event is an empty inline function, and the machine code is that of a
 * source without events. With it, counters.h supplies a function of the same name and parameters
 * for each line below; nothing else in the sources knows whether anybody counts.
 *
 * Arguments are values that the caller holds anyway. `cls` is a size class (size_class.h). A `list`
 * is a chain of free blocks linked through their first word, ended by NULL, and in no other hands
 * during the event: its length is nowhere kept, a counter that wants it walks it (hk_list_length).
 * Events never allocate and may happen under any lock of hakmem, in any thread, before constructors
 * and after destructors. */
#ifndef HK_EVENTS_H
#define HK_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where a block comes from when the thread cache is empty, in the order in which it is tried. */
enum hk_stage {
    HK_STAGE_SPARE,      /* the thread's second list of the class */
    HK_STAGE_CENTRAL,    /* a batch that some thread handed to the class's central stack */
    HK_STAGE_PARTIAL,    /* the free list of a slab that has blocks back */
    HK_STAGE_CARVE,      /* never used blocks of a slab that is already open */
    HK_STAGE_RECYCLED,   /* a new slab in units that were in use before and are still resident */
    HK_STAGE_SUPERSLAB,  /* a new slab in fresh or purged units of a mapped SuperSlab */
    HK_STAGE_MMAP,       /* a new slab in a SuperSlab mapped for it */
    HK_STAGES
};

/* Why a layer declines a request and hands it on (or fails it). */
enum hk_early {
    HK_EARLY_CACHE_EMPTY,   /* malloc: the thread's list of the class is empty */
    HK_EARLY_NO_ROOM,       /* free: the thread's list of the class may not grow */
    HK_EARLY_SIZE_ZERO,     /* malloc(0): served as the smallest class */
    HK_EARLY_SIZE_RUN,      /* too large for a class: goes to the L2.5 pool */
    HK_EARLY_SIZE_LARGE,    /* too large for the L2.5 pool: goes to mappings */
    HK_EARLY_SIZE_ABSURD,   /* beyond PTRDIFF_MAX, or the product overflowed: ENOMEM */
    HK_EARLY_BAD_ALIGNMENT, /* not a power of two, or too large: EINVAL or ENOMEM */
    HK_EARLY_NO_THREAD,     /* the calling thread has no cache yet: it gets one */
    HK_EARLY_DEAD_THREAD,   /* its cache is gone (thread exit): one block at a time, from central */
    HK_EARLY_BOOTING,       /* the call came while the thread's cache was being made */
    HK_EARLY_NULL,          /* free(NULL) */
    HK_EARLY_FOREIGN,       /* free of a pointer that is not ours */
    HK_EARLY_CENTRAL_FULL,  /* the class's central stack may not grow: blocks go to their slabs */
    HK_EARLY_NO_MEMORY,     /* the system refuses memory, also after everything was given back */
    HK_EARLY_REASONS
};

enum hk_os_call {
    HK_OS_MMAP,
    HK_OS_MUNMAP,
    HK_OS_MREMAP,
    HK_OS_MPROTECT,
    HK_OS_PURGE, /* madvise(MADV_DONTNEED) */
    HK_OS_HUGE,  /* madvise about huge pages */
    HK_OS_CALLS
};

enum hk_lock_kind {
    HK_LOCK_CLASS,
    HK_LOCK_SUPERSLAB,
    HK_LOCK_LARGE,
    HK_LOCK_THREADS,
    HK_LOCK_META,
    HK_LOCKS
};

#if HK_COUNTERS
#define HK_EVENT(name, parameters) static inline void hk_on_##name parameters;
#else
#define HK_EVENT(name, parameters)                                                                 \
    static inline void hk_on_##name parameters {}
#endif

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wunused-function"

/* --- allocation ----------------------------------------------------------------------------- */
/* malloc took a block from the thread's list: the fast path. */
HK_EVENT(alloc_hit, (unsigned cls, size_t size))
/* malloc served a small block after a refill (or one block at a time, for a dead thread). */
HK_EVENT(alloc_refilled, (unsigned cls, size_t size))
/* malloc served a run of units (L2.5 pool); `given` bytes. */
HK_EVENT(alloc_run, (size_t size, size_t given))
/* malloc served a mapping of its own; `given` bytes. */
HK_EVENT(alloc_large, (size_t size, size_t given))
/* An entry point returned NULL for want of memory. */
HK_EVENT(alloc_failed, (size_t size))
/* calloc, and an aligned entry point, on top of the event of the block itself. */
HK_EVENT(calloc, (size_t size))
HK_EVENT(aligned, (size_t alignment, size_t size))
/* realloc kept the block, or moved it (then a malloc and a free are reported as well). */
HK_EVENT(realloc_in_place, (size_t old_given, size_t size))
HK_EVENT(realloc_moved, (size_t old_given, size_t size))
/* A layer declined. */
HK_EVENT(early, (enum hk_early reason))

/* --- refill --------------------------------------------------------------------------------- */
/* A stage is asked for blocks of a class. */
HK_EVENT(refill_try, (enum hk_stage stage, unsigned cls))
/* It gave `list` (HK_STAGE_RECYCLED and later: the new slab's first carved blocks). */
HK_EVENT(refill_got, (enum hk_stage stage, unsigned cls, const void *list))
/* Blocks that never existed before were cut from a slab. */
HK_EVENT(carved, (unsigned cls, unsigned blocks))

/* --- free pipeline -------------------------------------------------------------------------- */
/* free pushed onto the thread's own list (tls_sll): the fast path. */
HK_EVENT(free_tls_sll, (unsigned cls))
/* The same after room was made. */
HK_EVENT(free_tls_sll_overflow, (unsigned cls))
/* A thread without a cache freed: the block went to central alone. */
HK_EVENT(free_threadless, (unsigned cls))
HK_EVENT(free_run, (size_t given))
HK_EVENT(free_large, (size_t given))
/* The thread's list of the class was full and became its spare list. */
HK_EVENT(overflow, (unsigned cls))
/* A list of blocks went to the class's central stack (overflow, thread exit, trim). */
HK_EVENT(central_put, (unsigned cls, const void *list))
/* One block went back into its slab: opened by the thread that returns it, or by another. */
HK_EVENT(ss_local, (unsigned cls))
HK_EVENT(ss_remote, (unsigned cls))
/* The thread's limit of the class grew. */
HK_EVENT(cap_grown, (unsigned cls, unsigned blocks))

/* --- life of slabs, SuperSlabs, mappings ------------------------------------------------------ */
HK_EVENT(slab_opened, (unsigned cls, size_t bytes))
HK_EVENT(slab_retired, (unsigned cls, size_t bytes))
HK_EVENT(superslab_mapped, (void))
HK_EVENT(superslab_emptied, (void))
HK_EVENT(superslab_reused, (void))
HK_EVENT(superslab_unmapped, (void))
HK_EVENT(large_mapped, (size_t bytes))
HK_EVENT(large_reused, (size_t bytes))
HK_EVENT(large_cached, (size_t bytes))
HK_EVENT(large_unmapped, (size_t bytes))

/* --- system --------------------------------------------------------------------------------- */
HK_EVENT(os_call, (enum hk_os_call call, size_t bytes, bool worked))
/* A round of giving memory back: so many madvise calls, so many bytes. */
HK_EVENT(purged, (unsigned calls, size_t bytes))
/* malloc_trim, or pressure: everything that can go goes. */
HK_EVENT(trimmed, (void))
/* A lock was held by another thread, which had to be waited for. */
HK_EVENT(lock_wait, (enum hk_lock_kind kind))

/* --- threads -------------------------------------------------------------------------------- */
/* The calling thread got a cache; it is about to lose it (its lists are in central by then). */
HK_EVENT(thread_started, (void))
HK_EVENT(thread_exiting, (void))
/* In the child of fork, in its only thread. */
HK_EVENT(forked, (void))

#pragma GCC diagnostic pop
#undef HK_EVENT

/* Blocks in a list. */
static inline size_t hk_list_length(const void *list) {
    size_t length = 0;
    for (; list; list = *(const void *const *)list) {
        length++;
    }
    return length;
}

#if HK_COUNTERS
#include "counters.h"
#endif

#endif
