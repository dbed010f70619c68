/* A free block holds the next one of its list. */
#ifndef HK_FREE_LIST_H
#define HK_FREE_LIST_H

#include "base.h"
#include "secure.h"

HK_INLINE void *hk_next(const void *block) {
    return *(void *const *)block;
}

/* The same of a block that is taken off its list. */
HK_INLINE void *hk_next_taken(const void *block) {
    if (hk_secure_on) {
        hk_secure_taken(block);
    }
    return hk_next(block);
}

HK_INLINE void hk_set_next(void *block, void *next) {
    if (hk_secure_on) {
        hk_secure_set_next(block, next);
    } else {
        *(void **)block = next;
    }
}

/* The same of a list that its owner may be changing: any value. */
HK_INLINE void *hk_next_unsure(const void *block) {
    return __atomic_load_n((void *const *)block, __ATOMIC_RELAXED);
}

#endif
