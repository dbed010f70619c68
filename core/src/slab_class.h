/* Inside the slab layer: what all threads share of a class, and what happens to its slabs whatever
 * their free blocks are kept in. With the class's lock. */
#ifndef HK_SLAB_CLASS_H
#define HK_SLAB_CLASS_H

#include "events.h"
#include "lock.h"
#include "region_header.h"
#include "size_class.h"
#include "slab.h"
#include "superslab.h"

enum {
    /* A fresh class carves a page at a time, a busy one four. */
    HK_CARVED_AT_FIRST = 4096,
    HK_CARVED_LATER = 16384,
    /* A class may always hold this many batches; and these bytes, with a part of its memory. */
    HK_BATCHES_ALWAYS = 2,
    HK_BATCH_BYTES_ALWAYS = 64 * 1024,
    HK_BATCH_PART = 8,
    /* Bytes put in a row that nobody took anything for. */
    HK_UNWANTED_IS_SHRINKING = 1024 * 1024,
    /* Blocks that go back to slabs under one hold of the lock. */
    HK_RETURNED_AT_ONCE = 64,
};

struct hk_central {
    struct hk_lock lock;
    void *batches;
    unsigned batch_count;
    unsigned least_batches; /* since the decay window began */
    unsigned slabs;
    size_t unwanted;         /* bytes put, about, since anything was taken */
    struct hk_slab *giving;  /* slabs with blocks that came back, or still to be carved */
    struct hk_slab *reserve; /* with magazines: a slab without a block in use */
    bool reserve_is_idle;    /* since the decay window began */
} __attribute__((aligned(128)));

extern struct hk_central hk_centrals[HK_CLASSES] __attribute__((visibility("hidden")));

/* The batches of a class are lists (slab_list.c) or magazines (depot.c). This takes up to `count`
 * of them and returns their blocks to the slabs. */
bool hk_batches_drain(unsigned cls, unsigned count);
/* With the class's lock. */
void hk_batches_count(const struct hk_central *central, unsigned cls, struct hk_slab_stats *stats);
/* How many there are; dies at a block that is none of its slab's. */
unsigned hk_batches_verify(const struct hk_central *central);

/* A new slab of a class, among those that give, and the class's lock; NULL, and no lock, if there
 * is no memory. `stage` tells where it came from. */
struct hk_slab *hk_slab_open(unsigned cls, enum hk_stage *stage);

/* Gives an empty slab's units back, after the lock: it is none of its class's any more. */
HK_INLINE void hk_slab_retire(struct hk_slab *slab) {
    hk_on_slab_retired(slab->cls, slab->carved);
    hk_units_give(slab);
}

HK_INLINE void hk_enlist(struct hk_central *central, struct hk_slab *slab) {
    slab->listed = true;
    slab->previous = NULL;
    slab->next = central->giving;
    if (slab->next) {
        slab->next->previous = slab;
    }
    central->giving = slab;
}

HK_INLINE void hk_delist(struct hk_central *central, struct hk_slab *slab) {
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

HK_INLINE unsigned hk_capacity(const struct hk_slab *slab) {
    return (unsigned)(((size_t)slab->units << HK_UNIT_SHIFT) / hk_class_size(slab->cls)) -
           HK_HEADER_SKIPPED;
}

HK_INLINE char *hk_first_block(const struct hk_slab *slab) {
    return hk_slab_start(slab) + HK_HEADER_SKIPPED * hk_class_size(slab->cls);
}

HK_INLINE void hk_delist_if_spent(struct hk_central *central, struct hk_slab *slab) {
    if (!slab->free_count && slab->carved == hk_capacity(slab)) {
        hk_delist(central, slab);
    }
}

/* Reserves blocks that never were in use, behind those that were: how many, at most `want`. */
HK_INLINE unsigned hk_carve(const struct hk_central *central, struct hk_slab *slab, unsigned want) {
    size_t bytes = central->slabs > 1 ? HK_CARVED_LATER : HK_CARVED_AT_FIRST;
    unsigned blocks = (unsigned)(bytes / hk_class_size(slab->cls));
    unsigned left = hk_capacity(slab) - slab->carved;
    blocks = blocks > want ? want : blocks;
    blocks = blocks > left ? left : blocks;
    blocks = blocks ? blocks : 1;
    __atomic_store_n(&slab->carved, slab->carved + blocks, __ATOMIC_RELAXED); /* see slab_check */
    slab->used += blocks;
    return blocks;
}

/* Bytes were put. True: nobody has wanted any for so long that the class is shrinking. What comes
 * then goes to the slabs at once, and a batch with it, so that slabs get empty. */
HK_INLINE bool hk_count_unwanted(struct hk_central *central, size_t bytes) {
    central->unwanted += bytes;
    return central->unwanted > HK_UNWANTED_IS_SHRINKING;
}

/* Whether a batch of so many bytes may join the class's stack. All count as if they were as long as
 * the one that comes. */
HK_INLINE bool hk_may_hold_batch(const struct hk_central *central, unsigned cls, size_t bytes) {
    size_t memory = ((size_t)central->slabs * hk_class_units(cls)) << HK_UNIT_SHIFT;
    return central->batch_count < HK_BATCHES_ALWAYS ||
           central->batch_count * bytes < HK_BATCH_BYTES_ALWAYS + memory / HK_BATCH_PART;
}

/* Counts a batch that was taken off the class's stack. */
HK_INLINE void hk_count_batch_taken(struct hk_central *central) {
    if (--central->batch_count < central->least_batches) {
        central->least_batches = central->batch_count;
    }
}

/* Counts a block that came back. True: it was the last one in use. */
HK_INLINE bool hk_count_return(struct hk_slab *slab) {
    if (slab->owner == (const void *)hk_thread_pointer()) {
        hk_on_ss_local(slab->cls);
    } else {
        hk_on_ss_remote(slab->cls);
    }
    slab->free_count++;
    slab->used--;
    return slab->used == 0;
}

#endif
