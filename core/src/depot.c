#include "depot.h"

#include "meta.h"
#include "slab_class.h"

enum {
    LEAST_SHIFT = 7, /* of the bytes of a magazine */
    SIZES = 5,
};
#define MAGAZINE_BYTES(blocks) (sizeof(struct hk_magazine) + ((blocks) + 1) * sizeof(void *))
_Static_assert(MAGAZINE_BYTES(HK_MAGAZINE_LEAST) == 1 << LEAST_SHIFT, "the smallest size");
_Static_assert(MAGAZINE_BYTES(HK_MAGAZINE_MOST) == 1 << (LEAST_SHIFT + SIZES - 1), "the largest");

/* --- empty ones ------------------------------------------------------------------------------- */

static struct hk_lock lock;
static struct hk_magazine *empties[SIZES];

static unsigned size_for(unsigned blocks) {
    unsigned size = 0;
    while (size < SIZES - 1 && MAGAZINE_BYTES(blocks) > (size_t)1 << (LEAST_SHIFT + size)) {
        size++;
    }
    return size;
}

struct hk_magazine *hk_magazine_new(unsigned blocks) {
    unsigned size = size_for(blocks);
    hk_lock(&lock, HK_LOCK_META);
    struct hk_magazine *magazine = empties[size];
    if (magazine) {
        empties[size] = magazine->next;
    }
    hk_unlock(&lock);
    if (!magazine) {
        size_t bytes = (size_t)1 << (LEAST_SHIFT + size);
        magazine = hk_meta_alloc(bytes);
        if (magazine) {
            magazine->capacity = (uint32_t)((bytes - sizeof *magazine) / sizeof(void *) - 1);
        }
    }
    return magazine;
}

void hk_magazine_recycle(struct hk_magazine *magazine) {
    unsigned size = size_for(magazine->capacity);
    magazine->count = 0;
    hk_lock(&lock, HK_LOCK_META);
    magazine->next = empties[size];
    empties[size] = magazine;
    hk_unlock(&lock);
}

void hk_depot_locks(hk_lock_visitor *visit) {
    visit(&lock, HK_LOCK_META);
}

/* --- those with blocks ------------------------------------------------------------------------ */

/* With the class's lock, as all of the class's stack. */
static struct hk_magazine *pop(struct hk_central *central) {
    struct hk_magazine *magazine = central->batches;
    if (magazine) {
        central->batches = magazine->next;
        hk_count_batch_taken(central);
    }
    return magazine;
}

struct hk_magazine *hk_depot_take(unsigned cls) {
    struct hk_central *central = &hk_centrals[cls];
    hk_on_refill_try(HK_STAGE_CENTRAL, cls);
    hk_lock(&central->lock, HK_LOCK_CLASS);
    central->unwanted = 0;
    struct hk_magazine *magazine = pop(central);
    hk_unlock(&central->lock);
    if (magazine) {
        hk_on_refill_took(HK_STAGE_CENTRAL, cls, magazine->count);
    }
    return magazine;
}

static void give(unsigned cls, struct hk_magazine *magazine) {
    hk_slab_give(cls, magazine->slots + 1, magazine->count);
    hk_magazine_recycle(magazine);
}

bool hk_batches_drain(unsigned cls, unsigned count) {
    struct hk_central *central = &hk_centrals[cls];
    bool any = false;
    for (; count; count--) {
        hk_lock(&central->lock, HK_LOCK_CLASS);
        struct hk_magazine *magazine = pop(central);
        hk_unlock(&central->lock);
        if (!magazine) {
            break;
        }
        any = true;
        hk_on_depot_drained(cls, magazine->count);
        give(cls, magazine);
    }
    return any;
}

bool hk_depot_put(unsigned cls, struct hk_magazine *magazine) {
    struct hk_central *central = &hk_centrals[cls];
    size_t bytes = magazine->count * hk_class_size(cls);
    hk_lock(&central->lock, HK_LOCK_CLASS);
    bool shrinking = hk_count_unwanted(central, bytes);
    bool fits = !shrinking && hk_may_hold_batch(central, cls, bytes);
    if (fits) {
        hk_on_depot_put(cls, magazine->count);
        magazine->next = central->batches;
        central->batches = magazine;
        central->batch_count++;
    }
    hk_unlock(&central->lock);
    if (!fits) {
        hk_on_depot_full(cls, magazine->count);
        give(cls, magazine);
        (void)hk_batches_drain(cls, shrinking);
    }
    return !shrinking;
}

/* --- looking ---------------------------------------------------------------------------------- */

void hk_batches_count(const struct hk_central *central, unsigned cls, struct hk_slab_stats *stats) {
    for (const struct hk_magazine *each = central->batches; each; each = each->next) {
        stats->listed_blocks += each->count;
        stats->listed_bytes += each->count * hk_class_size(cls);
        hk_on_seen_batch(cls, each->count);
    }
}

unsigned hk_batches_verify(const struct hk_central *central) {
    unsigned batches = 0;
    for (const struct hk_magazine *each = central->batches; each; each = each->next) {
        batches++;
        for (unsigned i = 1; i <= each->count; i++) {
            hk_slab_check(each->slots[i], "verify: magazine holds");
        }
    }
    return batches;
}
