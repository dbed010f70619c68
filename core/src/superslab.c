#include "superslab.h"

#include "class_map.h"
#include "learn_config.h"
#include "size_class.h"
#include "superslab_record.h"

struct hk_superslabs hk_superslabs;

/* --- addresses -------------------------------------------------------------------------------- */

HK_INLINE unsigned first_unit(const struct hk_slab *slab) {
    return (unsigned)(slab - hk_superslab_of(slab)->slabs);
}

struct hk_slab *hk_slab_of(const void *address) {
    uintptr_t base = (uintptr_t)address & ~(HK_SUPERSLAB - 1);
    struct hk_superslab *superslab = hk_superslab_at(base);
    size_t unit = ((uintptr_t)address - base) >> HK_UNIT_SHIFT;
    return &superslab->slabs[unit - superslab->lead[unit]];
}

struct hk_slab_place hk_slab_place(const void *address) {
    uintptr_t base = (uintptr_t)address & ~(HK_SUPERSLAB - 1);
    struct hk_superslab *superslab = hk_superslab_at(base);
    size_t unit = ((uintptr_t)address - base) >> HK_UNIT_SHIFT;
    size_t lead = superslab->lead[unit];
    size_t offset = ((uintptr_t)address & (HK_UNIT - 1)) + (lead << HK_UNIT_SHIFT);
    return (struct hk_slab_place){&superslab->slabs[unit - lead], offset};
}

char *hk_slab_start(const struct hk_slab *slab) {
    return hk_superslab_base(hk_superslab_of(slab)) + ((size_t)first_unit(slab) << HK_UNIT_SHIFT);
}

/* --- books ------------------------------------------------------------------------------------ */

static void account_used(const struct hk_superslab *superslab, size_t units, bool taken) {
    size_t bytes = (taken ? units : -units) << HK_UNIT_SHIFT; /* or less: it wraps */
    size_t *used = &hk_superslabs.stats.used;
    hk_superslabs.used_by[superslab->grain] += bytes;
    __atomic_store_n(used, *used + bytes, __ATOMIC_RELAXED);
    if (*used > hk_superslabs.peak_used) {
        hk_superslabs.peak_used = *used;
    }
}

size_t hk_superslab_used(void) {
    return __atomic_load_n(&hk_superslabs.stats.used, __ATOMIC_RELAXED);
}

static void account_run(const struct hk_slab *slab, bool taken) {
    if (slab->cls == HK_CODE_RUN) {
        struct hk_superslab_stats *stats = &hk_superslabs.stats;
        stats->runs += taken ? 1 : -(size_t)1;
        stats->run_bytes += (size_t)(taken ? slab->units : -(size_t)slab->units) << HK_UNIT_SHIFT;
    }
}

/* --- taking and giving ------------------------------------------------------------------------ */

/* Marks units as a slab or run. False: the class map could not grow. */
static bool claim(struct hk_superslab *superslab, unsigned first, unsigned units, uint8_t code) {
    char *start = hk_superslab_base(superslab) + ((size_t)first << HK_UNIT_SHIFT);
    size_t coded = code == HK_CODE_RUN ? 1 : units; /* a pointer into a run is not one to free */
    if (!hk_class_map_set(start, coded, code)) {
        return false;
    }
    uint64_t mask = hk_units_mask(first, units);
    hk_account_dirty(superslab, superslab->dirty & mask, false);
    superslab->free &= ~mask;
    account_used(superslab, units, true);
    hk_shelve(superslab);
    hk_on_superslab_claimed((superslab->free | mask) == HK_ALL_FREE);
    for (unsigned i = 0; i < units; i++) {
        superslab->lead[first + i] = (uint8_t)i;
    }
    superslab->slabs[first] = (struct hk_slab){.cls = code, .units = (uint8_t)units};
    return true;
}

/* A SuperSlab with a run of free units; NULL: no memory. */
static struct hk_superslab *find_free(enum hk_grain grain, unsigned units, enum hk_stage *stage) {
    *stage = HK_STAGE_SUPERSLAB;
    struct hk_superslab *superslab = hk_shelf_find(grain, HK_SHELF_FREE, units);
    if (superslab) {
        return superslab;
    }
    hk_unlock(&hk_superslabs.lock);
    hk_lock(&hk_superslabs.mapping, HK_LOCK_SUPERSLAB);
    hk_lock(&hk_superslabs.lock, HK_LOCK_SUPERSLAB);
    superslab = hk_shelf_find(grain, HK_SHELF_FREE, units); /* another thread's, meanwhile */
    if (!superslab) {
        *stage = HK_STAGE_MMAP;
        superslab = hk_superslab_next(grain);
    }
    hk_unlock(&hk_superslabs.mapping);
    return superslab;
}

struct hk_slab *hk_units_take(unsigned units, uint8_t code, enum hk_stage *stage) {
    struct hk_slab *slab = NULL;
    const enum hk_grain grain =
        hk_class_size(code) <= HK_GRAIN_FINE_MAX ? HK_GRAIN_FINE : HK_GRAIN_COARSE;
    hk_lock(&hk_superslabs.lock, HK_LOCK_SUPERSLAB);
    struct hk_superslab *superslab = hk_shelf_find(grain, HK_SHELF_DIRTY, units);
    if (!superslab && grain == HK_GRAIN_FINE) { /* resident already, without a huge page */
        superslab = hk_shelf_find(HK_GRAIN_COARSE, HK_SHELF_DIRTY, units);
    }
    uint64_t bits = superslab ? superslab->dirty : 0;
    *stage = HK_STAGE_RECYCLED;
    if (!superslab) {
        superslab = find_free(grain, units, stage);
        bits = superslab ? superslab->free : 0;
    }
    if (superslab) {
        unsigned first = hk_first_run(bits, units);
        if (superslab->dirty & hk_units_mask(first, units)) {
            *stage = HK_STAGE_RECYCLED;
        } else {
            hk_purge_regret((size_t)units << HK_UNIT_SHIFT);
        }
        if (claim(superslab, first, units, code)) {
            slab = &superslab->slabs[first];
            account_run(slab, true);
        }
        if (*stage != HK_STAGE_RECYCLED) {
            hk_purge_for_growth();
        }
    }
    hk_unlock(&hk_superslabs.lock);
    return slab;
}

/* Under the lock: units become free and dirty. */
static void release(struct hk_superslab *superslab, unsigned first, unsigned units) {
    (void)hk_class_map_set(hk_superslab_base(superslab) + ((size_t)first << HK_UNIT_SHIFT), units,
                           HK_CODE_NONE);
    uint64_t mask = hk_units_mask(first, units);
    superslab->free |= mask;
    hk_account_dirty(superslab, mask, true);
    account_used(superslab, units, false);
    hk_shelve(superslab);
    if (superslab->free == HK_ALL_FREE) {
        hk_on_superslab_emptied();
    }
}

/* Units that were just released hold nothing. */
static void make_clean(struct hk_superslab *superslab, const struct hk_slab *slab) {
    hk_account_dirty(superslab, hk_units_mask(first_unit(slab), slab->units), false);
    hk_shelve(superslab);
}

void hk_units_give(struct hk_slab *slab) {
    struct hk_superslab *superslab = hk_superslab_of(slab);
    hk_lock(&hk_superslabs.lock, HK_LOCK_SUPERSLAB);
    account_run(slab, false);
    release(superslab, first_unit(slab), slab->units);
    if (hk_learn_on && slab->clean) {
        make_clean(superslab, slab);
    }
    if (superslab->free == HK_ALL_FREE) {
        hk_purge_emptied(superslab);
    }
    hk_unlock(&hk_superslabs.lock);
}

void hk_units_shrink(struct hk_slab *slab, unsigned units) {
    struct hk_superslab *superslab = hk_superslab_of(slab);
    hk_lock(&hk_superslabs.lock, HK_LOCK_SUPERSLAB);
    account_run(slab, false);
    release(superslab, first_unit(slab) + units, slab->units - units);
    slab->units = (uint8_t)units;
    account_run(slab, true);
    hk_unlock(&hk_superslabs.lock);
}

bool hk_units_grow(struct hk_slab *slab, unsigned units) {
    struct hk_superslab *superslab = hk_superslab_of(slab);
    unsigned first = first_unit(slab);
    hk_lock(&hk_superslabs.lock, HK_LOCK_SUPERSLAB);
    bool fits = first + units <= HK_UNITS;
    uint64_t more = fits ? hk_units_mask(first + slab->units, units - slab->units) : 0;
    fits = fits && (superslab->free & more) == more;
    if (fits) {
        account_run(slab, false);
        hk_account_dirty(superslab, superslab->dirty & more, false);
        superslab->free &= ~more;
        account_used(superslab, units - slab->units, true);
        slab->units = (uint8_t)units;
        account_run(slab, true);
        hk_shelve(superslab);
    }
    hk_unlock(&hk_superslabs.lock);
    return fits;
}

/* --- looking ---------------------------------------------------------------------------------- */

struct hk_superslab_stats hk_superslab_stats(void) {
    hk_lock(&hk_superslabs.lock, HK_LOCK_SUPERSLAB);
    struct hk_superslab_stats result = hk_superslabs.stats;
    hk_on_seen_runs(result.runs);
    hk_unlock(&hk_superslabs.lock);
    return result;
}

void hk_superslab_each_slab(void (*visit)(const struct hk_slab *slab, void *context),
                            void *context) {
    const struct hk_superslab *superslab = hk_superslabs.all;
    for (; superslab; superslab = superslab->next) {
        for (unsigned unit = 1; unit < HK_UNITS; unit++) {
            const struct hk_slab *slab = &superslab->slabs[unit];
            if (superslab->lead[unit] == 0 && hk_code_of(hk_slab_start(slab)) == slab->cls &&
                slab->cls < HK_CLASSES && slab->units) {
                visit(slab, context);
            }
        }
    }
}

void hk_superslab_locks(hk_lock_visitor *visit) {
    visit(&hk_superslabs.mapping, HK_LOCK_SUPERSLAB);
    visit(&hk_superslabs.lock, HK_LOCK_SUPERSLAB);
}
