/* Inside the superslab layer: the record of a SuperSlab, the books of all, and what the files of
 * the layer ask of each other. With the layer's lock. */
#ifndef HK_SUPERSLAB_RECORD_H
#define HK_SUPERSLAB_RECORD_H

#include "secure.h"
#include "superslab.h"

enum hk_shelf_kind { HK_SHELF_FREE, HK_SHELF_DIRTY, HK_SHELVES };

/* A block starts in every page of a slab whose blocks are no larger than a page: all of it is
 * touched, and gains from huge pages. Others hold pages that nobody may touch, which huge pages
 * would make resident: they live in SuperSlabs of their own. */
enum hk_grain { HK_GRAIN_FINE, HK_GRAIN_COARSE, HK_GRAINS };
enum { HK_GRAIN_FINE_MAX = 4096 };

/* A double link of a shelf's list. */
struct hk_shelf_link {
    struct hk_superslab *next, *previous;
};

struct hk_superslab {
    uint64_t free;  /* a bit a unit; the first is never free */
    uint64_t dirty; /* free and resident */
    uint8_t grain;
    uint8_t row[HK_SHELVES];               /* where it stands; 0: nowhere */
    struct hk_shelf_link link[HK_SHELVES]; /* its neighbours there */
    struct hk_superslab *next;             /* of all */
    uint8_t lead[HK_UNITS];                /* units back to the first one of the slab or run */
    struct hk_slab slabs[HK_UNITS];        /* by their first unit */
};

/* The variant `secure` keeps the last unit, so that what lies behind a block can always be read. */
#define HK_ALL_FREE ((hk_secure_on ? ~(uint64_t)0 >> 1 : ~(uint64_t)0) & ~(uint64_t)1)

enum {
    /* Records start on one of eight pages, lest those of all SuperSlabs share a few cache sets;
     * with bitmaps they are longer, and start 2 KiB apart. */
    HK_COLOURS = 8,
    HK_COLOUR_SHIFT = hk_bitmap_on ? 11 : 13,
};
_Static_assert(sizeof(struct hk_superslab) + ((HK_COLOURS - 1) << HK_COLOUR_SHIFT) <= HK_UNIT,
               "records of every colour fit the first unit");

struct hk_superslabs {
    /* One thread maps at a time, and those that wait for it find what it mapped: threads that start
     * together would touch a SuperSlab each, and a huge page each for its record. Taken first. */
    struct hk_lock mapping;
    struct hk_lock lock;
    struct hk_superslab *all;
    size_t used_by[HK_GRAINS]; /* bytes */
    size_t peak_used;
    /* The least dirty memory since the last tick: nobody needed that much. */
    size_t least_dirty;
    struct hk_superslab_stats stats;
};
extern struct hk_superslabs hk_superslabs __attribute__((visibility("hidden")));

/* --- addresses -------------------------------------------------------------------------------- */

HK_INLINE struct hk_superslab *hk_superslab_at(uintptr_t base) {
    size_t colour = (base / HK_SUPERSLAB) % HK_COLOURS;
    return (struct hk_superslab *)(base + (colour << HK_COLOUR_SHIFT));
}

HK_INLINE char *hk_superslab_base(const struct hk_superslab *superslab) {
    return (char *)((uintptr_t)superslab & ~(HK_SUPERSLAB - 1));
}

/* Of a record, which lies in the first unit. */
HK_INLINE struct hk_superslab *hk_superslab_of(const struct hk_slab *slab) {
    return hk_superslab_at((uintptr_t)slab & ~(HK_SUPERSLAB - 1));
}

HK_INLINE uint64_t hk_units_mask(unsigned first, unsigned units) {
    return ((units < 64 ? (uint64_t)1 << units : 0) - 1) << first;
}

/* --- books ------------------------------------------------------------------------------------ */

/* Free units of a SuperSlab become dirty, or are dirty no more. */
HK_INLINE void hk_account_dirty(struct hk_superslab *superslab, uint64_t units, bool dirty) {
    size_t bytes = (size_t)__builtin_popcountl(units) << HK_UNIT_SHIFT;
    if (dirty) {
        superslab->dirty |= units;
        hk_superslabs.stats.dirty += bytes;
        return;
    }
    superslab->dirty &= ~units;
    hk_superslabs.stats.dirty -= bytes;
    if (hk_superslabs.stats.dirty < hk_superslabs.least_dirty) {
        hk_superslabs.least_dirty = hk_superslabs.stats.dirty;
    }
}

/* --- superslab_shelf.c ------------------------------------------------------------------------ */

/* Puts a SuperSlab where it belongs after its bits have changed. */
void hk_shelve(struct hk_superslab *superslab);
/* The SuperSlab with the shortest run of at least `units`, NULL if there is none: long runs stay
 * whole. */
struct hk_superslab *hk_shelf_find(enum hk_grain grain, enum hk_shelf_kind kind, unsigned units);
/* The SuperSlab with the longest dirty run; NULL: nothing is dirty. */
struct hk_superslab *hk_shelf_dirtiest(void);
/* The first unit of the first run of `length` set bits. */
unsigned hk_first_run(uint64_t bits, unsigned length);

/* --- superslab_map.c -------------------------------------------------------------------------- */

/* A SuperSlab that was not in use before; NULL: no memory. With both locks; gives that of the layer
 * up while it maps. */
struct hk_superslab *hk_superslab_next(enum hk_grain grain);
/* Unmaps SuperSlabs without a block. True if any went. */
bool hk_superslab_unmap_free(void);

/* --- superslab_purge.c ------------------------------------------------------------------------ */

/* Purges the SuperSlabs with the longest dirty runs first until at most `target` bytes are dirty.
 * Bytes that went. It and those below give the lock up during the calls to the system. */
size_t hk_purge(size_t target);
/* A SuperSlab got empty: purges it if too much is dirty. */
void hk_purge_emptied(struct hk_superslab *superslab);
/* Clean units of so many bytes were taken: the heap grows, and dirty units beside it must not. */
void hk_purge_for_growth(void);
/* Had fewer units been purged, dirty ones would have done. */
void hk_purge_regret(size_t bytes);

#endif
