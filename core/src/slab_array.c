/* The slabs' free blocks for caches that hold arrays of pointers: as lists through the blocks, or,
 * in the variant `bitmap`, as bits. */
#include "bitmap.h"
#include "slab_class.h"

/* --- a slab's free blocks --------------------------------------------------------------------- */

/* Takes `count` of them, of which there must be as many; the last slot is to be used first. */
static void pop_free(struct hk_slab *slab, void **slots, unsigned count) {
    if (hk_bitmap_on) {
        hk_bitmap_take(slab->bitmap, count, hk_first_block(slab), hk_class_size(slab->cls), slots);
        return;
    }
    for (void **slot = slots + count; slot > slots;) {
        *--slot = slab->free;
        slab->free = hk_next(slab->free);
    }
}

/* With the class's lock, which it lets go of: whoever handles SIGABRT may allocate. */
static _Noreturn void refuse(struct hk_central *central, const char *what, const void *block) {
    hk_unlock(&central->lock);
    hk_fatal(what, block);
}

/* Adds one. Bits know, for nothing, what was never given out, or came back before. */
static void push_free(struct hk_central *central, struct hk_slab *slab, void *block) {
    if (hk_bitmap_on) {
        unsigned offset = (unsigned)((char *)block - hk_first_block(slab));
        unsigned size = (unsigned)hk_class_size(slab->cls);
        unsigned index = offset / size;
        if (HK_UNLIKELY(offset % size != 0 || index >= slab->carved)) {
            refuse(central, "free(): invalid pointer", block);
        }
        if (HK_UNLIKELY(!hk_bitmap_free(slab->bitmap, index))) {
            refuse(central, "free(): double free of", block);
        }
        return;
    }
    hk_set_next(block, slab->free);
    slab->free = block;
}

/* --- stages ----------------------------------------------------------------------------------- */

/* The slab to take from, of several one with blocks that came back. NULL: none gives. */
static struct hk_slab *giving_slab(struct hk_central *central) {
    if (!central->giving && central->reserve) {
        hk_enlist(central, central->reserve);
        central->reserve = NULL;
    }
    return central->giving;
}

static unsigned take_returned(struct hk_central *central, struct hk_slab *slab, void **slots,
                              unsigned want) {
    unsigned count = slab->free_count < want ? slab->free_count : want;
    hk_on_reused(slab->cls, slab->owner == (const void *)hk_thread_pointer(), count);
    slab->free_count -= count;
    slab->used += count;
    pop_free(slab, slots, count);
    hk_delist_if_spent(central, slab);
    return count;
}

/* Reserves the next blocks of a slab, and lets go of the class's lock. */
static unsigned take_fresh(struct hk_central *central, struct hk_slab *slab, void **slots,
                           unsigned want) {
    size_t size = hk_class_size(slab->cls);
    unsigned cls = slab->cls;
    char *block = hk_first_block(slab) + slab->carved * size;
    unsigned count = hk_carve(central, slab, want);
    hk_delist_if_spent(central, slab);
    hk_unlock(&central->lock);
    hk_on_carved(cls, count);
    for (void **slot = slots + count; slot > slots; block += size) {
        *--slot = block;
    }
    return count;
}

static unsigned take_from_new_slab(unsigned cls, void **slots, unsigned want) {
    enum hk_stage stage;
    struct hk_slab *slab = hk_slab_open(cls, &stage);
    if (!slab) {
        return 0;
    }
    unsigned count = take_fresh(&hk_centrals[cls], slab, slots, want);
    hk_on_refill_took(stage, cls, count);
    return count;
}

unsigned hk_slab_take(unsigned cls, void **slots, unsigned want) {
    struct hk_central *central = &hk_centrals[cls];
    unsigned taken = 0;
    hk_on_refill_try(HK_STAGE_PARTIAL, cls);
    hk_lock(&central->lock, HK_LOCK_CLASS);
    struct hk_slab *slab = giving_slab(central);
    for (; slab && slab->free_count && taken < want; slab = central->giving) {
        taken += take_returned(central, slab, slots + taken, want - taken);
    }
    if (taken) {
        hk_unlock(&central->lock);
        hk_on_refill_took(HK_STAGE_PARTIAL, cls, taken);
        return taken;
    }
    hk_on_refill_try(HK_STAGE_CARVE, cls);
    if (slab) {
        taken = take_fresh(central, slab, slots, want);
        hk_on_refill_took(HK_STAGE_CARVE, cls, taken);
        return taken;
    }
    hk_unlock(&central->lock);
    return take_from_new_slab(cls, slots, want);
}

/* --- blocks that come back -------------------------------------------------------------------- */

/* A slab lost its last block in use: it waits in reserve, lest the next block open another. The
 * slab itself if it is to go, for one waits already. */
static struct hk_slab *put_in_reserve(struct hk_central *central, struct hk_slab *slab) {
    if (slab->listed) {
        hk_delist(central, slab);
    }
    if (!central->reserve) {
        central->reserve = slab;
        central->reserve_is_idle = false;
        return NULL;
    }
    central->slabs--;
    return slab;
}

/* Puts a block into its slab; the slab itself if that is to go, else NULL. */
static struct hk_slab *return_block(struct hk_central *central, void *block) {
    struct hk_slab *slab = hk_slab_of(block);
    push_free(central, slab, block);
    if (hk_count_return(slab)) {
        return put_in_reserve(central, slab);
    }
    if (!slab->listed) {
        hk_enlist(central, slab);
    }
    return NULL;
}

void hk_slab_give(unsigned cls, void *const *slots, unsigned count) {
    struct hk_central *central = &hk_centrals[cls];
    struct hk_slab *empty[HK_RETURNED_AT_ONCE];
    while (count) {
        unsigned empties = 0;
        hk_lock(&central->lock, HK_LOCK_CLASS);
        for (unsigned i = 0; count && i < HK_RETURNED_AT_ONCE; i++) {
            struct hk_slab *slab = return_block(central, slots[--count]);
            if (slab) {
                empty[empties++] = slab;
            }
        }
        hk_unlock(&central->lock);
        while (empties) {
            hk_slab_retire(empty[--empties]);
        }
    }
}

/* --- giving memory back ----------------------------------------------------------------------- */

/* Retires the slab in reserve, if nobody needed it since the last look or in any case. */
static bool retire_reserve(unsigned cls, bool in_any_case) {
    struct hk_central *central = &hk_centrals[cls];
    hk_lock(&central->lock, HK_LOCK_CLASS);
    struct hk_slab *slab = central->reserve;
    if (slab && !in_any_case && !central->reserve_is_idle) {
        central->reserve_is_idle = true;
        slab = NULL;
    }
    if (slab) {
        central->reserve = NULL;
        central->slabs--;
    }
    hk_unlock(&central->lock);
    if (slab) {
        hk_slab_retire(slab);
    }
    return slab != NULL;
}

void hk_slab_tick(void) {
    for (unsigned cls = 1; cls < HK_CLASSES; cls++) {
        (void)retire_reserve(cls, false);
    }
}

bool hk_slab_trim(void) {
    bool any = false;
    for (unsigned cls = 1; cls < HK_CLASSES; cls++) {
        any |= retire_reserve(cls, true);
    }
    return any;
}
