#include "slab.h"

#include "bitmap.h"
#include "slab_class.h"

HK_SPARSE struct hk_central hk_centrals[HK_CLASSES];

struct hk_slab *hk_slab_open(unsigned cls, enum hk_stage *stage) {
    hk_on_refill_try(HK_STAGE_RECYCLED, cls);
    struct hk_slab *slab = hk_units_take(hk_class_units(cls), (uint8_t)cls, stage);
    for (enum hk_stage tried = HK_STAGE_SUPERSLAB; tried <= (slab ? *stage : HK_STAGE_MMAP);
         tried++) {
        hk_on_refill_try(tried, cls);
    }
    if (!slab) {
        return NULL;
    }
    hk_on_slab_opened(cls);
    slab->owner = (const void *)hk_thread_pointer();
    struct hk_central *central = &hk_centrals[cls];
    hk_lock(&central->lock, HK_LOCK_CLASS);
    central->slabs++;
    hk_enlist(central, slab);
    return slab;
}

void hk_batches_tick(void) {
    for (unsigned cls = 1; cls < HK_CLASSES; cls++) {
        struct hk_central *central = &hk_centrals[cls];
        hk_lock(&central->lock, HK_LOCK_CLASS);
        unsigned idle = central->least_batches;
        central->least_batches = central->batch_count;
        hk_unlock(&central->lock);
        (void)hk_batches_drain(cls, idle);
    }
}

bool hk_batches_trim(void) {
    bool any = false;
    for (unsigned cls = 1; cls < HK_CLASSES; cls++) {
        any |= hk_batches_drain(cls, ~0U);
    }
    return any;
}

void hk_slab_check(const void *block, const char *caller) {
    struct hk_slab_place place = hk_slab_place(block);
    const struct hk_slab *slab = place.slab;
    unsigned size = (unsigned)hk_class_size(slab->cls);
    unsigned offset = (unsigned)place.offset - HK_HEADER_SKIPPED * size;
    if (offset % size != 0 || offset / size >= __atomic_load_n(&slab->carved, __ATOMIC_RELAXED)) {
        hk_fatal(caller, block);
    }
}

static void count_slab(const struct hk_slab *slab, void *context) {
    struct hk_slab_stats *stats = context;
    size_t size = hk_class_size(slab->cls);
    stats->blocks += slab->used;
    stats->bytes += slab->used * size;
    stats->carved_bytes += slab->carved * size;
    hk_on_seen_slab(slab->cls, slab->used, slab->free_count);
}

struct hk_slab_stats hk_slab_stats(void) {
    struct hk_slab_stats stats = {0};
    hk_slab_locks(hk_visit_lock); /* all classes at rest */
    hk_superslab_locks(hk_visit_lock);
    hk_superslab_each_slab(count_slab, &stats);
    hk_superslab_locks(hk_visit_unlock);
    for (unsigned cls = 1; cls < HK_CLASSES; cls++) {
        hk_batches_count(&hk_centrals[cls], cls, &stats);
    }
    hk_slab_locks(hk_visit_unlock);
    return stats;
}

/* Counts a slab's free blocks, as its list holds them. */
static size_t verify_list(const struct hk_slab *slab) {
    const char *start = hk_first_block(slab);
    size_t size = hk_class_size(slab->cls);
    size_t length = 0;
    for (const char *block = slab->free; block; block = hk_next(block)) {
        size_t offset = (size_t)(block - start);
        if (offset % size != 0 || offset / size >= slab->carved || ++length > slab->free_count) {
            hk_fatal("verify: slab's free list holds", block);
        }
    }
    return length;
}

static void verify_slab(const struct hk_slab *slab, void *context) {
    size_t *slabs = context;
    slabs[slab->cls]++;
    size_t free = hk_bitmap_on ? hk_bitmap_count(slab->bitmap) : verify_list(slab);
    if (free != slab->free_count || slab->used + free != slab->carved ||
        slab->carved > hk_capacity(slab)) {
        hk_fatal("verify: wrong counts in slab", slab);
    }
    bool gives = slab->free_count || slab->carved < hk_capacity(slab);
    if (slab->listed != (gives && slab != hk_centrals[slab->cls].reserve)) {
        hk_fatal("verify: wrongly listed slab", slab);
    }
}

void hk_slab_verify(void) {
    size_t slabs[HK_CLASSES] = {0};
    hk_slab_locks(hk_visit_lock);
    hk_superslab_locks(hk_visit_lock);
    hk_superslab_each_slab(verify_slab, slabs);
    hk_superslab_locks(hk_visit_unlock);
    for (unsigned cls = 1; cls < HK_CLASSES; cls++) {
        const struct hk_central *central = &hk_centrals[cls];
        if (hk_batches_verify(central) != central->batch_count || slabs[cls] != central->slabs) {
            hk_fatal("verify: wrong counts in class", central);
        }
    }
    hk_slab_locks(hk_visit_unlock);
}

void hk_slab_locks(hk_lock_visitor *visit) {
    for (unsigned cls = 1; cls < HK_CLASSES; cls++) {
        visit(&hk_centrals[cls].lock, HK_LOCK_CLASS);
    }
}
