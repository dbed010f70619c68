#include "slab.h"

#include "events.h"
#include "lock.h"
#include "region_header.h"
#include "size_class.h"
#include "superslab.h"

enum {
    /* A stack of batches may always hold this many, and one for so many slabs of its class: with
     * batches of half a slab, an eighth of the memory of the class. */
    BATCHES_ALWAYS = 4,
    SLABS_PER_BATCH = 4,
    /* After so many bytes in a row that nobody took anything for, the class is shrinking: what
     * comes goes to the slabs at once, and a batch with it, so that slabs get empty. */
    UNWANTED_IS_SHRINKING = 1024 * 1024,
    /* Blocks that go back to slabs under one hold of the lock. */
    RETURNED_AT_ONCE = 64,
    /* A fresh class carves a page at a time, a busy one four. */
    CARVED_AT_FIRST = 4096,
    CARVED_LATER = 16384,
};

/* What all threads share of a class. */
struct central {
    struct hk_lock lock;
    void *batches;
    unsigned batch_count;
    unsigned least_batches; /* since the decay window began */
    unsigned slabs;
    size_t unwanted;        /* bytes put, about, since anything was taken */
    struct hk_slab *giving; /* slabs with blocks that came back, or still to be carved */
} __attribute__((aligned(128)));

static struct central centrals[HK_CLASSES];

/* --- a slab's own list ------------------------------------------------------------------------ */

static void enlist(struct central *central, struct hk_slab *slab) {
    slab->listed = true;
    slab->previous = NULL;
    slab->next = central->giving;
    if (slab->next) {
        slab->next->previous = slab;
    }
    central->giving = slab;
}

static void delist(struct central *central, struct hk_slab *slab) {
    slab->listed = false;
    if (slab->next) {
        slab->next->previous = slab->previous;
    }
    if (slab->previous) {
        slab->previous->next = slab->next;
    } else {
        central->giving = slab->next;
    }
}

static unsigned capacity(const struct hk_slab *slab) {
    return (unsigned)(((size_t)slab->units << HK_UNIT_SHIFT) / hk_class_size(slab->cls)) -
           HK_HEADER_SKIPPED;
}

HK_INLINE char *first_block(const struct hk_slab *slab) {
    return hk_slab_start(slab) + HK_HEADER_SKIPPED * hk_class_size(slab->cls);
}

static void delist_if_spent(struct central *central, struct hk_slab *slab) {
    if (!slab->free && slab->carved == capacity(slab)) {
        delist(central, slab);
    }
}

/* --- stages ----------------------------------------------------------------------------------- */

/* The batch behind one: in its first block's second word, but for the byte of a header. */
HK_INLINE void *next_batch(const void *batch) {
    return hk_header_on ? hk_header_next_batch(batch) : ((void *const *)batch)[1];
}

HK_INLINE void set_next_batch(void *batch, void *next) {
    if (hk_header_on) {
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

static void *take_batch(struct central *central) {
    void *batch = central->batches;
    if (batch) {
        central->batches = next_batch(batch);
        if (--central->batch_count < central->least_batches) {
            central->least_batches = central->batch_count;
        }
    }
    return batch;
}

static void *take_returned(struct central *central, struct hk_slab *slab) {
    void *list = slab->free;
    slab->used += slab->free_count;
    slab->free = NULL;
    slab->free_count = 0;
    delist_if_spent(central, slab);
    return list;
}

static struct carving take_fresh(struct central *central, struct hk_slab *slab, unsigned want) {
    size_t size = hk_class_size(slab->cls);
    unsigned blocks = (unsigned)((central->slabs > 1 ? CARVED_LATER : CARVED_AT_FIRST) / size);
    unsigned left = capacity(slab) - slab->carved;
    blocks = blocks > want ? want : blocks;
    blocks = blocks > left ? left : blocks;
    blocks = blocks ? blocks : 1;
    struct carving carving = {first_block(slab) + slab->carved * size, blocks};
    __atomic_store_n(&slab->carved, slab->carved + blocks, __ATOMIC_RELAXED); /* see slab_check */
    slab->used += blocks;
    delist_if_spent(central, slab);
    return carving;
}

static void *link_blocks(struct carving carving, size_t size, unsigned cls) {
    char *last = carving.start + (carving.blocks - 1) * size;
    for (char *block = carving.start; block < last; block += size) {
        hk_set_next(block, block + size);
    }
    hk_set_next(last, NULL);
    hk_on_carved(cls, carving.blocks);
    return carving.start;
}

static void *refill_from_new_slab(unsigned cls, unsigned want) {
    enum hk_stage stage = HK_STAGE_RECYCLED;
    struct central *central = &centrals[cls];
    hk_on_refill_try(HK_STAGE_RECYCLED, cls);
    struct hk_slab *slab = hk_units_take(hk_class_units(cls), (uint8_t)cls, &stage);
    for (enum hk_stage tried = HK_STAGE_SUPERSLAB; tried <= (slab ? stage : HK_STAGE_MMAP);
         tried++) {
        hk_on_refill_try(tried, cls);
    }
    if (!slab) {
        return NULL;
    }
    hk_on_slab_opened(cls);
    slab->owner = (const void *)hk_thread_pointer();
    hk_lock(&central->lock, HK_LOCK_CLASS);
    central->slabs++;
    enlist(central, slab);
    struct carving carving = take_fresh(central, slab, want);
    hk_unlock(&central->lock);
    void *list = link_blocks(carving, hk_class_size(cls), cls);
    hk_on_refill_got(stage, cls, list);
    return list;
}

void *hk_slab_refill(unsigned cls, unsigned want) {
    struct central *central = &centrals[cls];
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
static struct hk_slab *return_block(struct central *central, void *block) {
    struct hk_slab *slab = hk_slab_of(block);
    if (slab->owner == (const void *)hk_thread_pointer()) {
        hk_on_ss_local(slab->cls);
    } else {
        hk_on_ss_remote(slab->cls);
    }
    hk_set_next(block, slab->free);
    slab->free = block;
    slab->free_count++;
    slab->used--;
    if (slab->used == 0) {
        if (slab->listed) {
            delist(central, slab);
        }
        central->slabs--;
        return slab;
    }
    if (!slab->listed) {
        enlist(central, slab);
    }
    return NULL;
}

static void return_list(struct central *central, void *list) {
    struct hk_slab *empty[RETURNED_AT_ONCE];
    while (list) {
        unsigned empties = 0;
        hk_lock(&central->lock, HK_LOCK_CLASS);
        for (unsigned i = 0; list && i < RETURNED_AT_ONCE; i++) {
            void *block = list;
            list = hk_next(block);
            struct hk_slab *slab = return_block(central, block);
            if (slab) {
                empty[empties++] = slab;
            }
        }
        hk_unlock(&central->lock);
        while (empties) {
            struct hk_slab *slab = empty[--empties];
            hk_on_slab_retired(slab->cls, slab->carved);
            hk_units_give(slab);
        }
    }
}

/* Takes up to `count` batches and returns their blocks to the slabs. */
static bool return_batches(unsigned cls, unsigned count) {
    struct central *central = &centrals[cls];
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
    struct central *central = &centrals[cls];
    hk_lock(&central->lock, HK_LOCK_CLASS);
    central->unwanted += blocks * hk_class_size(cls);
    bool shrinking = central->unwanted > UNWANTED_IS_SHRINKING;
    bool fits =
        !shrinking && central->batch_count < BATCHES_ALWAYS + central->slabs / SLABS_PER_BATCH;
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
        (void)return_batches(cls, shrinking);
    }
    return !shrinking;
}

void *hk_slab_alloc_one(unsigned cls) {
    void *block = hk_slab_refill(cls, 1);
    if (block && hk_next(block)) {
        (void)hk_slab_put(cls, hk_next(block), 1);
    }
    return block;
}

void hk_slab_tick(void) {
    for (unsigned cls = 1; cls < HK_CLASSES; cls++) {
        struct central *central = &centrals[cls];
        hk_lock(&central->lock, HK_LOCK_CLASS);
        unsigned idle = central->least_batches;
        central->least_batches = central->batch_count;
        hk_unlock(&central->lock);
        (void)return_batches(cls, idle);
    }
}

bool hk_slab_trim(void) {
    bool any = false;
    for (unsigned cls = 1; cls < HK_CLASSES; cls++) {
        any |= return_batches(cls, ~0U);
    }
    return any;
}

/* --- looking ---------------------------------------------------------------------------------- */

void hk_slab_check(const void *block, const char *caller) {
    const struct hk_slab *slab = hk_slab_of(block);
    size_t offset = (size_t)((const char *)block - first_block(slab));
    size_t size = hk_class_size(slab->cls);
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

/* With the class's lock. */
static void count_batches(const struct central *central, unsigned cls,
                          struct hk_slab_stats *stats) {
    for (const void *batch = central->batches; batch; batch = next_batch(batch)) {
        size_t length = hk_list_length(batch);
        stats->listed_blocks += length;
        stats->listed_bytes += length * hk_class_size(cls);
        hk_on_seen_batch(cls, length);
    }
}

struct hk_slab_stats hk_slab_stats(void) {
    struct hk_slab_stats stats = {0};
    hk_slab_locks(hk_visit_lock); /* all classes at rest */
    hk_superslab_locks(hk_visit_lock);
    hk_superslab_each_slab(count_slab, &stats);
    hk_superslab_locks(hk_visit_unlock);
    for (unsigned cls = 1; cls < HK_CLASSES; cls++) {
        count_batches(&centrals[cls], cls, &stats);
    }
    hk_slab_locks(hk_visit_unlock);
    return stats;
}

static void verify_slab(const struct hk_slab *slab, void *context) {
    size_t *slabs = context;
    slabs[slab->cls]++;
    const char *start = first_block(slab);
    size_t size = hk_class_size(slab->cls);
    size_t length = 0;
    for (const char *block = slab->free; block; block = hk_next(block)) {
        size_t offset = (size_t)(block - start);
        if (offset % size != 0 || offset / size >= slab->carved || ++length > slab->free_count) {
            hk_fatal("verify: slab's free list holds", block);
        }
    }
    if (length != slab->free_count || slab->used + length != slab->carved ||
        slab->carved > capacity(slab)) {
        hk_fatal("verify: wrong counts in slab", slab);
    }
    if (slab->listed != (slab->free || slab->carved < capacity(slab))) {
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
        const struct central *central = &centrals[cls];
        unsigned batches = 0;
        for (const void *batch = central->batches; batch; batch = next_batch(batch)) {
            batches++;
            for (const void *block = batch; block; block = hk_next(block)) {
                hk_slab_check(block, "verify: batch holds");
            }
        }
        if (batches != central->batch_count || slabs[cls] != central->slabs) {
            hk_fatal("verify: wrong counts in class", central);
        }
    }
    hk_slab_locks(hk_visit_unlock);
}

void hk_slab_locks(hk_lock_visitor *visit) {
    for (unsigned cls = 1; cls < HK_CLASSES; cls++) {
        visit(&centrals[cls].lock, HK_LOCK_CLASS);
    }
}
