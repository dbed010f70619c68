#include "cache_list.h"

#include "class_map.h"
#include "events.h"
#include "slab.h"
#include "thread_record.h"

enum {
    LONGEST_WALK = 1 << 17, /* blocks: longer than any list can be */
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

void hk_held_free(struct hk_thread *thread, unsigned cls, void *block) {
    struct hk_slot *slot = &thread->slots[cls];
    void *list = hk_tls.head[cls];
    if (slot->granted && list) {
        hk_on_overflow(cls);
        hk_tls.head[cls] = NULL;
        void *old = slot->held.spare;
        slot->held.spare = list;
        if (old) {
            spill(thread, cls, old);
            hk_thread_tick(thread);
        }
    }
    hk_thread_grant(thread, cls, slot->limit - 1U);
    hk_set_next(block, hk_tls.head[cls]);
    hk_tls.head[cls] = block;
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

/* What is read is checked before it is followed. */
static size_t walk(void *const *list, unsigned cls) {
    const void *block = __atomic_load_n(list, __ATOMIC_RELAXED);
    size_t length = 0;
    while (block && length < LONGEST_WALK && hk_code_of(block) == cls &&
           ((uintptr_t)block & (HK_ALIGNMENT - 1)) == 0) {
        length++;
        block = hk_next_unsure(block);
    }
    return length;
}

size_t hk_held_count(const struct hk_thread *thread, unsigned cls) {
    return walk(&thread->tls->head[cls], cls) + walk(&thread->slots[cls].held.spare, cls);
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
