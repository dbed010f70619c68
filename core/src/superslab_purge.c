/* Dirty units go back to the system: what the last second did not need, and at once what is more
 * than the limit. */
#include "config.h"
#include "limit.h"
#include "os.h"
#include "superslab_record.h"

enum {
    /* The limit: this part of the peak, or HAKMEM_DIRTY_MIB. */
    DIRTY_PART_OF_PEAK = 8,
    /* What was purged in vain raises the limit, and fades by this part at every tick. */
    REGRET_FADES = 4,
};

/* Purged at once since the last tick; and how much of that had to be touched anew: so much more may
 * stay dirty, until later ticks let go of it. */
static size_t purged_early;
static size_t regretted;

/* --- runs of units ---------------------------------------------------------------------------- */

/* The runs of free units that hold a dirty one: the clean ones among them cost a call nothing. */
static uint64_t runs_to_purge(const struct hk_superslab *superslab) {
    uint64_t result = 0;
    for (uint64_t rest = superslab->free; rest;) {
        unsigned first = (unsigned)__builtin_ctzl(rest);
        uint64_t run = hk_units_mask(first, (unsigned)__builtin_ctzl(~(rest >> first)));
        result |= run & superslab->dirty ? run : 0;
        rest &= ~run;
    }
    return result;
}

/* One call for each run. False: the system refused one. */
static bool purge_units(char *base, uint64_t units) {
    bool worked = true;
    unsigned calls = 0;
    size_t bytes = 0;
    while (units) {
        unsigned first = (unsigned)__builtin_ctzl(units);
        unsigned length = (unsigned)__builtin_ctzl(~(units >> first));
        worked &=
            hk_os_purge(base + ((size_t)first << HK_UNIT_SHIFT), (size_t)length << HK_UNIT_SHIFT);
        calls++;
        bytes += (size_t)length << HK_UNIT_SHIFT;
        units &= ~hk_units_mask(first, length);
    }
    hk_on_purged(calls, bytes);
    return worked;
}

/* Bytes that went. Under the lock, which it gives up during the calls: units on their way are
 * neither free nor dirty meanwhile. */
static size_t purge_superslab(struct hk_superslab *superslab) {
    uint64_t dirty = superslab->dirty;
    uint64_t units = runs_to_purge(superslab);
    hk_account_dirty(superslab, dirty, false);
    superslab->free &= ~units;
    hk_shelve(superslab);
    hk_unlock(&hk_superslabs.lock);
    bool worked = purge_units(hk_superslab_base(superslab), units);
    hk_lock(&hk_superslabs.lock, HK_LOCK_SUPERSLAB);
    superslab->free |= units;
    if (!worked) {
        hk_account_dirty(superslab, dirty, true);
    }
    hk_shelve(superslab);
    return worked ? (size_t)__builtin_popcountl(dirty) << HK_UNIT_SHIFT : 0;
}

size_t hk_purge(size_t target) {
    size_t purged = 0;
    while (hk_superslabs.stats.dirty > target) {
        struct hk_superslab *superslab = hk_shelf_dirtiest();
        size_t bytes = superslab ? purge_superslab(superslab) : 0;
        if (!bytes) {
            break;
        }
        purged += bytes;
    }
    return purged;
}

/* --- at once ---------------------------------------------------------------------------------- */

static size_t dirty_limit(void) {
    if (hk_limit_is_near()) {
        return HK_UNIT;
    }
    size_t limit = hk_config.dirty_mib * HK_MIB;
    if (limit < hk_superslabs.peak_used / DIRTY_PART_OF_PEAK) {
        limit = hk_superslabs.peak_used / DIRTY_PART_OF_PEAK;
    }
    return limit + regretted + HK_UNIT; /* never 0 */
}

/* Above the limit a SuperSlab goes as soon as it is empty, in one call. While blocks are freed in
 * no order most units get empty long before their neighbours: to purge them one by one would cost a
 * call each. They wait for the decay, or until the heap would grow beside them. */
void hk_purge_emptied(struct hk_superslab *superslab) {
    if (hk_superslabs.stats.dirty > dirty_limit()) {
        purged_early += purge_superslab(superslab);
    }
}

void hk_purge_for_growth(void) {
    size_t limit = dirty_limit();
    if (hk_superslabs.stats.dirty > limit) {
        purged_early += hk_purge(limit / 2);
    }
}

void hk_purge_regret(size_t bytes) {
    bytes = bytes < purged_early ? bytes : purged_early;
    purged_early -= bytes;
    regretted += bytes;
}

/* --- now and then, and on demand -------------------------------------------------------------- */

void hk_superslab_tick(void) {
    hk_lock(&hk_superslabs.lock, HK_LOCK_SUPERSLAB);
    (void)hk_purge(hk_superslabs.stats.dirty - hk_superslabs.least_dirty);
    hk_superslabs.least_dirty = hk_superslabs.stats.dirty;
    purged_early = 0;
    regretted -= regretted / REGRET_FADES;
    hk_unlock(&hk_superslabs.lock);
}

bool hk_superslab_trim(void) {
    hk_lock(&hk_superslabs.lock, HK_LOCK_SUPERSLAB);
    bool any = hk_purge(0) > 0;
    any |= hk_superslab_unmap_free();
    hk_superslabs.least_dirty = hk_superslabs.stats.dirty;
    hk_unlock(&hk_superslabs.lock);
    return any;
}
