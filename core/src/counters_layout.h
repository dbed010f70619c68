/* Made by scripts/generate_counters.py from counters/hakmem.toml; not edited by hand. */
/* clang-format off */
#ifndef HK_COUNTERS_LAYOUT_H
#define HK_COUNTERS_LAYOUT_H

#include <stdint.h>

/* size class; the dump says how many bytes its blocks have */
enum { HK_CLASS_LIMIT = 113 };

/* where blocks come from when the thread's list is empty, in the order of asking */
enum hk_stage {
    HK_STAGE_SPARE, /* the thread's second list of the class */
    HK_STAGE_CENTRAL, /* a batch that some thread handed to the class's central stack */
    HK_STAGE_PARTIAL, /* the free list of a slab that has blocks back */
    HK_STAGE_CARVE, /* never used blocks of a slab that is already open */
    HK_STAGE_RECYCLED, /* a new slab in units that were in use before and are still resident */
    HK_STAGE_SUPERSLAB, /* a new slab in fresh or purged units of a mapped SuperSlab */
    HK_STAGE_MMAP, /* a new slab in a SuperSlab mapped for it */
    HK_STAGE_COUNT
};

/* why a layer declined a request, handed it on or failed it (early returns) */
enum hk_early {
    HK_EARLY_CACHE_EMPTY, /* malloc: the thread's list of the class is empty */
    HK_EARLY_NO_ROOM, /* free: the thread's list of the class may not grow */
    HK_EARLY_SIZE_ZERO, /* malloc(0): served as the smallest class */
    HK_EARLY_SIZE_RUN, /* too large for a class: goes to the L2.5 pool */
    HK_EARLY_SIZE_LARGE, /* too large for the L2.5 pool: goes to mappings */
    HK_EARLY_SIZE_ABSURD, /* beyond PTRDIFF_MAX, or the product overflowed: ENOMEM */
    HK_EARLY_BAD_ALIGNMENT, /* not a power of two, or too large: EINVAL or ENOMEM */
    HK_EARLY_NO_THREAD, /* the calling thread has no cache yet: it gets one */
    HK_EARLY_DEAD_THREAD, /* its cache is gone (thread exit): one block at a time, from central */
    HK_EARLY_BOOTING, /* the call came while the thread's cache was being made */
    HK_EARLY_NULL, /* free(NULL) */
    HK_EARLY_FOREIGN, /* free of a pointer that is not hakmem's */
    HK_EARLY_CENTRAL_FULL, /* the class's central stack may not grow: blocks go to their slabs */
    HK_EARLY_NO_MEMORY, /* the system refuses memory, also after everything was given back */
    HK_EARLY_COUNT
};

/* what happened at call sites, in the variant learn */
enum hk_learned {
    HK_LEARNED_REUSED, /* a request got a block that its site had freed */
    HK_LEARNED_MISSED, /* its site had none: the layers below were asked */
    HK_LEARNED_KEPT, /* a freed block waits for its site */
    HK_LEARNED_LET_GO, /* a block that waited goes back to the system */
    HK_LEARNED_RETURNED, /* a freed block goes back at once */
    HK_LEARNED_EPOCH, /* an epoch ended, and its strategy was rewarded */
    HK_LEARNED_TRIED, /* a site got another strategy */
    HK_LEARNED_FROZEN, /* a site's strategy was frozen */
    HK_LEARNED_SHIFTED, /* its workload had shifted: it learns again */
    HK_LEARNED_COUNT
};

/* system calls of the allocator */
enum hk_os_call {
    HK_OS_MMAP, /* mmap */
    HK_OS_MUNMAP, /* munmap */
    HK_OS_MREMAP, /* mremap */
    HK_OS_MPROTECT, /* mprotect */
    HK_OS_PURGE, /* madvise that gives pages back */
    HK_OS_HUGE, /* madvise about huge pages */
    HK_OS_LOOK, /* mincore: which pages are resident */
    HK_OS_COUNT
};

/* locks of the allocator */
enum hk_lock_kind {
    HK_LOCK_CLASS, /* central stack and slabs of a size class */
    HK_LOCK_SUPERSLAB, /* units of SuperSlabs */
    HK_LOCK_LARGE, /* runs and mappings of the L2.5 pool and the Whale cache */
    HK_LOCK_THREADS, /* the list of threads */
    HK_LOCK_META, /* memory of descriptors */
    HK_LOCK_COUNT
};

/* What one thread counts. */
struct hk_counts {
    uint64_t cache_hit[113];
    uint64_t refill_served[113];
    uint64_t requested_bytes[113];
    uint64_t run_alloc;
    uint64_t run_requested_bytes;
    uint64_t run_given_bytes;
    uint64_t large_alloc;
    uint64_t large_requested_bytes;
    uint64_t large_given_bytes;
    uint64_t alloc_failed;
    uint64_t calloc;
    uint64_t aligned;
    uint64_t realloc_in_place;
    uint64_t realloc_moved;
    uint64_t early_return[14];
    uint64_t stage_attempt[7][113];
    uint64_t stage_success[7][113];
    uint64_t stage_block[7][113];
    uint64_t reused_own[113];
    uint64_t reused_other[113];
    uint64_t stage_cycle[7];
    uint64_t carved[113];
    uint64_t tls_sll[113];
    uint64_t tls_sll_overflow[113];
    uint64_t threadless_free[113];
    uint64_t run_free;
    uint64_t run_freed_bytes;
    uint64_t large_free;
    uint64_t large_freed_bytes;
    uint64_t overflow[113];
    uint64_t cap_grown[113];
    uint64_t central_list[113];
    uint64_t central_block[113];
    uint64_t central_full_block[113];
    uint64_t central_drained_block[113];
    uint64_t ss_local[113];
    uint64_t ss_remote[113];
    uint64_t slab_opened[113];
    uint64_t slab_retired[113];
    uint64_t retired_block[113];
    uint64_t superslab_mapped;
    uint64_t superslab_emptied;
    uint64_t superslab_claimed;
    uint64_t superslab_unmapped;
    uint64_t large_mapped;
    uint64_t large_reused;
    uint64_t large_cached;
    uint64_t large_unmapped;
    uint64_t large_mapped_bytes;
    uint64_t large_unmapped_bytes;
    uint64_t os_call[7];
    uint64_t os_call_failed[7];
    uint64_t os_call_bytes[7];
    uint64_t purge_round;
    uint64_t purge_call;
    uint64_t purge_bytes;
    uint64_t learned[9];
    uint64_t trim;
    uint64_t lock_wait[5];
    uint64_t thread_started;
    uint64_t thread_exited;
};

/* What is known of the process as a whole. */
struct hk_gauges {
    uint64_t superslab_live;
    uint64_t superslab_live_peak;
    uint64_t looks;
    uint64_t derived_alloc;
    uint64_t derived_free;
    uint64_t live_bytes;
    uint64_t cached_bytes;
    uint64_t dirty_bytes;
    uint64_t mapped_bytes;
    uint64_t peak_mapped_bytes;
    uint64_t cached_block[113];
    uint64_t thread_live;
    uint64_t batch_block[113];
    uint64_t slab_used_block[113];
    uint64_t slab_free_block[113];
    uint64_t slab_live[113];
    uint64_t run_live;
    uint64_t large_live;
    uint64_t learn_waiting;
};

enum { HK_COUNT_WORDS = 4720,
       HK_GAUGE_WORDS = 579 };

/* An axis; `member` is NULL where the members are only numbers. */
struct hk_axis {
    uint32_t size;
    const char *const *member;
};

/* One counter or gauge: its first word, and its axes, outermost first (NULL: none). */
struct hk_counter_row {
    const char *name;
    uint32_t word;
    const struct hk_axis *outer, *inner;
};

extern const struct hk_counter_row hk_counter_rows[];
extern const uint32_t hk_counter_row_count;
extern const struct hk_counter_row hk_gauge_rows[];
extern const uint32_t hk_gauge_row_count;

/* The layout as JSON: what a reader of another version needs to make sense of the words. */
extern const char hk_layout_text[];
extern const uint32_t hk_layout_text_bytes;

#endif
