/* The policy of the release: what a thread holds of a class is a list of free blocks, last in first
 * out, linked through the blocks' first words; and a spare list, the one that filled up before.
 *
 * malloc pops, free pushes. A list holds at most what a refill brought and what `room` allowed. */
#ifndef HK_CACHE_LIST_H
#define HK_CACHE_LIST_H

#include "thread_tls.h"

/* Of a class, beside the list in TLS. */
struct hk_held {
    void *spare;
};

#define HK_HEADS_AT_START                                                                          \
    { NULL }

enum { HK_LIMIT_MOST = 65535 }; /* blocks: what `room` can hold */

/* Takes a block off the thread's list, NULL if it is empty (or the variant `secure` wants to look
 * closer). */
HK_INLINE void *hk_cache_pop(size_t cls) {
    uintptr_t offset = hk_tls_offset();
    void *block = hk_tls_head_to_return(offset, cls);
    if (HK_LIKELY(block != NULL) && hk_secure_may_give(block)) {
        hk_tls_set_head(offset, cls, hk_next(block));
        if (hk_stats_on) {
            HK_TLS_COUNT(offset, HK_STATS_ALLOC);
        }
        return block;
    }
    return NULL;
}

/* Puts a block on the thread's list. False: there is no room, which now reads 65535; or the block
 * was freed just before (in the variant `secure`: is not as it should be). */
HK_INLINE bool hk_cache_push(size_t cls, void *block) {
    uintptr_t offset = hk_tls_offset();
    HK_TLS_TAKE_ROOM(offset, cls, no_room);
    void *last = hk_tls_head(offset, cls);
    if (hk_secure_on ? !hk_secure_push(block, hk_tls_end(offset, cls), last)
                     : HK_UNLIKELY(block == last)) {
        return false;
    }
    if (!hk_secure_on) {
        hk_set_next(block, last);
    }
    hk_tls_set_head(offset, cls, block);
    if (hk_stats_on) {
        HK_TLS_COUNT(offset, HK_STATS_FREE);
    }
    return true;
no_room:
    return false;
}

/* The block that was freed last, and is still there. */
HK_INLINE const void *hk_cache_last(size_t cls) {
    return hk_tls.head[cls];
}

#endif
