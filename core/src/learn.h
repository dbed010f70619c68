/* The variant `learn` (HK_LEARN=1, docs/variants.md): large blocks by call site.
 *
 *     api: alloc_big --> hk_learn_reuse  (Site Rules, BigCache) --miss--> runs, ranges as ever
 *          free_slow --> hk_learn_take   (keep, or give back: the site's strategy)
 *
 * A site's freed blocks wait in its BigCache, in which only the same site looks. How many may wait,
 * and what happens then, is its strategy (learn.c), which a bandit chooses for each site by what
 * the last epoch has cost: the time below and in the system, the pages mapped anew, the bytes that
 * waited. Blocks without a rule go the way of the release. */
#ifndef HK_LEARN_H
#define HK_LEARN_H

#include "large.h"
#include "learn_bandit.h"
#include "lock.h"

/* What becomes of the blocks that a site frees. */
extern const char *const hk_strategy_names[HK_ARMS] __attribute__((visibility("hidden")));

/* A request from the time when the BigCache had nothing until the layers below gave a block. */
struct hk_learn_visit {
    unsigned rule; /* 0: none */
    uint64_t began_ns;
};

/* A block that the site freed before, or NULL: then the caller asks the layers below, and tells. */
void *hk_learn_reuse(struct hk_site site, size_t size, size_t alignment,
                     struct hk_learn_visit *visit);
void hk_learn_mapped(const struct hk_learn_visit *visit, const void *block, size_t size,
                     bool fresh);

/* Takes a block that the program frees; `code` is that of its address. False: it has no rule. */
bool hk_learn_take(void *block, unsigned code);
/* As hk_large_resize: the block keeps its rule wherever it goes. */
void *hk_learn_resize(void *block, size_t size);

/* Every half HAKMEM_DECAY_MS: what nobody needed since goes back to the system. */
void hk_learn_tick(void);
/* All that waits goes back. True if anything did. */
bool hk_learn_trim(void);

/* Blocks that wait, which the layers below take for live. */
struct hk_learn_held {
    size_t runs, run_bytes;
    size_t ranges, range_bytes;
};
struct hk_learn_held hk_learn_held(void);

/* Once, from the constructor: loads what was learned before (learn_state.h). */
void hk_learn_start(void);
/* Writes what is known of each site to a descriptor. */
void hk_learn_print(int fd);

void hk_learn_locks(hk_lock_visitor *visit);

#endif
