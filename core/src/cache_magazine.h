/* The variant `magazine` (HK_MAGAZINE=1, docs/variants.md): what a thread holds of a class is an
 * array of free blocks, the loaded magazine (depot.h), and the one that was loaded before it, the
 * spare or mini-magazine. In TLS lies where the last block of the loaded one is.
 *
 * malloc reads that block and steps down, free steps up and writes: neither touches the block.
 * Below the first slot of a magazine lies a NULL, at which malloc ends; free ends when `room` is
 * used up, which never exceeds the slots that are left. */
#ifndef HK_CACHE_MAGAZINE_H
#define HK_CACHE_MAGAZINE_H

#include "thread_tls.h"

struct hk_magazine;

/* Of a class, beside the place in TLS. */
struct hk_held {
    struct hk_magazine *loaded, *spare;
};

/* What a thread's place in TLS is while it has no magazine of the class. */
extern void *const hk_no_blocks __attribute__((visibility("hidden")));
#define HK_HEADS_AT_START                                                                          \
    { [0 ... HK_CODES - 1] = (void *)(uintptr_t)&hk_no_blocks }

enum { HK_LIMIT_MOST = 126 }; /* blocks: half of the largest magazine */

/* Takes the last block of the loaded magazine, NULL if it is empty. */
HK_INLINE void *hk_cache_pop(size_t cls) {
    uintptr_t offset = hk_tls_offset();
    void **top = hk_tls_head(offset, cls);
    void *block = hk_to_return(*top);
    if (HK_LIKELY(block != NULL)) {
        hk_tls_set_head(offset, cls, top - 1);
        if (hk_stats_on) {
            HK_TLS_COUNT(offset, HK_STATS_ALLOC);
        }
    }
    return block;
}

/* Puts a block into the loaded magazine. False: there is no room, which now reads 65535. */
HK_INLINE bool hk_cache_push(size_t cls, void *block) {
    uintptr_t offset = hk_tls_offset();
    HK_TLS_TAKE_ROOM(offset, cls, no_room);
    void **top = hk_tls_head(offset, cls);
    top[1] = block;
    hk_tls_set_head(offset, cls, top + 1);
    if (hk_stats_on) {
        HK_TLS_COUNT(offset, HK_STATS_FREE);
    }
    return true;
no_room:
    return false;
}

/* The block that was freed last, and is still there. */
HK_INLINE const void *hk_cache_last(size_t cls) {
    return *(void *const *)hk_tls.head[cls];
}

#endif
