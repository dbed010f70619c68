#include "cache_magazine.h"

#include "config.h"
#include "depot.h"
#include "events.h"
#include "slab.h"
#include "thread_record.h"

#include <string.h>

enum {
    /* A magazine with less than this part of its slots left when its room is used up becomes the
     * spare one, and its last blocks, as many, start the next: so that neither frees nor
     * allocations are back here at once. */
    PART_LEFT = 4,
};

void *const hk_no_blocks = NULL;

/* --- the loaded magazine ---------------------------------------------------------------------- */

/* Switches for experiments. Without TLS magazine every call comes here, to a magazine that the fast
 * paths do not know; without that and the mini-magazine, to the slabs. */
static bool keeps_any(void) {
    return hk_config.magazine || hk_config.mini_magazine;
}

static bool keeps_spare(void) {
    return hk_config.magazine && hk_config.mini_magazine;
}

/* Slots of a class: half for a refill, half for frees; all that there are until the first free,
 * which sets the limit. */
static unsigned slots_for(const struct hk_slot *slot) {
    return 2U * (slot->limit ? slot->limit : HK_LIMIT_MOST);
}

static unsigned usable(const struct hk_slot *slot, const struct hk_magazine *magazine) {
    unsigned slots = slots_for(slot);
    return slots < magazine->capacity ? slots : magazine->capacity;
}

static bool is_full(const struct hk_slot *slot, const struct hk_magazine *magazine) {
    unsigned blocks = usable(slot, magazine);
    return magazine->count > blocks - blocks / PART_LEFT;
}

/* Opens a magazine to the fast paths, with the room that it has; NULL: they find nothing. */
static void load(struct hk_thread *thread, unsigned cls, struct hk_magazine *magazine) {
    struct hk_slot *slot = &thread->slots[cls];
    slot->held.loaded = magazine;
    void *const *top = &hk_no_blocks;
    unsigned room = 0;
    if (magazine && hk_config.magazine) {
        unsigned slots = usable(slot, magazine);
        room = slot->limit && slots > magazine->count ? slots - magazine->count : 0;
        top = &magazine->slots[magazine->count];
    }
    thread->tls->head[cls] = (void *)(uintptr_t)top;
    hk_thread_grant(thread, cls, room);
}

/* Blocks in the loaded magazine, which is open if `top` lies in it. Another thread may be using it.
 */
static size_t count_loaded(const struct hk_magazine *magazine, void *const *top) {
    size_t count = top == &hk_no_blocks ? magazine->count : (size_t)(top - magazine->slots);
    return count <= magazine->capacity ? count : 0;
}

/* Closes the loaded magazine to the fast paths; NULL: there is none. */
static struct hk_magazine *unload(struct hk_thread *thread, unsigned cls) {
    struct hk_magazine *magazine = thread->slots[cls].held.loaded;
    if (magazine) {
        magazine->count = (uint32_t)count_loaded(magazine, thread->tls->head[cls]);
    }
    load(thread, cls, NULL);
    return magazine;
}

/* Takes the last block of a magazine, which is loaded. */
static void *load_and_take(struct hk_thread *thread, unsigned cls, struct hk_magazine *magazine) {
    void *block = magazine->slots[magazine->count--];
    load(thread, cls, magazine);
    return block;
}

/* Keeps an empty magazine for the next exchange, or gives it back. */
static void put_aside(struct hk_slot *slot, struct hk_magazine *empty) {
    if (empty && !slot->held.spare && keeps_spare()) {
        slot->held.spare = empty;
    } else if (empty) {
        hk_magazine_recycle(empty);
    }
}

/* --- allocation ------------------------------------------------------------------------------- */

void *hk_held_take_spare(struct hk_thread *thread, unsigned cls) {
    struct hk_held *held = &thread->slots[cls].held;
    hk_on_refill_try(HK_STAGE_SPARE, cls);
    struct hk_magazine *magazine = unload(thread, cls);
    if (magazine && magazine->count) { /* one that the fast paths do not know */
        hk_on_refill_took(HK_STAGE_SPARE, cls, 1);
        return load_and_take(thread, cls, magazine);
    }
    struct hk_magazine *spare = held->spare;
    if (!spare || !spare->count) {
        load(thread, cls, magazine);
        return NULL;
    }
    held->spare = magazine;
    hk_on_refill_took(HK_STAGE_SPARE, cls, spare->count);
    return load_and_take(thread, cls, spare);
}

/* An empty magazine as large as the class may have: `magazine`, or one in its place. NULL: no
 * memory, or none is wanted. */
static struct hk_magazine *large_enough(const struct hk_slot *slot, struct hk_magazine *magazine) {
    if (magazine && (magazine->capacity < slots_for(slot) || !keeps_any())) {
        hk_magazine_recycle(magazine);
        magazine = NULL;
    }
    return magazine || !keeps_any() ? magazine : hk_magazine_new(slots_for(slot));
}

void *hk_held_refill(struct hk_thread *thread, unsigned cls) {
    struct hk_slot *slot = &thread->slots[cls];
    struct hk_magazine *magazine = unload(thread, cls);
    struct hk_magazine *full = hk_depot_take(cls);
    if (full) {
        put_aside(slot, magazine);
        return load_and_take(thread, cls, full);
    }
    magazine = large_enough(slot, magazine);
    if (!magazine) {
        void *block = NULL;
        (void)hk_slab_take(cls, &block, 1);
        return block;
    }
    unsigned want = usable(slot, magazine) / 2;
    magazine->count = hk_slab_take(cls, magazine->slots + 1, want ? want : 1);
    if (!magazine->count) {
        load(thread, cls, magazine);
        return NULL;
    }
    return load_and_take(thread, cls, magazine);
}

void *hk_held_alloc_one(unsigned cls) {
    struct hk_magazine *magazine = hk_depot_take(cls);
    if (!magazine) {
        void *block = NULL;
        (void)hk_slab_take(cls, &block, 1);
        return block;
    }
    void *block = magazine->slots[magazine->count--];
    if (magazine->count) {
        (void)hk_depot_put(cls, magazine);
    } else {
        hk_magazine_recycle(magazine);
    }
    return block;
}

/* --- free ------------------------------------------------------------------------------------- */

/* Hands a magazine over; the limit follows what becomes of it. */
static void spill(struct hk_thread *thread, unsigned cls, struct hk_magazine *magazine) {
    thread->slots[cls].spilled = true;
    if (!hk_depot_put(cls, magazine)) {
        (void)hk_held_flush(thread, cls);
        hk_thread_shrink_limit(thread, cls);
    }
}

/* Moves the last blocks of a full magazine to an empty one. */
static void start_from(struct hk_magazine *magazine, struct hk_magazine *full, unsigned blocks) {
    full->count -= blocks;
    memcpy(magazine->slots + 1, full->slots + 1 + full->count, blocks * sizeof(void *));
    magazine->count = blocks;
}

/* A magazine in the place of a full one, which is kept aside or handed over. NULL: no memory. */
static struct hk_magazine *exchange(struct hk_thread *thread, unsigned cls,
                                    struct hk_magazine *full) {
    struct hk_slot *slot = &thread->slots[cls];
    hk_on_overflow(cls);
    struct hk_magazine *magazine = slot->held.spare;
    slot->held.spare = NULL;
    if (magazine && magazine->count) {
        spill(thread, cls, magazine);
        magazine = NULL;
    }
    magazine = large_enough(slot, magazine);
    if (magazine) {
        start_from(magazine, full, usable(slot, full) / PART_LEFT);
    }
    if (keeps_spare()) {
        slot->held.spare = full;
    } else {
        spill(thread, cls, full);
    }
    return magazine;
}

void hk_held_free(struct hk_thread *thread, unsigned cls, void *block) {
    struct hk_slot *slot = &thread->slots[cls];
    hk_thread_tick(thread); /* may hand over what the thread holds */
    if (!keeps_any()) {
        (void)hk_held_flush(thread, cls); /* what came before the environment was read */
    }
    struct hk_magazine *magazine = unload(thread, cls);
    if (magazine && is_full(slot, magazine)) {
        magazine = exchange(thread, cls, magazine);
    }
    magazine = magazine ? magazine : large_enough(slot, NULL);
    if (!magazine) {
        hk_held_free_one(cls, block);
        return;
    }
    magazine->slots[++magazine->count] = block;
    load(thread, cls, magazine);
}

void hk_held_free_one(unsigned cls, void *block) {
    hk_on_depot_full(cls, 1);
    hk_slab_give(cls, &block, 1);
}

/* --- the whole class -------------------------------------------------------------------------- */

bool hk_held_flush(struct hk_thread *thread, unsigned cls) {
    struct hk_held *held = &thread->slots[cls].held;
    struct hk_magazine *magazines[] = {unload(thread, cls), held->spare};
    bool any = false;
    *held = (struct hk_held){NULL, NULL};
    for (unsigned i = 0; i < 2; i++) {
        if (magazines[i] && magazines[i]->count) {
            any = true;
            (void)hk_depot_put(cls, magazines[i]);
        } else if (magazines[i]) {
            hk_magazine_recycle(magazines[i]);
        }
    }
    return any;
}

size_t hk_held_count(const struct hk_thread *thread, unsigned cls) {
    const struct hk_held *held = &thread->slots[cls].held;
    const struct hk_magazine *loaded = __atomic_load_n(&held->loaded, __ATOMIC_RELAXED);
    const struct hk_magazine *spare = __atomic_load_n(&held->spare, __ATOMIC_RELAXED);
    void *const *top = __atomic_load_n(&thread->tls->head[cls], __ATOMIC_RELAXED);
    return (loaded ? count_loaded(loaded, top) : 0) + (spare ? spare->count : 0);
}

void hk_held_tick(void) {
    hk_batches_tick();
    hk_slab_tick();
}

bool hk_held_trim(void) {
    bool any = hk_batches_trim();
    any |= hk_slab_trim();
    return any;
}

void hk_held_locks(hk_lock_visitor *visit) {
    hk_slab_locks(visit);
    hk_depot_locks(visit);
}
