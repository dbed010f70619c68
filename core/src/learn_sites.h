/* Site Rules: what is known of each call site that asks for large blocks, and the BigCache of
 * blocks that it freed. 64 shards of 32 rules, each shard with its lock.
 *
 * A new site in a full shard takes the place of the rule that was used longest ago among those of
 * which no block is live or held; where there is none, it gets no rule and the fixed policy.
 *
 * Which rule a block belongs to stands in a flat array, as classes do (class_map.h): an entry of
 * two bytes for each unit of 64 KiB, valid for first units of live blocks. */
#ifndef HK_LEARN_SITES_H
#define HK_LEARN_SITES_H

#include "learn_life.h"
#include "lock.h"

enum {
    HK_SITE_SHARDS = 64,
    HK_SHARD_RULES = 32,
    HK_KEPT_MOST = 32, /* blocks in the BigCache of a site */
};

/* A free block that waits; `code` is what it was in the class map. */
struct hk_kept {
    char *start;
    size_t bytes;
    uint8_t code;
};

/* What happened since the last decision. */
struct hk_epoch {
    uint64_t began_ns;
    uint64_t bytes, fresh_bytes; /* allocated; and how much of that was mapped anew */
    uint64_t below_ns;           /* spent in the layers below and in the system */
    uint64_t held_bytes;         /* sum over looks at what is held */
    uint32_t allocs, looks;
};

struct hk_rule {
    const void *site;
    uint32_t live;             /* blocks that the program holds, and calls that are under way */
    uint32_t last_used;        /* by the shard's clock */
    uint32_t held, least_held; /* blocks that wait; the least since the last tick */
    uint32_t settling;         /* allocations before the epoch begins */
    size_t held_bytes;
    struct hk_epoch epoch;
    struct hk_learner learner;
    uint64_t allocs, reused, fresh_bytes, returned_bytes; /* since the rule was made */
    struct hk_kept blocks[HK_KEPT_MOST];
};

/* The rule of a site, locked, and its number: made if need be. NULL: it has none, nothing is
 * locked, the number is 0. */
struct hk_rule *hk_rule_of(const void *site, unsigned *number);
struct hk_rule *hk_rule_lock(unsigned number);
void hk_rule_unlock(unsigned number);
/* Numbers of rules: from 1 to this. Those of which hk_rule_exists says so may be locked. */
enum { HK_RULES = HK_SITE_SHARDS * HK_SHARD_RULES };
bool hk_rule_exists(unsigned number);

/* The rule of a block; 0: none. False: the array could not grow. */
unsigned hk_block_rule(const void *block);
bool hk_block_set_rule(const void *block, unsigned number);

/* Where there was no address space for the array, it may be asked for again. */
void hk_sites_tick(void);

/* Rules that had to go for another, and sites that found no place, since the start. */
struct hk_site_counts {
    uint64_t evicted, refused;
};
struct hk_site_counts hk_site_counts(void);

void hk_sites_locks(hk_lock_visitor *visit);

#endif
