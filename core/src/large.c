#include "large.h"

#include "class_map.h"
#include "config.h"
#include "events.h"
#include "filled.h"
#include "limit.h"
#include "lock.h"
#include "meta.h"
#include "os.h"
#include "size_class.h"

#include <string.h>

/* Where the pages of a range come from. */
enum origin {
    REUSED,  /* the Whale cache; also of a block that changed its size */
    MAPPED,  /* the system */
    TELLING, /* the system, and whether it is filled is looked at when it is freed */
    TRUSTED, /* as that, with huge pages: such blocks were filled */
};

/* Pages [start, start + bytes), both multiples of 64 KiB. */
struct range {
    char *start;
    size_t bytes;
    enum origin origin;
    size_t slack[HK_SECURE]; /* of a live block: bytes behind it in the same pages */
};

enum {
    MAX_CACHED = 256,  /* HKM_WHALE_CAPACITY at most */
    FIRST_TABLE = 256, /* entries of the table of live blocks, doubled at three quarters */
    PART_OF_PEAK = 8,  /* the cache may hold this part of what was ever live */
    SLACK_PART = 8,    /* a range is not cut when what is left is less than this part */
    REGRET_FADES = 4,  /* at every tick, by this part */
    STEPS = 16,        /* of the sizes of new blocks, a doubling */
    GROWTH_PART = 4,   /* address space ahead of a block that grows: pages nobody touches */
};
#define ALWAYS_CACHED (32 * HK_MIB) /* so much may be cached however small the peak */

static struct hk_lock lock;

static size_t slack_of(const struct range *range) {
    return hk_secure_on ? *range->slack : 0;
}

static size_t trusted_in(const struct range *range) {
    return range->origin == TRUSTED ? range->bytes : 0;
}

/* Live blocks, by their start: open addressing with linear probing. */
static struct {
    struct range *slots;
    size_t size, count, bytes;
    size_t trusted; /* bytes of blocks that are */
} live;

/* Free ranges, by address; no two touch. */
HK_SPARSE static struct {
    struct range ranges[MAX_CACHED + 1];
    unsigned count;
    size_t bytes, least_bytes;
} cache;

static size_t peak;
/* Unmapped at once since the last tick; and how much of that had to be mapped anew: so much more
 * may be cached, until later ticks let go of it. */
static size_t unmapped_early;
static size_t regretted;

/* --- the table of live blocks ----------------------------------------------------------------- */

static size_t home_of(const char *start) {
    return (((uintptr_t)start >> HK_UNIT_SHIFT) * 0x9E3779B97F4A7C15U >> 20) & (live.size - 1);
}

/* The slot of a start, or the free one where it belongs. */
static struct range *slot_of(const char *start) {
    size_t i = home_of(start);
    while (live.slots[i].start && live.slots[i].start != start) {
        i = (i + 1) & (live.size - 1);
    }
    return &live.slots[i];
}

static bool grow_table(void) {
    struct range *old = live.slots;
    size_t old_size = live.size;
    size_t size = old_size ? old_size * 2 : FIRST_TABLE;
    struct range *slots = hk_meta_alloc(size * sizeof *slots);
    if (!slots) {
        return false;
    }
    live.slots = slots;
    live.size = size;
    for (size_t i = 0; i < old_size; i++) {
        if (old[i].start) {
            *slot_of(old[i].start) = old[i];
        }
    }
    return true;
}

static bool insert(struct range range) {
    if (live.count >= live.size / 4 * 3 && !grow_table()) {
        return false;
    }
    *slot_of(range.start) = range;
    live.count++;
    live.bytes += range.bytes + slack_of(&range);
    live.trusted += trusted_in(&range);
    if (live.bytes + cache.bytes > peak) {
        peak = live.bytes + cache.bytes;
    }
    return true;
}

static struct range *find(const void *block) {
    struct range *slot = live.size ? slot_of(block) : NULL;
    return slot && slot->start ? slot : NULL;
}

/* Moves later entries of the same chain back over the hole. */
static struct range erase(struct range *slot) {
    struct range gone = *slot;
    live.count--;
    live.bytes -= gone.bytes + slack_of(&gone);
    live.trusted -= trusted_in(&gone);
    size_t hole = (size_t)(slot - live.slots);
    for (size_t i = hole;;) {
        i = (i + 1) & (live.size - 1);
        if (!live.slots[i].start) {
            break;
        }
        size_t home = home_of(live.slots[i].start);
        if (((i - home) & (live.size - 1)) >= ((i - hole) & (live.size - 1))) {
            live.slots[hole] = live.slots[i];
            hole = i;
        }
    }
    live.slots[hole] = (struct range){0};
    return gone;
}

/* --- pages ------------------------------------------------------------------------------------ */

/* Blocks are multiples of this. */
static size_t grain(void) {
    return hk_secure_on ? hk_os_page() : HK_UNIT;
}

/* New blocks are multiples of a sixteenth of the power of two below their size, too: freed ranges
 * then fit again as they are, and blocks start at few different addresses. Each new one is a page
 * fault. */
static size_t step_for(size_t size) {
    const size_t least = grain();
    const size_t doubling = hk_secure_on ? 0 : (size_t)1 << (63 - __builtin_clzl(size | 1));
    return doubling / STEPS > least ? doubling / STEPS : least;
}

/* So large that huge pages round up but little. */
static bool is_huge(size_t bytes) {
    return bytes >= hk_config.huge_mib * HK_MIB;
}

static struct range map_range(size_t bytes, size_t alignment, enum origin origin) {
    if ((is_huge(bytes) || origin == TRUSTED) && alignment < HK_HUGE_PAGE) {
        alignment = HK_HUGE_PAGE; /* whole tables of pages, which also move as one */
    }
    void *start = hk_secure_on ? hk_secure_map(bytes, alignment) : hk_os_map(bytes, alignment);
    return (struct range){.start = start, .bytes = bytes, .origin = origin};
}

static bool unmap_range(struct range range) {
    return hk_secure_on ? hk_secure_unmap(range.start, range.bytes + slack_of(&range))
                        : hk_os_unmap(range.start, range.bytes);
}

static void ask_for_huge_pages(struct range range) {
    if (is_huge(range.bytes) || range.origin == TRUSTED) {
        hk_os_huge(range.start, range.bytes, true);
    }
}

/* --- the Whale cache -------------------------------------------------------------------------- */

static void remove_cached(unsigned index) {
    cache.bytes -= cache.ranges[index].bytes;
    cache.count--;
    memmove(&cache.ranges[index], &cache.ranges[index + 1],
            (cache.count - index) * sizeof *cache.ranges);
    if (cache.bytes < cache.least_bytes) {
        cache.least_bytes = cache.bytes;
    }
}

static void insert_cached(unsigned index, struct range range) {
    memmove(&cache.ranges[index + 1], &cache.ranges[index],
            (cache.count - index) * sizeof *cache.ranges);
    cache.ranges[index] = range;
    cache.count++;
    cache.bytes += range.bytes;
}

/* First cached range at or after an address. */
static unsigned cached_after(const char *address) {
    unsigned low = 0;
    unsigned high = cache.count;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (cache.ranges[middle].start < address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Adds a range, merged with its neighbours. There is one place more than the capacity. */
static void put_cached(struct range range) {
    unsigned at = cached_after(range.start);
    if (at < cache.count && cache.ranges[at].start == range.start + range.bytes) {
        range.bytes += cache.ranges[at].bytes;
        remove_cached(at);
    }
    if (at > 0 && cache.ranges[at - 1].start + cache.ranges[at - 1].bytes == range.start) {
        at--;
        range.start = cache.ranges[at].start;
        range.bytes += cache.ranges[at].bytes;
        remove_cached(at);
    }
    range.origin = REUSED;
    insert_cached(at, range);
}

/* The variant `secure`: a block in the first bytes of a range that was freed. What it has no use
 * for stays behind it; a range of more than twice its size is shortened. */
static struct range guarded_part(struct range range, size_t bytes) {
    hk_secure_large_taken(range.start);
    if (range.bytes / 2 > bytes && hk_secure_shorten(range.start, range.bytes, bytes)) {
        range.bytes = bytes;
    }
    const size_t used = hk_secure_large_use(range.start, bytes, range.bytes);
    *range.slack = range.bytes - used;
    range.bytes = used;
    return range;
}

/* The smallest cached range that fits, cut to size unless little is left. */
static struct range take_cached(size_t bytes, size_t alignment) {
    unsigned best = cache.count;
    for (unsigned i = 0; i < cache.count; i++) {
        const struct range *each = &cache.ranges[i];
        if (each->bytes >= bytes && ((uintptr_t)each->start & (alignment - 1)) == 0 &&
            (best == cache.count || each->bytes < cache.ranges[best].bytes)) {
            best = i;
        }
    }
    if (best == cache.count) {
        return (struct range){0};
    }
    struct range range = cache.ranges[best];
    remove_cached(best);
    if (hk_secure_on) {
        return guarded_part(range, bytes);
    }
    size_t rest = range.bytes - bytes;
    if (rest > bytes / SLACK_PART) {
        range.bytes = bytes;
        insert_cached(best, (struct range){.start = range.start + bytes, .bytes = rest});
    }
    return range;
}

/* Under the lock, which it gives up meanwhile. False: the address space is lost, memory is not. */
static bool drop(struct range range) {
    hk_unlock(&lock);
    const bool unmapped = unmap_range(range);
    if (unmapped) {
        hk_on_large_unmapped(range.bytes);
    } else {
        (void)hk_os_purge(range.start, range.bytes);
    }
    hk_lock(&lock, HK_LOCK_LARGE);
    return unmapped;
}

/* Unmaps ranges, the last in memory first, until `target` bytes and the capacity are kept. Under
 * the lock, which it gives up during the calls. True if anything went. */
static bool shrink_cache(size_t target) {
    bool any = false;
    while (cache.count && (cache.bytes > target || cache.count > hk_config.whale_capacity)) {
        struct range range = cache.ranges[cache.count - 1];
        remove_cached(cache.count - 1);
        if (hk_secure_on) {
            hk_secure_large_taken(range.start);
        }
        any |= drop(range);
    }
    return any;
}

static size_t cache_limit(void) {
    if (hk_limit_is_near()) {
        return 0;
    }
    size_t limit = peak / PART_OF_PEAK;
    size_t most = hk_config.whale_mib * HK_MIB;
    limit = (limit < ALWAYS_CACHED ? ALWAYS_CACHED : limit) + regretted;
    return limit < most ? limit : most;
}

static void release(struct range range) {
    hk_on_large_cached();
    if (hk_secure_on) {
        hk_secure_large_freed(range.start, range.bytes, *range.slack);
        range.bytes += *range.slack;
        *range.slack = 0;
    }
    put_cached(range);
    size_t before = cache.bytes;
    if (shrink_cache(cache_limit()) && before > cache.bytes) {
        unmapped_early += before - cache.bytes;
    }
}

/* A range had to be mapped: had fewer been unmapped, a cached one would have done. */
static void regret(size_t bytes) {
    bytes = bytes < unmapped_early ? bytes : unmapped_early;
    unmapped_early -= bytes;
    regretted += bytes;
}

/* --- blocks ----------------------------------------------------------------------------------- */

/* Of a new range whose owner will write it before reading it: what is still to be found out must
 * not cost more memory than the cache may hold. */
static enum origin origin_for(size_t bytes) {
    if (is_huge(bytes) || bytes < HK_HUGE_PAGE || !hk_config.huge_learn) {
        return MAPPED;
    }
    return live.trusted + bytes <= cache_limit() && hk_filled_expect(bytes, live.trusted) ? TRUSTED
                                                                                          : TELLING;
}

/* A range that is in nobody's books. */
static struct range obtain(size_t bytes, size_t alignment, bool written) {
    enum origin origin = MAPPED;
    hk_lock(&lock, HK_LOCK_LARGE);
    struct range range = take_cached(bytes, alignment);
    if (!range.start) {
        regret(bytes);
        origin = written ? origin_for(bytes) : MAPPED;
    }
    hk_unlock(&lock);
    if (range.start) {
        hk_on_large_reused();
        return range;
    }
    range = map_range(bytes, alignment, origin);
    if (range.start) {
        hk_on_large_mapped(bytes);
    }
    return range;
}

/* Makes a range a live block. False: no memory for the books. */
static bool enter(struct range range) {
    bool entered = hk_class_map_set(range.start, 1, HK_CODE_LARGE);
    hk_lock(&lock, HK_LOCK_LARGE);
    entered = entered && insert(range);
    if (!entered) {
        (void)hk_class_map_set(range.start, 1, HK_CODE_NONE);
        release(range);
    }
    hk_unlock(&lock);
    return entered;
}

/* Takes a live block out of the books. */
static void leave(char *start) {
    hk_class_map_change(start, HK_CODE_NONE);
    hk_lock(&lock, HK_LOCK_LARGE);
    (void)erase(find(start));
    hk_unlock(&lock);
}

void *hk_large_alloc(size_t size, size_t alignment, bool *zeroed) {
    if (alignment < HK_UNIT) {
        alignment = HK_UNIT;
    }
    if (size > PTRDIFF_MAX - alignment) {
        return NULL;
    }
    const bool written = !*zeroed;
    struct range range = obtain(hk_round_up(size, step_for(size)), alignment, written);
    if (!range.start) { /* a limit on address space may still leave room for less */
        range = obtain(hk_round_up(size, grain()), alignment, written);
    }
    *zeroed = range.origin != REUSED;
    if (range.start && *zeroed && written) {
        ask_for_huge_pages(range);
    }
    return range.start && enter(range) ? range.start : NULL;
}

/* Of a block that is in nobody's books; under the lock, which it gives up while it looks. */
static bool learn_from(struct range range) {
    hk_unlock(&lock);
    const bool filled = hk_filled_is(range.start, range.bytes, range.origin == TRUSTED);
    hk_lock(&lock, HK_LOCK_LARGE);
    hk_filled_learn(range.bytes, filled);
    return filled;
}

bool hk_large_free(void *block) {
    hk_lock(&lock, HK_LOCK_LARGE);
    struct range *slot = find(block);
    if (slot) {
        struct range range = erase(slot);
        hk_class_map_change(block, HK_CODE_NONE);
        hk_on_free_large(range.bytes);
        const bool sparse = range.origin >= TELLING && !learn_from(range);
        if (sparse && range.origin == TRUSTED) { /* more of it is resident than its owner touched */
            (void)drop(range);
        } else {
            release(range);
        }
    }
    hk_unlock(&lock);
    return slot != NULL;
}

#if HK_LEARN /* a function of its own does not fold away */
void hk_large_forget(void *block) {
    leave(block);
}
#endif

size_t hk_large_size(const void *block) {
    hk_lock(&lock, HK_LOCK_LARGE);
    const struct range *slot = find(block);
    size_t bytes = slot ? slot->bytes : 0;
    hk_unlock(&lock);
    return bytes;
}

static void set_bytes(struct range *slot, size_t bytes) {
    live.trusted -= trusted_in(slot);
    slot->origin = REUSED;
    live.bytes += bytes - slot->bytes;
    slot->bytes = bytes;
    if (live.bytes + cache.bytes > peak) {
        peak = live.bytes + cache.bytes;
    }
}

static void shorten(struct range *slot, size_t bytes) {
    if (hk_secure_on) {
        if (hk_secure_shorten(slot->start, slot->bytes + *slot->slack, bytes)) {
            live.bytes -= *slot->slack;
            *slot->slack = 0;
            set_bytes(slot, bytes);
        }
        return;
    }
    struct range rest = {.start = slot->start + bytes, .bytes = slot->bytes - bytes};
    set_bytes(slot, bytes);
    release(rest);
}

/* Under the lock: grows or shrinks where the block lies. */
static bool resize_in_place(struct range *slot, size_t bytes) {
    char *end = slot->start + slot->bytes;
    if (bytes <= slot->bytes) {
        if (bytes < slot->bytes / 2) {
            shorten(slot, bytes);
        }
        return true;
    }
    size_t more = bytes - slot->bytes;
    if (hk_secure_on && more <= *slot->slack) {
        size_t used = hk_secure_large_use(slot->start, bytes, slot->bytes + *slot->slack);
        *slot->slack -= used - slot->bytes;
        slot->bytes = used;
        return true;
    }
    unsigned at = cached_after(end);
    if (at < cache.count && cache.ranges[at].start == end && cache.ranges[at].bytes >= more) {
        struct range next = cache.ranges[at];
        remove_cached(at);
        if (next.bytes > more) {
            insert_cached(at,
                          (struct range){.start = next.start + more, .bytes = next.bytes - more});
        }
        set_bytes(slot, bytes);
        return true;
    }
    return false;
}

/* Moves a block's pages, or its bytes, into a live block that is at least as large. Pages move when
 * both are whole mappings. False: nothing of the old block has changed. */
static bool move_content(struct range old, struct range new, bool pages) {
    if (pages) {
        return hk_os_move(old.start, old.bytes, new.start);
    }
    memcpy(new.start, old.start, old.bytes);
    return true;
}

void *hk_large_resize(void *block, size_t size) {
    if (size > PTRDIFF_MAX / 2) {
        return NULL;
    }
    const size_t bytes = hk_round_up(size, grain());
    hk_lock(&lock, HK_LOCK_LARGE);
    struct range *slot = find(block);
    struct range old = slot ? *slot : (struct range){0};
    if (hk_secure_on && slot && *old.slack) {
        hk_secure_large_look(old.start, old.bytes, "realloc(): write past the end of");
    }
    bool done = slot && resize_in_place(slot, bytes);
    hk_unlock(&lock);
    if (done || !old.start) {
        return done ? block : NULL;
    }
    struct range new = obtain(hk_round_up(bytes + bytes / GROWTH_PART, grain()), HK_UNIT, false);
    const bool fresh = new.origin != REUSED;
    if (!new.start || !enter(new)) {
        return NULL;
    }
    /* Out of the books first: once its pages have moved, its addresses may be somebody else's. */
    leave(old.start);
    if (!move_content(old, new, fresh)) {
        leave(new.start);
        (void)unmap_range(new); /* the failed call may have unmapped it */
        (void)enter(old);       /* there is room: it was there a moment ago */
        return NULL;
    }
    if (!fresh) {
        hk_lock(&lock, HK_LOCK_LARGE);
        release(old);
        hk_unlock(&lock);
        return new.start;
    }
    if (hk_secure_on) {
        hk_secure_abandon(old.start, old.bytes, *old.slack);
    }
    if (is_huge(new.bytes) || old.origin == TRUSTED) { /* one mapping again: only such move */
        hk_os_huge(new.start, new.bytes, is_huge(new.bytes));
    }
    return new.start;
}

/* --- giving memory back, looking -------------------------------------------------------------- */

void hk_large_tick(void) {
    hk_lock(&lock, HK_LOCK_LARGE);
    (void)shrink_cache(cache.bytes - cache.least_bytes);
    cache.least_bytes = cache.bytes;
    unmapped_early = 0;
    regretted -= regretted / REGRET_FADES;
    hk_unlock(&lock);
}

bool hk_large_trim(void) {
    hk_lock(&lock, HK_LOCK_LARGE);
    bool any = shrink_cache(0);
    hk_unlock(&lock);
    return any;
}

struct hk_large_stats hk_large_stats(void) {
    hk_lock(&lock, HK_LOCK_LARGE);
    struct hk_large_stats stats = {live.count, live.bytes, cache.bytes, peak};
    hk_on_seen_large(live.count);
    hk_unlock(&lock);
    return stats;
}

void hk_large_locks(hk_lock_visitor *visit) {
    visit(&lock, HK_LOCK_LARGE);
}
