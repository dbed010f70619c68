#include "superslab.h"

#include "class_map.h"
#include "config.h"
#include "learn_config.h"
#include "limit.h"
#include "lock.h"
#include "os.h"
#include "size_class.h"

#include <string.h>

/* A double link of a shelf's list. */
struct link {
    struct superslab *next, *previous;
};

enum shelf_kind { SHELF_FREE, SHELF_DIRTY, SHELVES };

/* Slabs of blocks up to 1 KiB are used to the last byte, and gain from huge pages. Others leave
 * tails that nobody touches, which huge pages would make resident: they live in SuperSlabs of their
 * own. */
enum grain { GRAIN_FINE, GRAIN_COARSE, GRAINS };

struct superslab {
    uint64_t free;  /* a bit a unit; the first is never free */
    uint64_t dirty; /* free and resident */
    uint8_t grain;
    uint8_t row[SHELVES];           /* where it stands; 0: nowhere */
    struct link link[SHELVES];      /* its neighbours there */
    struct superslab *next;         /* of all */
    uint8_t lead[HK_UNITS];         /* units back to the first one of the slab or run */
    struct hk_slab slabs[HK_UNITS]; /* by their first unit */
};

/* SuperSlabs by the length of their longest run of free (or dirty) units. */
struct shelf {
    uint64_t rows; /* a bit a row that is not empty */
    struct superslab *row[HK_UNITS];
};

/* The variant `secure` keeps the last unit, so that what lies behind a block can always be read. */
#define ALL_FREE ((hk_secure_on ? ~(uint64_t)0 >> 1 : ~(uint64_t)0) & ~(uint64_t)1)

enum {
    /* Records start on one of eight pages, lest those of all SuperSlabs share a few cache sets;
     * with bitmaps they are longer, and start 2 KiB apart. */
    COLOURS = 8,
    COLOUR_SHIFT = hk_bitmap_on ? 11 : 13,
    /* SuperSlabs that a grain beyond HAKMEM_HUGE_MIB maps in one call. */
    MAPPED_AT_ONCE = 4,
    /* The limit: this part of the peak, or HAKMEM_DIRTY_MIB. */
    DIRTY_PART_OF_PEAK = 8,
    /* What was purged in vain raises the limit, and fades by this part at every tick. */
    REGRET_FADES = 4,
};
_Static_assert(sizeof(struct superslab) + ((COLOURS - 1) << COLOUR_SHIFT) <= HK_UNIT,
               "records of every colour fit the first unit");

static struct hk_lock lock;
static struct shelf shelves[GRAINS][SHELVES];
static struct superslab *all;
static size_t used_by[GRAINS]; /* bytes */
/* The SuperSlabs that come next: mapped, and not touched, for their first byte may cost a huge
 * page.
 */
static struct { char *next, *end; } ahead[GRAINS];
static struct hk_superslab_stats stats;
static size_t peak_used;
/* The least dirty memory since the last tick: nobody needed that much. */
static size_t least_dirty;
/* Purged at once since the last tick; and how much of that had to be touched anew: so much more may
 * stay dirty, until later ticks let go of it. */
static size_t purged_early;
static size_t regretted;

/* --- addresses -------------------------------------------------------------------------------- */

HK_INLINE struct superslab *superslab_at(uintptr_t base) {
    size_t colour = (base / HK_SUPERSLAB) % COLOURS;
    return (struct superslab *)(base + (colour << COLOUR_SHIFT));
}

HK_INLINE char *base_of(const struct superslab *superslab) {
    return (char *)((uintptr_t)superslab & ~(HK_SUPERSLAB - 1));
}

/* Of a record, which lies in the first unit. */
HK_INLINE struct superslab *superslab_of(const struct hk_slab *slab) {
    return superslab_at((uintptr_t)slab & ~(HK_SUPERSLAB - 1));
}

HK_INLINE unsigned first_unit(const struct hk_slab *slab) {
    return (unsigned)(slab - superslab_of(slab)->slabs);
}

struct hk_slab *hk_slab_of(const void *address) {
    uintptr_t base = (uintptr_t)address & ~(HK_SUPERSLAB - 1);
    struct superslab *superslab = superslab_at(base);
    size_t unit = ((uintptr_t)address - base) >> HK_UNIT_SHIFT;
    return &superslab->slabs[unit - superslab->lead[unit]];
}

char *hk_slab_start(const struct hk_slab *slab) {
    return base_of(superslab_of(slab)) + ((size_t)first_unit(slab) << HK_UNIT_SHIFT);
}

/* --- runs of bits ----------------------------------------------------------------------------- */

HK_INLINE uint64_t mask_of(unsigned first, unsigned units) {
    return ((units < 64 ? (uint64_t)1 << units : 0) - 1) << first;
}

/* The starts of all runs of `length` set bits. */
static uint64_t run_starts(uint64_t bits, unsigned length) {
    for (unsigned have = 1; have < length;) {
        unsigned step = length - have < have ? length - have : have;
        bits &= bits >> step;
        have += step;
    }
    return bits;
}

/* Starts of runs of 1, 2, 4, ... 32; then the longest sum of such lengths that some start allows.
 */
static unsigned longest_run(uint64_t bits) {
    enum { POWERS = 6 };
    uint64_t starts[POWERS] = {bits};
    for (unsigned i = 1; i < POWERS; i++) {
        starts[i] = starts[i - 1] & (starts[i - 1] >> (1U << (i - 1)));
    }
    unsigned length = 0;
    uint64_t at = ~(uint64_t)0;
    for (unsigned i = POWERS; i-- > 0;) {
        uint64_t longer = at & (starts[i] >> length);
        if (longer) {
            at = longer;
            length += 1U << i;
        }
    }
    return length;
}

/* --- shelves ---------------------------------------------------------------------------------- */

static void take_off(struct superslab *superslab, enum shelf_kind kind) {
    struct shelf *shelf = &shelves[superslab->grain][kind];
    struct link *own = &superslab->link[kind];
    unsigned row = superslab->row[kind];
    if (own->next) {
        own->next->link[kind].previous = own->previous;
    }
    if (own->previous) {
        own->previous->link[kind].next = own->next;
    } else {
        shelf->row[row] = own->next;
        if (!own->next) {
            shelf->rows &= ~((uint64_t)1 << row);
        }
    }
}

static void put_on(struct superslab *superslab, enum shelf_kind kind, unsigned row) {
    struct shelf *shelf = &shelves[superslab->grain][kind];
    superslab->row[kind] = (uint8_t)row;
    superslab->link[kind] = (struct link){.next = shelf->row[row]};
    if (shelf->row[row]) {
        shelf->row[row]->link[kind].previous = superslab;
    }
    shelf->row[row] = superslab;
    shelf->rows |= (uint64_t)1 << row;
}

/* Puts a SuperSlab where it belongs after its bits have changed. */
static void shelve(struct superslab *superslab) {
    const uint64_t bits[SHELVES] = {superslab->free, superslab->dirty};
    for (unsigned kind = 0; kind < SHELVES; kind++) {
        unsigned row = longest_run(bits[kind]);
        if (row != superslab->row[kind]) {
            if (superslab->row[kind]) {
                take_off(superslab, kind);
            }
            superslab->row[kind] = 0;
            if (row) {
                put_on(superslab, kind, row);
            }
        }
    }
}

/* The SuperSlab with the shortest run of at least `units`: long runs stay whole. */
static struct superslab *find(enum grain grain, enum shelf_kind kind, unsigned units) {
    const struct shelf *shelf = &shelves[grain][kind];
    uint64_t rows = shelf->rows >> units;
    return rows ? shelf->row[units + (unsigned)__builtin_ctzl(rows)] : NULL;
}

/* Fresh units were taken: had fewer been purged, dirty ones would have done. */
static void regret(size_t bytes) {
    bytes = bytes < purged_early ? bytes : purged_early;
    purged_early -= bytes;
    regretted += bytes;
}

/* --- books ------------------------------------------------------------------------------------ */

static void account_dirty(struct superslab *superslab, uint64_t units, bool dirty) {
    size_t bytes = (size_t)__builtin_popcountl(units) << HK_UNIT_SHIFT;
    if (dirty) {
        superslab->dirty |= units;
        stats.dirty += bytes;
        return;
    }
    superslab->dirty &= ~units;
    stats.dirty -= bytes;
    if (stats.dirty < least_dirty) {
        least_dirty = stats.dirty;
    }
}

static void account_used(const struct superslab *superslab, size_t units, bool taken) {
    size_t bytes = (taken ? units : -units) << HK_UNIT_SHIFT; /* or less: it wraps */
    used_by[superslab->grain] += bytes;
    stats.used += bytes;
    if (stats.used > peak_used) {
        peak_used = stats.used;
    }
}

/* --- giving memory back ----------------------------------------------------------------------- */

/* The runs of free units that hold a dirty one: the clean ones among them cost a call nothing. */
static uint64_t runs_to_purge(const struct superslab *superslab) {
    uint64_t result = 0;
    for (uint64_t rest = superslab->free; rest;) {
        unsigned first = (unsigned)__builtin_ctzl(rest);
        uint64_t run = mask_of(first, (unsigned)__builtin_ctzl(~(rest >> first)));
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
        units &= ~mask_of(first, length);
    }
    hk_on_purged(calls, bytes);
    return worked;
}

/* Bytes that went. Under the lock, which it gives up during the calls: units on their way are
 * neither free nor dirty meanwhile. */
static size_t purge_superslab(struct superslab *superslab) {
    uint64_t dirty = superslab->dirty;
    uint64_t units = runs_to_purge(superslab);
    account_dirty(superslab, dirty, false);
    superslab->free &= ~units;
    shelve(superslab);
    hk_unlock(&lock);
    bool worked = purge_units(base_of(superslab), units);
    hk_lock(&lock, HK_LOCK_SUPERSLAB);
    superslab->free |= units;
    if (!worked) {
        account_dirty(superslab, dirty, true);
    }
    shelve(superslab);
    return worked ? (size_t)__builtin_popcountl(dirty) << HK_UNIT_SHIFT : 0;
}

/* The SuperSlab with the longest dirty run; NULL: nothing is dirty. */
static struct superslab *dirtiest(void) {
    const struct shelf *fine = &shelves[GRAIN_FINE][SHELF_DIRTY];
    const struct shelf *coarse = &shelves[GRAIN_COARSE][SHELF_DIRTY];
    const struct shelf *shelf = fine->rows > coarse->rows ? fine : coarse;
    return shelf->rows ? shelf->row[63U - (unsigned)__builtin_clzl(shelf->rows)] : NULL;
}

/* Purges the SuperSlabs with the longest dirty runs first until at most `target` bytes are dirty.
 * Bytes that went. */
static size_t purge(size_t target) {
    size_t purged = 0;
    while (stats.dirty > target) {
        struct superslab *superslab = dirtiest();
        size_t bytes = superslab ? purge_superslab(superslab) : 0;
        if (!bytes) {
            break;
        }
        purged += bytes;
    }
    return purged;
}

static size_t dirty_limit(void) {
    if (hk_limit_is_near()) {
        return HK_UNIT;
    }
    size_t limit = hk_config.dirty_mib * HK_MIB;
    if (limit < peak_used / DIRTY_PART_OF_PEAK) {
        limit = peak_used / DIRTY_PART_OF_PEAK;
    }
    return limit + regretted + HK_UNIT; /* never 0 */
}

/* Above the limit a SuperSlab goes as soon as it is empty, in one call. While blocks are freed in
 * no order most units get empty long before their neighbours: to purge them one by one would cost a
 * call each. They wait for the decay, or until the heap would grow beside them. */
static void purge_if_empty(struct superslab *superslab) {
    if (superslab->free == ALL_FREE && stats.dirty > dirty_limit()) {
        purged_early += purge_superslab(superslab);
    }
}

static void purge_before_growth(void) {
    size_t limit = dirty_limit();
    if (stats.dirty > limit) {
        purged_early += purge(limit / 2);
    }
}

/* --- taking and giving ------------------------------------------------------------------------ */

static struct superslab *add_superslab(char *base, enum grain grain) {
    struct superslab *superslab = superslab_at((uintptr_t)base);
    superslab->free = ALL_FREE;
    superslab->grain = (uint8_t)grain;
    superslab->next = all;
    all = superslab;
    stats.mapped += HK_SUPERSLAB;
    if (stats.mapped > stats.peak_mapped) {
        stats.peak_mapped = stats.mapped;
    }
    shelve(superslab);
    hk_on_superslab_mapped();
    return superslab;
}

/* Under the lock, which it gives up during the calls to the system. */
static struct superslab *map_superslab(enum grain grain) {
    const bool large = used_by[grain] >= hk_config.huge_mib * HK_MIB;
    size_t bytes = (large ? MAPPED_AT_ONCE : 1) * HK_SUPERSLAB;
    hk_unlock(&lock);
    char *base = hk_os_map(bytes, HK_SUPERSLAB);
    if (!base && large) {
        bytes = HK_SUPERSLAB;
        base = hk_os_map(bytes, HK_SUPERSLAB);
    }
    if (base) {
        hk_os_huge(base, bytes, large && grain == GRAIN_FINE);
    }
    hk_lock(&lock, HK_LOCK_SUPERSLAB);
    if (!base) {
        return NULL;
    }
    char *end = base + bytes;
    if (ahead[grain].next == ahead[grain].end) {
        ahead[grain].next = base + HK_SUPERSLAB;
        ahead[grain].end = end;
        return add_superslab(base, grain);
    }
    for (char *more = base + HK_SUPERSLAB; more < end; more += HK_SUPERSLAB) {
        (void)add_superslab(more, grain); /* another thread has mapped some meanwhile */
    }
    return add_superslab(base, grain);
}

static struct superslab *next_superslab(enum grain grain) {
    if (ahead[grain].next == ahead[grain].end) {
        return map_superslab(grain);
    }
    char *base = ahead[grain].next;
    ahead[grain].next += HK_SUPERSLAB;
    return add_superslab(base, grain);
}

static bool unmap_ahead(enum grain grain) {
    char *start = ahead[grain].next;
    size_t bytes = (size_t)(ahead[grain].end - start);
    if (bytes == 0 || !hk_os_unmap(start, bytes)) {
        return false;
    }
    ahead[grain].end = start;
    return true;
}

/* Marks units as a slab or run. False: the class map could not grow. */
static bool claim(struct superslab *superslab, unsigned first, unsigned units, uint8_t code) {
    char *start = base_of(superslab) + ((size_t)first << HK_UNIT_SHIFT);
    size_t coded = code == HK_CODE_RUN ? 1 : units; /* a pointer into a run is not one to free */
    if (!hk_class_map_set(start, coded, code)) {
        return false;
    }
    hk_on_superslab_claimed(superslab->free == ALL_FREE);
    uint64_t mask = mask_of(first, units);
    account_dirty(superslab, superslab->dirty & mask, false);
    superslab->free &= ~mask;
    account_used(superslab, units, true);
    shelve(superslab);
    for (unsigned i = 0; i < units; i++) {
        superslab->lead[first + i] = (uint8_t)i;
    }
    superslab->slabs[first] = (struct hk_slab){.cls = code, .units = (uint8_t)units};
    return true;
}

static void account_run(const struct hk_slab *slab, bool taken) {
    if (slab->cls == HK_CODE_RUN) {
        stats.runs += taken ? 1 : -(size_t)1;
        stats.run_bytes += (size_t)(taken ? slab->units : -(size_t)slab->units) << HK_UNIT_SHIFT;
    }
}

struct hk_slab *hk_units_take(unsigned units, uint8_t code, enum hk_stage *stage) {
    struct hk_slab *slab = NULL;
    const enum grain grain = code <= HK_FINE_CLASSES ? GRAIN_FINE : GRAIN_COARSE;
    hk_lock(&lock, HK_LOCK_SUPERSLAB);
    struct superslab *superslab = find(grain, SHELF_DIRTY, units);
    uint64_t bits = superslab ? superslab->dirty : 0;
    *stage = HK_STAGE_RECYCLED;
    if (!superslab) {
        *stage = HK_STAGE_SUPERSLAB;
        superslab = find(grain, SHELF_FREE, units);
        if (!superslab) {
            *stage = HK_STAGE_MMAP;
            superslab = next_superslab(grain);
        }
        bits = superslab ? superslab->free : 0;
    }
    if (superslab) {
        unsigned first = (unsigned)__builtin_ctzl(run_starts(bits, units));
        if (superslab->dirty & mask_of(first, units)) {
            *stage = HK_STAGE_RECYCLED;
        } else {
            regret((size_t)units << HK_UNIT_SHIFT);
        }
        if (claim(superslab, first, units, code)) {
            slab = &superslab->slabs[first];
            account_run(slab, true);
        }
        if (*stage != HK_STAGE_RECYCLED) {
            purge_before_growth();
        }
    }
    hk_unlock(&lock);
    return slab;
}

/* Under the lock: units become free and dirty. */
static void release(struct superslab *superslab, unsigned first, unsigned units) {
    (void)hk_class_map_set(base_of(superslab) + ((size_t)first << HK_UNIT_SHIFT), units,
                           HK_CODE_NONE);
    uint64_t mask = mask_of(first, units);
    superslab->free |= mask;
    account_dirty(superslab, mask, true);
    account_used(superslab, units, false);
    shelve(superslab);
    if (superslab->free == ALL_FREE) {
        hk_on_superslab_emptied();
    }
}

/* Units that were just released hold nothing. */
static void make_clean(struct superslab *superslab, const struct hk_slab *slab) {
    account_dirty(superslab, mask_of(first_unit(slab), slab->units), false);
    shelve(superslab);
}

void hk_units_give(struct hk_slab *slab) {
    struct superslab *superslab = superslab_of(slab);
    hk_lock(&lock, HK_LOCK_SUPERSLAB);
    account_run(slab, false);
    release(superslab, first_unit(slab), slab->units);
    if (hk_learn_on && slab->clean) {
        make_clean(superslab, slab);
    }
    purge_if_empty(superslab);
    hk_unlock(&lock);
}

void hk_units_shrink(struct hk_slab *slab, unsigned units) {
    struct superslab *superslab = superslab_of(slab);
    hk_lock(&lock, HK_LOCK_SUPERSLAB);
    account_run(slab, false);
    release(superslab, first_unit(slab) + units, slab->units - units);
    slab->units = (uint8_t)units;
    account_run(slab, true);
    hk_unlock(&lock);
}

bool hk_units_grow(struct hk_slab *slab, unsigned units) {
    struct superslab *superslab = superslab_of(slab);
    unsigned first = first_unit(slab);
    hk_lock(&lock, HK_LOCK_SUPERSLAB);
    bool fits = first + units <= HK_UNITS;
    uint64_t more = fits ? mask_of(first + slab->units, units - slab->units) : 0;
    fits = fits && (superslab->free & more) == more;
    if (fits) {
        account_run(slab, false);
        account_dirty(superslab, superslab->dirty & more, false);
        superslab->free &= ~more;
        account_used(superslab, units - slab->units, true);
        slab->units = (uint8_t)units;
        account_run(slab, true);
        shelve(superslab);
    }
    hk_unlock(&lock);
    return fits;
}

void hk_superslab_tick(void) {
    hk_lock(&lock, HK_LOCK_SUPERSLAB);
    (void)purge(stats.dirty - least_dirty);
    least_dirty = stats.dirty;
    purged_early = 0;
    regretted -= regretted / REGRET_FADES;
    hk_unlock(&lock);
}

bool hk_superslab_trim(void) {
    hk_lock(&lock, HK_LOCK_SUPERSLAB);
    bool any = purge(0) > 0;
    any |= unmap_ahead(GRAIN_FINE);
    any |= unmap_ahead(GRAIN_COARSE);
    for (struct superslab **link = &all; *link;) {
        struct superslab *superslab = *link;
        if (superslab->free != ALL_FREE) {
            link = &superslab->next;
            continue;
        }
        *link = superslab->next;
        account_dirty(superslab, superslab->dirty, false);
        superslab->free = 0;
        shelve(superslab);
        if (!hk_os_unmap(base_of(superslab), HK_SUPERSLAB)) {
            superslab->free = ALL_FREE; /* still mapped: kept, as if dirty */
            account_dirty(superslab, ALL_FREE, true);
            shelve(superslab);
            superslab->next = *link;
            *link = superslab;
            link = &superslab->next;
            continue;
        }
        stats.mapped -= HK_SUPERSLAB;
        any = true;
        hk_on_superslab_unmapped();
    }
    least_dirty = stats.dirty;
    hk_unlock(&lock);
    return any;
}

/* --- looking ---------------------------------------------------------------------------------- */

struct hk_superslab_stats hk_superslab_stats(void) {
    hk_lock(&lock, HK_LOCK_SUPERSLAB);
    struct hk_superslab_stats result = stats;
    hk_on_seen_runs(stats.runs);
    hk_unlock(&lock);
    return result;
}

void hk_superslab_each_slab(void (*visit)(const struct hk_slab *slab, void *context),
                            void *context) {
    for (struct superslab *superslab = all; superslab; superslab = superslab->next) {
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
    visit(&lock, HK_LOCK_SUPERSLAB);
}
