/* The variant `stats` (HK_STATS=1, docs/variants.md): every allocation and every free is counted
 * where it happens, by a plain addition in the thread's own memory. Slow paths add what came
 * together to the totals of the process, and so does the end of the thread. hak_stats_read then
 * gives these counts; the release derives them from what its slow paths know. */
#ifndef HK_THREAD_STATS_H
#define HK_THREAD_STATS_H

#include "base.h"

#ifndef HK_STATS
#define HK_STATS 0
#endif

enum hk_stats_count { HK_STATS_ALLOC, HK_STATS_FREE };

enum {
    hk_stats_on = HK_STATS,
    HK_STATS_COUNTS = hk_stats_on ? 2 : 0,
};

extern uint64_t hk_stats_totals[2] __attribute__((visibility("hidden")));

/* Moves a thread's counts into the totals. */
HK_INLINE void hk_stats_fold(uint64_t *counted) {
    for (int i = 0; i < HK_STATS_COUNTS; i++) {
        __atomic_fetch_add(&hk_stats_totals[i], counted[i], __ATOMIC_RELAXED);
        __atomic_store_n(&counted[i], 0, __ATOMIC_RELAXED);
    }
}

/* Adds counts that other threads may be moving. */
HK_INLINE void hk_stats_add(uint64_t *sums, const uint64_t *counted) {
    for (int i = 0; i < HK_STATS_COUNTS; i++) {
        sums[i] += __atomic_load_n(&counted[i], __ATOMIC_RELAXED);
    }
}

/* What was counted, in a library that counts. */
HK_INLINE uint64_t hk_stats_or(const uint64_t *counted, enum hk_stats_count which,
                               uint64_t derived) {
    return hk_stats_on ? counted[which] : derived;
}

#endif
