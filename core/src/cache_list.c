#include "cache_list.h"

#include "class_map.h"
#include "events.h"
#include "slab.h"
#include "thread_record.h"

enum {
    LONGEST_WALK = 1 << 17, /* blocks: longer than any list can be */
    MOST_LOOKED_AT = 1024,  /* blocks of a list, at exit */
    LOOK_SOON = 1,          /* overflows before the next look at a list: it was long, or was not */
    LOOK_LATER = 7,
};

/* Takes the first block of a list, which becomes the thread's. */
static void *adopt(unsigned cls, void *list) {
    if (list) {
        hk_tls.head[cls] = hk_next_taken(list);
    }
    return list;
}

void *hk_held_take_spare(struct hk_thread *thread, unsigned cls) {
    if (hk_secure_on && hk_tls.head[cls]) {
        return adopt(cls, hk_tls.head[cls]); /* which the fast path did not dare to give */
    }
    hk_on_refill_try(HK_STAGE_SPARE, cls);
    struct hk_held *held = &thread->slots[cls].held;
    void *list = held->spare;
    held->spare = NULL;
    if (list) {
        hk_on_refill_got(HK_STAGE_SPARE, cls, list);
    }
    return adopt(cls, list);
}

void *hk_held_refill(struct hk_thread *thread, unsigned cls) {
    (void)thread;
    return adopt(cls, hk_slab_refill(cls, HK_LIMIT_MOST));
}

/* Hands a list over; the limit follows what becomes of it. */
static void spill(struct hk_thread *thread, unsigned cls, void *list) {
    struct hk_slot *slot = &thread->slots[cls];
    slot->spilled = true;
    if (!hk_slab_put(cls, list, slot->limit)) {
        (void)hk_held_flush(thread, cls);
        hk_thread_shrink_limit(thread, cls);
    }
}

/* The lists of threads that hand blocks over to each other drift apart: what one holds too much
 * another asks for anew. Where lists are much of the heap, a spare list keeps what the class's
 * first limit allows, and the rest is for all. Elsewhere it stays whole: to look at its blocks
 * misses the cache, which took a tenth more time where the heap is large (larson). */
static HK_NOINLINE void shorten_spare(struct hk_thread *thread, unsigned cls) {
    struct hk_slot *slot = &thread->slots[cls];
    slot->until_look = LOOK_LATER;
    if (!hk_thread_lists_weigh(thread)) {
        return;
    }
    void *last = slot->held.spare;
    for (unsigned rest = hk_thread_first_limit(cls) - 1; rest && hk_next(last); rest--) {
        last = hk_next(last);
    }
    void *tail = hk_next(last);
    if (tail) {
        slot->until_look = LOOK_SOON;
        hk_set_next(last, NULL);
        spill(thread, cls, tail);
    }
}

HK_INLINE void hold(struct hk_thread *thread, unsigned cls, void *block) {
    hk_thread_grant(thread, cls, thread->slots[cls].limit - 1U);
    hk_set_next(block, hk_tls.head[cls]);
    hk_tls.head[cls] = block;
}

/* The rarer half of hk_held_free: the registers that it saves are its own. */
static HK_NOINLINE void spill_and_hold(struct hk_thread *thread, unsigned cls, void *list,
                                       void *block) {
    spill(thread, cls, list);
    hk_thread_tick(thread);
    hold(thread, cls, block);
}

void hk_held_free(struct hk_thread *thread, unsigned cls, void *block) {
    struct hk_slot *slot = &thread->slots[cls];
    void *list = hk_tls.head[cls];
    if (slot->granted && list) {
        hk_on_overflow(cls);
        hk_tls.head[cls] = NULL;
        void *old = slot->held.spare;
        slot->held.spare = list;
        if (slot->until_look-- == 0) {
            shorten_spare(thread, cls);
        }
        if (old) {
            spill_and_hold(thread, cls, old, block);
            return;
        }
    }
    hold(thread, cls, block);
}

bool hk_held_flush(struct hk_thread *thread, unsigned cls) {
    struct hk_slot *slot = &thread->slots[cls];
    void *lists[] = {thread->tls->head[cls], slot->held.spare};
    thread->tls->head[cls] = NULL;
    slot->held.spare = NULL;
    for (unsigned i = 0; i < 2; i++) {
        if (lists[i]) {
            (void)hk_slab_put(cls, lists[i], slot->limit);
        }
    }
    return lists[0] || lists[1];
}

/* --- looking ---------------------------------------------------------------------------------- */

static bool may_hold(unsigned cls, const void *block) {
    return block && hk_code_of(block) == cls && ((uintptr_t)block & (HK_ALIGNMENT - 1)) == 0;
}

/* What is read is checked before it is followed. */
static size_t walk(void *const *list, unsigned cls) {
    const void *block = __atomic_load_n(list, __ATOMIC_RELAXED);
    size_t length = 0;
    while (length < LONGEST_WALK && may_hold(cls, block)) {
        length++;
        block = hk_next_unsure(block);
    }
    return length;
}

size_t hk_held_count(const struct hk_thread *thread, unsigned cls) {
    return walk(&thread->tls->head[cls], cls) + walk(&thread->slots[cls].held.spare, cls);
}

/* How many blocks one after another lead back to where they began; 0: none, as far as one looks.
 * Brent's way: a block is kept and looked for among twice as many as before. */
static size_t length_of_circle(unsigned cls, const void *block, size_t looks) {
    const void *kept = block;
    size_t since = 0;
    for (size_t next = 1; looks && may_hold(cls, block); looks--) {
        block = hk_next(block);
        since++;
        if (block == kept) {
            return since;
        }
        if (since == next) {
            kept = block;
            since = 0;
            next *= 2;
        }
    }
    return 0;
}

/* The first block that a list leads back to. */
static const void *start_of_circle(const void *list, size_t length) {
    const void *ahead = list;
    for (; length; length--) {
        ahead = hk_next(ahead);
    }
    for (; list != ahead; list = hk_next(list)) {
        ahead = hk_next(ahead);
    }
    return list;
}

/* A block that was freed twice, with others between, is twice in the list, which leads in a circle
 * of blocks that were freed since the room was granted. Brent needs four looks for each at most. */
static void look_for_circle(const struct hk_thread *thread, unsigned cls) {
    const size_t freed = (uint16_t)(thread->slots[cls].granted - hk_tls.room[cls]);
    const size_t looks = 4 * freed < MOST_LOOKED_AT ? 4 * freed : MOST_LOOKED_AT;
    const void *list = hk_tls.head[cls];
    const size_t length = length_of_circle(cls, list, looks);
    if (length) {
        hk_fatal("free(): double free, noticed at exit, of", start_of_circle(list, length));
    }
}

/* In the thread that calls exit: nobody else changes its lists. */
__attribute__((destructor)) static void look_at_exit(void) {
    if (hk_secure_on || !hk_tls.thread) {
        return;
    }
    HK_EACH_USED(hk_tls.thread, cls) {
        look_for_circle(hk_tls.thread, cls);
    }
}

void *hk_held_alloc_one(unsigned cls) {
    return hk_slab_alloc_one(cls);
}

void hk_held_free_one(unsigned cls, void *block) {
    hk_set_next(block, NULL);
    (void)hk_slab_put(cls, block, 1);
}

void hk_held_tick(void) {
    hk_batches_tick();
}

bool hk_held_trim(void) {
    return hk_batches_trim();
}

void hk_held_locks(hk_lock_visitor *visit) {
    hk_slab_locks(visit);
}
