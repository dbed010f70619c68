/* SuperSlabs come from the system and go back to it. */
#include "config.h"
#include "os.h"
#include "secure.h"
#include "superslab_record.h"

enum {
    /* SuperSlabs that a grain beyond HAKMEM_HUGE_MIB maps in one call. */
    MAPPED_AT_ONCE = 4,
    /* The heap asks for huge pages from this part of HAKMEM_HUGE_MIB on. In the variant `secure`
     * free waits for a line of each block, and before that for the address of its page. */
    HUGE_PART = hk_secure_on ? 8 : 1,
};

/* The SuperSlabs that come next: mapped, and not touched, for their first byte may cost a huge
 * page. */
static struct { char *next, *end; } ahead[HK_GRAINS];

static struct hk_superslab *add_superslab(char *base, enum hk_grain grain) {
    struct hk_superslab_stats *stats = &hk_superslabs.stats;
    struct hk_superslab *superslab = hk_superslab_at((uintptr_t)base);
    superslab->free = HK_ALL_FREE;
    superslab->grain = (uint8_t)grain;
    superslab->next = hk_superslabs.all;
    hk_superslabs.all = superslab;
    stats->mapped += HK_SUPERSLAB;
    if (stats->mapped > stats->peak_mapped) {
        stats->peak_mapped = stats->mapped;
    }
    hk_shelve(superslab);
    hk_on_superslab_mapped();
    return superslab;
}

/* Under the lock, which it gives up during the calls to the system. */
static struct hk_superslab *map_superslab(enum hk_grain grain) {
    const bool large = hk_superslabs.used_by[grain] >= hk_config.huge_mib * HK_MIB / HUGE_PART;
    size_t bytes = (large ? MAPPED_AT_ONCE : 1) * HK_SUPERSLAB;
    hk_unlock(&hk_superslabs.lock);
    char *base = hk_os_map(bytes, HK_SUPERSLAB);
    if (!base && large) {
        bytes = HK_SUPERSLAB;
        base = hk_os_map(bytes, HK_SUPERSLAB);
    }
    if (base) {
        hk_os_huge(base, bytes, large && grain == HK_GRAIN_FINE);
    }
    hk_lock(&hk_superslabs.lock, HK_LOCK_SUPERSLAB);
    if (!base) {
        return NULL;
    }
    ahead[grain].next = base + HK_SUPERSLAB;
    ahead[grain].end = base + bytes;
    return add_superslab(base, grain);
}

struct hk_superslab *hk_superslab_next(enum hk_grain grain) {
    if (ahead[grain].next == ahead[grain].end) {
        return map_superslab(grain);
    }
    char *base = ahead[grain].next;
    ahead[grain].next += HK_SUPERSLAB;
    return add_superslab(base, grain);
}

static bool unmap_ahead(enum hk_grain grain) {
    char *start = ahead[grain].next;
    size_t bytes = (size_t)(ahead[grain].end - start);
    if (bytes == 0 || !hk_os_unmap(start, bytes)) {
        return false;
    }
    ahead[grain].end = start;
    return true;
}

/* One without a block, which is in no list. False: it is still mapped, and kept as if dirty. */
static bool unmap(struct hk_superslab *superslab) {
    hk_account_dirty(superslab, superslab->dirty, false);
    superslab->free = 0;
    hk_shelve(superslab);
    if (!hk_os_unmap(hk_superslab_base(superslab), HK_SUPERSLAB)) {
        superslab->free = HK_ALL_FREE;
        hk_account_dirty(superslab, HK_ALL_FREE, true);
        hk_shelve(superslab);
        return false;
    }
    hk_superslabs.stats.mapped -= HK_SUPERSLAB;
    hk_on_superslab_unmapped();
    return true;
}

bool hk_superslab_unmap_free(void) {
    bool any = unmap_ahead(HK_GRAIN_FINE);
    any |= unmap_ahead(HK_GRAIN_COARSE);
    for (struct hk_superslab **link = &hk_superslabs.all; *link;) {
        struct hk_superslab *superslab = *link;
        struct hk_superslab *next = superslab->next;
        if (superslab->free == HK_ALL_FREE && unmap(superslab)) {
            *link = next;
            any = true;
        } else {
            link = &superslab->next;
        }
    }
    return any;
}
