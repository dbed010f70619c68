/* The slabs' free blocks as lists through the blocks; and, for each class, a stack of batches,
 * which are lists that threads handed over. */
#include "slab_class.h"

/* --- stages ----------------------------------------------------------------------------------- */

/* The batch behind one: in its first block's second word, but for the byte of a header. */
HK_INLINE void *next_batch(const void *batch) {
    if (hk_secure_on) {
        return hk_secure_next_batch(batch);
    }
    return hk_header_on ? hk_header_next_batch(batch) : ((void *const *)batch)[1];
}

HK_INLINE void set_next_batch(void *batch, void *next) {
    if (hk_secure_on) {
        hk_secure_set_next_batch(batch, next);
    } else if (hk_header_on) {
        hk_header_set_next_batch(batch, next);
    } else {
        ((void **)batch)[1] = next;
    }
}

/* A part of a slab that was never in use, reserved under the lock and linked outside. */
struct carving {
    char *start;
    unsigned blocks;
};

static void *take_batch(struct hk_central *central) {
    void *batch = central->batches;
    if (batch) {
        central->batches = next_batch(batch);
        hk_secure_batch_taken(batch);
        hk_count_batch_taken(central);
    }
    return batch;
}

static void *take_returned(struct hk_central *central, struct hk_slab *slab) {
    void *list = slab->free;
    slab->used += slab->free_count;
    slab->free = NULL;
    slab->free_count = 0;
    hk_delist_if_spent(central, slab);
    return list;
}

static struct carving take_fresh(struct hk_central *central, struct hk_slab *slab, unsigned want) {
    char *start = hk_first_block(slab) + slab->carved * hk_class_size(slab->cls);
    struct carving carving = {start, hk_carve(central, slab, want)};
    hk_delist_if_spent(central, slab);
    return carving;
}

static void *link_blocks(struct carving carving, size_t size, unsigned cls) {
    if (hk_secure_on) {
        hk_on_carved(cls, carving.blocks);
        return hk_secure_cut(carving.start, carving.blocks, size);
    }
    char *last = carving.start + (carving.blocks - 1) * size;
    for (char *block = carving.start; block < last; block += size) {
        hk_set_next(block, block + size);
    }
    hk_set_next(last, NULL);
    hk_on_carved(cls, carving.blocks);
    return carving.start;
}

static void *refill_from_new_slab(unsigned cls, unsigned want) {
    enum hk_stage stage;
    struct hk_slab *slab = hk_slab_open(cls, &stage);
    if (!slab) {
        return NULL;
    }
    struct carving carving = take_fresh(&hk_centrals[cls], slab, want);
    hk_unlock(&hk_centrals[cls].lock);
    void *list = link_blocks(carving, hk_class_size(cls), cls);
    hk_on_refill_got(stage, cls, list);
    return list;
}

void *hk_slab_refill(unsigned cls, unsigned want) {
    struct hk_central *central = &hk_centrals[cls];
    hk_on_refill_try(HK_STAGE_CENTRAL, cls);
    hk_lock(&central->lock, HK_LOCK_CLASS);
    central->unwanted = 0;
    void *list = take_batch(central);
    if (list) {
        hk_unlock(&central->lock);
        hk_on_refill_got(HK_STAGE_CENTRAL, cls, list);
        return list;
    }
    hk_on_refill_try(HK_STAGE_PARTIAL, cls);
    struct hk_slab *slab = central->giving;
    if (slab && slab->free) {
        hk_on_reused(cls, slab->owner == (const void *)hk_thread_pointer(), slab->free_count);
        list = take_returned(central, slab);
        hk_unlock(&central->lock);
        hk_on_refill_got(HK_STAGE_PARTIAL, cls, list);
        return list;
    }
    hk_on_refill_try(HK_STAGE_CARVE, cls);
    if (slab) {
        struct carving carving = take_fresh(central, slab, want);
        hk_unlock(&central->lock);
        list = link_blocks(carving, hk_class_size(cls), cls);
        hk_on_refill_got(HK_STAGE_CARVE, cls, list);
        return list;
    }
    hk_unlock(&central->lock);
    return refill_from_new_slab(cls, want);
}

/* --- blocks that come back -------------------------------------------------------------------- */

/* Puts a block into its slab; the slab itself if that was its last block in use, else NULL. */
static struct hk_slab *return_block(struct hk_central *central, void *block) {
    struct hk_slab *slab = hk_slab_of(block);
    hk_set_next(block, slab->free);
    slab->free = block;
    if (hk_count_return(slab)) {
        if (slab->listed) {
            hk_delist(central, slab);
        }
        central->slabs--;
        return slab;
    }
    if (!slab->listed) {
        hk_enlist(central, slab);
    }
    return NULL;
}

static void return_list(struct hk_central *central, void *list) {
    struct hk_slab *empty[HK_RETURNED_AT_ONCE];
    while (list) {
        unsigned empties = 0;
        hk_lock(&central->lock, HK_LOCK_CLASS);
        for (unsigned i = 0; list && i < HK_RETURNED_AT_ONCE; i++) {
            void *block = list;
            list = hk_next_taken(block);
            struct hk_slab *slab = return_block(central, block);
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

bool hk_batches_drain(unsigned cls, unsigned count) {
    struct hk_central *central = &hk_centrals[cls];
    bool any = false;
    for (; count; count--) {
        hk_lock(&central->lock, HK_LOCK_CLASS);
        void *batch = take_batch(central);
        hk_unlock(&central->lock);
        if (!batch) {
            break;
        }
        any = true;
        hk_on_central_drained(cls, batch);
        return_list(central, batch);
    }
    return any;
}

bool hk_slab_put(unsigned cls, void *list, size_t blocks) {
    struct hk_central *central = &hk_centrals[cls];
    hk_lock(&central->lock, HK_LOCK_CLASS);
    size_t bytes = blocks * hk_class_size(cls);
    bool shrinking = hk_count_unwanted(central, bytes);
    bool fits = !shrinking && hk_may_hold_batch(central, cls, bytes);
    if (fits) {
        hk_on_central_put(cls, list);
        set_next_batch(list, central->batches);
        central->batches = list;
        central->batch_count++;
    }
    hk_unlock(&central->lock);
    if (!fits) {
        hk_on_central_full(cls, list);
        return_list(central, list);
        (void)hk_batches_drain(cls, shrinking);
    }
    return !shrinking;
}

void *hk_slab_alloc_one(unsigned cls) {
    void *block = hk_slab_refill(cls, 1);
    void *rest = block ? hk_next_taken(block) : NULL;
    if (rest) {
        (void)hk_slab_put(cls, rest, 1);
    }
    return block;
}

/* --- looking -------------------------------------------------------------------------------------
 */

void hk_batches_count(const struct hk_central *central, unsigned cls, struct hk_slab_stats *stats) {
    for (const void *batch = central->batches; batch; batch = next_batch(batch)) {
        size_t length = hk_list_length(batch);
        stats->listed_blocks += length;
        stats->listed_bytes += length * hk_class_size(cls);
        hk_on_seen_batch(cls, length);
    }
}

unsigned hk_batches_verify(const struct hk_central *central) {
    unsigned batches = 0;
    for (const void *batch = central->batches; batch; batch = next_batch(batch)) {
        batches++;
        for (const void *block = batch; block; block = hk_next(block)) {
            hk_slab_check(block, "verify: batch holds");
        }
    }
    return batches;
}
