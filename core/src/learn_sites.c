#include "learn_sites.h"

#include "meta.h"
#include "os.h"

enum {
    ADDRESS_BITS = 47, /* as in class_map.c */
    UNITS_SHIFT = ADDRESS_BITS - HK_UNIT_SHIFT,
    CHUNK_SHIFT = 16, /* entries that become writable at once: 4 GiB of heap */
    CHUNKS = 1 << (UNITS_SHIFT - CHUNK_SHIFT),
};
#define GOLDEN_RATIO 0x9E3779B97F4A7C15U

static struct shard {
    struct hk_lock lock;
    uint32_t clock;
    uint32_t count;                    /* rules in use: they only become more */
    const void *sites[HK_SHARD_RULES]; /* beside the rules, which are large */
    struct hk_rule *rules;
} __attribute__((aligned(64))) shards[HK_SITE_SHARDS];

static struct hk_site_counts counts;

/* --- rules ------------------------------------------------------------------------------------ */

static struct shard *shard_of(unsigned number) {
    return &shards[(number - 1) / HK_SHARD_RULES];
}

static unsigned number_of(const struct shard *shard, const struct hk_rule *rule) {
    return (unsigned)(shard - shards) * HK_SHARD_RULES + (unsigned)(rule - shard->rules) + 1;
}

static struct hk_rule *find(const struct shard *shard, const void *site) {
    for (unsigned i = 0; i < shard->count; i++) {
        if (shard->sites[i] == site) {
            return &shard->rules[i];
        }
    }
    return NULL;
}

/* An unused place, or that of the rule to evict; NULL: neither. */
static struct hk_rule *place_in(struct shard *shard) {
    if (!shard->rules) {
        shard->rules = hk_meta_alloc(HK_SHARD_RULES * sizeof *shard->rules);
    }
    if (!shard->rules) {
        return NULL;
    }
    if (shard->count < HK_SHARD_RULES) {
        struct hk_rule *unused = &shard->rules[shard->count];
        __atomic_store_n(&shard->count, shard->count + 1, __ATOMIC_RELAXED);
        return unused;
    }
    struct hk_rule *oldest = NULL;
    for (unsigned i = 0; i < HK_SHARD_RULES; i++) {
        struct hk_rule *rule = &shard->rules[i];
        bool idle = rule->live == 0 && rule->held == 0;
        if (idle &&
            (!oldest || shard->clock - rule->last_used > shard->clock - oldest->last_used)) {
            oldest = rule;
        }
    }
    __atomic_fetch_add(oldest ? &counts.evicted : &counts.refused, 1, __ATOMIC_RELAXED);
    return oldest;
}

static struct hk_rule *add(struct shard *shard, const void *site) {
    struct hk_rule *rule = place_in(shard);
    if (rule) {
        shard->sites[rule - shard->rules] = site;
        *rule = (struct hk_rule){.site = site};
        hk_learner_start(&rule->learner, hk_learn_config.kind);
    }
    return rule;
}

struct hk_rule *hk_rule_of(const void *site, unsigned *number) {
    struct shard *shard = &shards[((uintptr_t)site * GOLDEN_RATIO >> 32) % HK_SITE_SHARDS];
    hk_lock(&shard->lock, HK_LOCK_LARGE);
    struct hk_rule *rule = find(shard, site);
    if (!rule) {
        rule = add(shard, site);
    }
    if (!rule) {
        hk_unlock(&shard->lock);
        *number = 0;
        return NULL;
    }
    rule->last_used = ++shard->clock;
    *number = number_of(shard, rule);
    return rule;
}

struct hk_rule *hk_rule_lock(unsigned number) {
    struct shard *shard = shard_of(number);
    hk_lock(&shard->lock, HK_LOCK_LARGE);
    return &shard->rules[(number - 1) % HK_SHARD_RULES];
}

void hk_rule_unlock(unsigned number) {
    hk_unlock(&shard_of(number)->lock);
}

bool hk_rule_exists(unsigned number) {
    return (number - 1) % HK_SHARD_RULES <
           __atomic_load_n(&shard_of(number)->count, __ATOMIC_RELAXED);
}

struct hk_site_counts hk_site_counts(void) {
    return (struct hk_site_counts){
        .evicted = __atomic_load_n(&counts.evicted, __ATOMIC_RELAXED),
        .refused = __atomic_load_n(&counts.refused, __ATOMIC_RELAXED),
    };
}

void hk_sites_locks(hk_lock_visitor *visit) {
    for (unsigned i = 0; i < HK_SITE_SHARDS; i++) {
        visit(&shards[i].lock, HK_LOCK_LARGE);
    }
}

/* --- the rule of a block ---------------------------------------------------------------------- */

static uint16_t *rules_of_units;
static bool no_address_space; /* since the last tick */
static uint8_t chunk_is_writable[CHUNKS / 8];

/* Reserved by whoever needs it first; NULL where address space is short. */
static uint16_t *reserved(void) {
    uint16_t *known = __atomic_load_n(&rules_of_units, __ATOMIC_ACQUIRE);
    if (known || __atomic_load_n(&no_address_space, __ATOMIC_RELAXED)) {
        return known;
    }
    const size_t bytes = sizeof *known << UNITS_SHIFT;
    uint16_t *mine = hk_os_reserve(bytes);
    __atomic_store_n(&no_address_space, mine == NULL, __ATOMIC_RELAXED);
    if (mine && !__atomic_compare_exchange_n(&rules_of_units, &known, mine, false, __ATOMIC_ACQ_REL,
                                             __ATOMIC_ACQUIRE)) {
        (void)hk_os_unmap(mine, bytes);
        return known;
    }
    return mine;
}

static bool make_writable(uint16_t *array, size_t chunk) {
    uint8_t bit = (uint8_t)(1 << (chunk & 7));
    if (__atomic_load_n(&chunk_is_writable[chunk >> 3], __ATOMIC_RELAXED) & bit) {
        return true;
    }
    if (!hk_os_commit(array + (chunk << CHUNK_SHIFT), sizeof *array << CHUNK_SHIFT)) {
        return false;
    }
    __atomic_fetch_or(&chunk_is_writable[chunk >> 3], bit, __ATOMIC_RELAXED);
    return true;
}

void hk_sites_tick(void) {
    __atomic_store_n(&no_address_space, false, __ATOMIC_RELAXED);
}

unsigned hk_block_rule(const void *block) {
    const uint16_t *array = __atomic_load_n(&rules_of_units, __ATOMIC_ACQUIRE);
    size_t unit = (uintptr_t)block >> HK_UNIT_SHIFT;
    return array ? __atomic_load_n(&array[unit], __ATOMIC_RELAXED) : 0;
}

bool hk_block_set_rule(const void *block, unsigned number) {
    if (hk_block_rule(block) == number) {
        return true;
    }
    uint16_t *array = reserved();
    size_t unit = (uintptr_t)block >> HK_UNIT_SHIFT;
    if (!array || !make_writable(array, unit >> CHUNK_SHIFT)) {
        return false;
    }
    __atomic_store_n(&array[unit], (uint16_t)number, __ATOMIC_RELAXED);
    return true;
}
