/* The thread cache: for each class, free blocks that the calling thread alone can reach. How they
 * are held is a policy of its own (cache_list.h); common to all is that malloc takes, free adds,
 * and `room` says how many frees may follow before the slow path looks at what is held. malloc does
 * not touch it. So every `room` that is used up counts that many frees, at no cost to either path.
 *
 * A thread starts with zeroes: no blocks and no room, so its first calls take the slow paths, which
 * set it up. Classes that never have room are those of NULL, foreign, run and large addresses. */
#ifndef HK_THREAD_CACHE_H
#define HK_THREAD_CACHE_H

#if HK_MAGAZINE
#include "cache_magazine.h"
#else
#include "cache_list.h"
#endif
#include "thread_tls.h"

struct hk_slab;

/* Where the calling thread counts, once its lists have blocks or room: for the two fast events. */
HK_INLINE struct hk_block *hk_cache_own_block(void) {
    return hk_counters_on ? hk_tls_own_block(hk_tls_offset()) : NULL;
}

/* Another allocation or free than those of hk_cache_pop and hk_cache_push: the variant `stats`. */
HK_INLINE void hk_cache_count(enum hk_stats_count which) {
    if (hk_stats_on) {
        hk_tls.counted[which]++;
        hk_stats_fold(hk_tls.counted);
    }
}

/* A block of a class of which the thread holds none. NULL: no memory. */
void *hk_cache_refill(unsigned cls);

/* Frees a block whose class had no room. */
void hk_cache_overflow(unsigned cls, void *block);
/* A run that the thread freed, or NULL; its content is old. */
void *hk_cache_take_run(unsigned units);
/* False: the thread keeps enough of them. */
bool hk_cache_keep_run(struct hk_slab *run, void *block);

/* For a code that never has room: makes that so again, and counts the free. */
void hk_cache_bypassed(unsigned code);

/* Looks at the clock now and then, and gives back what nobody needed of late. */
void hk_cache_tick(void);

/* Gives back everything that can go, the calling thread's lists included: on demand, and before a
 * request fails. True if anything went. */
bool hk_cache_trim(void);

struct hk_cache_stats {
    uint64_t frees;                     /* on every path, since the start */
    uint64_t counted[HK_STATS_COUNTS];  /* the same, and allocations, in the variant `stats` */
    size_t listed_blocks, listed_bytes; /* in the lists of threads */
    size_t runs, run_bytes;             /* kept by threads */
    size_t threads;
};
struct hk_cache_stats hk_cache_stats(void);

/* Before memory is asked of the layers below: a thread's first call sets the thread up, and that of
 * the first thread what all need. Every function here that gives blocks does it. Not done at start,
 * for the shortest programs allocate nothing. */
void hk_cache_begin(void);

/* Part of that: from now on fork takes hakmem's locks. */
void hk_fork_watch(void);

#endif
