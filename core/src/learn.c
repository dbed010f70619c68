#define _GNU_SOURCE
#include "learn.h"

#include "class_map.h"
#include "config.h"
#include "events.h"
#include "learn_sites.h"
#include "os.h"
#include "size_class.h"
#include "superslab.h"

#include <string.h>
#include <time.h>

enum {
    EPOCH = 32,     /* allocations between two decisions */
    SETTLING = 8,   /* allocations after a new strategy before its epoch begins */
    SLACK_PART = 8, /* a block fits if it is too large by less than this part */
    PRICED_PAGES = 16,
    MS = 1000000, /* nanoseconds */
};

/* Blocks wait while their bytes fit the threshold. The next one then goes back to the system alone
 * (keep), or all that wait go with it, neighbours in one call (batch). */
struct strategy {
    size_t threshold;
    bool batches;
};
static const struct strategy strategies[HK_ARMS] = {
    {4 * HK_MIB, false},  /* keep-4 */
    {32 * HK_MIB, false}, /* keep-32 */
    {4 * HK_MIB, true},   /* batch-4 */
    {32 * HK_MIB, true},  /* batch-32 */
    {0, false},           /* return */
};
const char *const hk_strategy_names[HK_ARMS] = {"keep-4", "keep-32", "batch-4", "batch-32",
                                                "return"};

/* Blocks on their way to the system. */
struct batch {
    struct hk_kept blocks[HK_KEPT_MOST + 1];
    unsigned count;
};

static uint64_t clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 * MS + (uint64_t)now.tv_nsec;
}

/* --- giving back to the system ---------------------------------------------------------------- */

static void sort_by_address(struct batch *batch) {
    for (unsigned i = 1; i < batch->count; i++) {
        struct hk_kept block = batch->blocks[i];
        unsigned at = i;
        for (; at > 0 && batch->blocks[at - 1].start > block.start; at--) {
            batch->blocks[at] = batch->blocks[at - 1];
        }
        batch->blocks[at] = block;
    }
}

static void return_runs(const struct hk_kept *blocks, unsigned count, size_t bytes) {
    bool clean = hk_os_purge(blocks->start, bytes);
    for (unsigned i = 0; i < count; i++) {
        struct hk_slab *run = hk_slab_of(blocks[i].start);
        run->clean = clean;
        hk_units_give(run);
    }
}

static void return_ranges(const struct hk_kept *blocks, unsigned count, size_t bytes) {
    for (unsigned i = 0; i < count; i++) {
        hk_large_forget(blocks[i].start);
    }
    if (hk_os_unmap(blocks->start, bytes)) {
        hk_on_large_unmapped(bytes);
    } else {
        (void)hk_os_purge(blocks->start, bytes); /* address space is lost, memory is not */
    }
}

/* One call to the system for neighbours of one kind. */
static void return_blocks(struct batch *batch) {
    sort_by_address(batch);
    for (unsigned first = 0; first < batch->count;) {
        const struct hk_kept *blocks = &batch->blocks[first];
        size_t bytes = blocks->bytes;
        unsigned count = 1;
        while (first + count < batch->count && blocks[count].code == blocks->code &&
               blocks[count].start == blocks->start + bytes) {
            bytes += blocks[count++].bytes;
        }
        if (blocks->code == HK_CODE_RUN) {
            return_runs(blocks, count, bytes);
        } else {
            return_ranges(blocks, count, bytes);
        }
        first += count;
    }
}

/* --- BigCache: under the lock of the rule ------------------------------------------------------
 */

static void remove_held(struct hk_rule *rule, unsigned index, unsigned count) {
    for (unsigned i = index; i < index + count; i++) {
        rule->held_bytes -= rule->blocks[i].bytes;
    }
    rule->held -= count;
    memmove(&rule->blocks[index], &rule->blocks[index + count],
            (rule->held - index) * sizeof *rule->blocks);
    if (rule->held < rule->least_held) {
        rule->least_held = rule->held;
    }
}

/* The block that was freed last of those that fit; `start` is NULL if none does. */
static struct hk_kept take_held(struct hk_rule *rule, size_t bytes, size_t alignment) {
    for (unsigned i = rule->held; i-- > 0;) {
        struct hk_kept block = rule->blocks[i];
        if (block.bytes >= bytes && block.bytes - bytes <= bytes / SLACK_PART &&
            ((uintptr_t)block.start & (alignment - 1)) == 0) {
            remove_held(rule, i, 1);
            return block;
        }
    }
    return (struct hk_kept){.start = NULL};
}

/* The `count` that wait longest go into a batch. */
static void move_oldest(struct hk_rule *rule, unsigned count, struct batch *batch) {
    memcpy(&batch->blocks[batch->count], rule->blocks, count * sizeof *rule->blocks);
    batch->count += count;
    hk_on_learned(HK_LEARNED_LET_GO, count);
    remove_held(rule, 0, count);
}

/* --- what it costs ---------------------------------------------------------------------------- */

/* Nanoseconds that the first touch of a byte costs here, page fault and zeroing: measured once, the
 * least of a few pages. 0: no memory to measure with. */
static double fault_price(void) {
    static uint64_t per_page;
    uint64_t least = __atomic_load_n(&per_page, __ATOMIC_RELAXED);
    const size_t page = hk_os_page();
    if (least == 0) {
        char *pages = hk_os_map(PRICED_PAGES * page, page);
        for (size_t i = 0; pages && i < PRICED_PAGES; i++) {
            uint64_t began = clock_ns();
            *(volatile char *)(pages + i * page) = 1;
            uint64_t took = clock_ns() - began + 1;
            least = least == 0 || took < least ? took : least;
        }
        if (pages) {
            (void)hk_os_unmap(pages, PRICED_PAGES * page);
        }
        __atomic_store_n(&per_page, least, __ATOMIC_RELAXED);
    }
    return (double)least / (double)page;
}

static double decay_ns(void) {
    return (double)(hk_config.decay_ms ? hk_config.decay_ms : 1) * MS;
}

/* One half where as many blocks as can wait come and go in one decay. */
static double pace_of(double ns_between_allocs) {
    return ns_between_allocs / (ns_between_allocs + decay_ns() / HK_KEPT_MOST);
}

/* From 0 to 1; one half: as dear as mapping every block anew. To hold a byte for HAKMEM_DECAY_MS
 * costs as much as to map it anew: the point where to keep or to return comes to the same. */
static double reward_of(const struct hk_epoch *epoch, uint64_t took_ns, double price) {
    double held = (double)epoch->held_bytes / epoch->looks;
    double anew = price * (double)epoch->bytes;
    double cost = (double)epoch->below_ns +
                  price * ((double)epoch->fresh_bytes + held * (double)took_ns / decay_ns());
    return anew / (anew + cost);
}

/* What a new strategy would not have kept goes, so that it is not paid for what another kept. */
static void move_excess(struct hk_rule *rule, struct batch *batch) {
    unsigned count = 0;
    size_t left = rule->held_bytes;
    while (left > strategies[rule->learner.arm].threshold) {
        left -= rule->blocks[count++].bytes;
    }
    move_oldest(rule, count, batch);
}

static void report_epoch(const struct hk_learner *before, const struct hk_learner *after) {
    hk_on_learned(HK_LEARNED_EPOCH, 1);
    hk_on_learned(HK_LEARNED_TRIED, before->arm != after->arm);
    hk_on_learned(HK_LEARNED_FROZEN,
                  before->life == HK_LIFE_LEARN && after->life == HK_LIFE_FREEZE);
    hk_on_learned(HK_LEARNED_SHIFTED, before->relearned != after->relearned);
}

/* Ends an epoch that is long enough. */
static void end_epoch(struct hk_rule *rule, struct batch *batch) {
    struct hk_epoch *epoch = &rule->epoch;
    if (epoch->allocs < EPOCH) {
        return;
    }
    const double price = fault_price();
    const uint64_t now = clock_ns();
    const uint64_t took_ns = now > epoch->began_ns ? now - epoch->began_ns : 1;
    if (price > 0.0) {
        const struct hk_learner before = rule->learner;
        hk_learner_epoch(&rule->learner, hk_learn_config.kind,
                         &(struct hk_observation){
                             .reward = reward_of(epoch, took_ns, price),
                             .bytes = (double)epoch->bytes / epoch->allocs,
                             .pace = pace_of((double)took_ns / epoch->allocs),
                         });
        report_epoch(&before, &rule->learner);
        if (rule->learner.arm != before.arm) {
            move_excess(rule, batch);
            rule->settling = SETTLING;
        }
    }
    *epoch = (struct hk_epoch){.began_ns = now};
}

static void look(struct hk_rule *rule) {
    rule->epoch.held_bytes += rule->held_bytes;
    rule->epoch.looks++;
}

/* A request arrives. */
static void count_request(struct hk_rule *rule, size_t bytes) {
    rule->allocs++;
    if (rule->settling > 0 && --rule->settling == 0) {
        rule->epoch = (struct hk_epoch){.began_ns = clock_ns()};
    } else if (rule->epoch.began_ns == 0) {
        rule->epoch.began_ns = clock_ns();
    }
    rule->epoch.allocs += rule->settling == 0;
    rule->epoch.bytes += bytes;
    look(rule);
}

/* Gives a batch back, outside all locks, at the cost of a rule that one call under way has pinned.
 */
static void return_for(unsigned number, struct batch *batch) {
    size_t bytes = 0;
    for (unsigned i = 0; i < batch->count; i++) {
        bytes += batch->blocks[i].bytes;
    }
    uint64_t began = clock_ns();
    return_blocks(batch);
    uint64_t took = clock_ns() - began;
    struct hk_rule *rule = hk_rule_lock(number);
    rule->live--;
    rule->epoch.below_ns += took;
    rule->returned_bytes += bytes;
    hk_rule_unlock(number);
}

static void report_reuse(const struct hk_kept *block, size_t size) {
    if (block->code == HK_CODE_RUN) {
        hk_on_alloc_run(size, block->bytes);
    } else {
        hk_on_large_reused();
        hk_on_alloc_large(size, size);
    }
}

static void report_free(const struct hk_kept *block) {
    if (block->code == HK_CODE_RUN) {
        hk_on_free_run(block->bytes);
    } else {
        hk_on_free_large(block->bytes);
    }
}

/* --- requests --------------------------------------------------------------------------------- */

void *hk_learn_reuse(struct hk_site site, size_t size, size_t alignment,
                     struct hk_learn_visit *visit) {
    *visit = (struct hk_learn_visit){.rule = 0};
    if (hk_learn_config.kind == HK_BANDIT_OFF || !site.address) {
        return NULL;
    }
    struct hk_rule *rule = hk_rule_of(site.address, &visit->rule);
    if (!rule) {
        return NULL;
    }
    struct batch batch = {.count = 0};
    end_epoch(rule, &batch);
    size_t bytes = hk_round_up(size, HK_UNIT);
    count_request(rule, bytes);
    struct hk_kept block = take_held(rule, bytes, alignment);
    rule->reused += block.start != NULL;
    hk_on_learned(block.start ? HK_LEARNED_REUSED : HK_LEARNED_MISSED, 1);
    rule->live += 1 + (batch.count > 0);
    hk_rule_unlock(visit->rule);
    if (batch.count > 0) {
        return_for(visit->rule, &batch);
    }
    if (block.start) {
        report_reuse(&block, size);
        hk_class_map_change(block.start, block.code);
    } else {
        visit->began_ns = clock_ns();
    }
    return block.start;
}

void hk_learn_mapped(const struct hk_learn_visit *visit, const void *block, size_t size,
                     bool fresh) {
    const bool owned = block && hk_block_set_rule(block, visit->rule);
    if (visit->rule == 0) {
        return;
    }
    uint64_t took = clock_ns() - visit->began_ns;
    struct hk_rule *rule = hk_rule_lock(visit->rule);
    rule->epoch.below_ns += took;
    if (fresh) {
        size_t bytes = hk_round_up(size, HK_UNIT);
        rule->epoch.fresh_bytes += bytes;
        rule->fresh_bytes += bytes;
    }
    rule->live -= !owned;
    hk_rule_unlock(visit->rule);
}

static size_t bytes_of(const void *block, unsigned code) {
    if (code == HK_CODE_LARGE) {
        return hk_large_size(block);
    }
    const struct hk_slab *run = hk_slab_of(block);
    return hk_slab_start(run) == block ? (size_t)run->units << HK_UNIT_SHIFT : 0;
}

/* A freed block waits, or goes back with whatever the strategy says. */
static void place(struct hk_rule *rule, struct hk_kept block, struct batch *batch) {
    const struct strategy *strategy = &strategies[rule->learner.arm];
    if (rule->held < HK_KEPT_MOST && rule->held_bytes + block.bytes <= strategy->threshold) {
        hk_on_learned(HK_LEARNED_KEPT, 1);
        rule->blocks[rule->held++] = block;
        rule->held_bytes += block.bytes;
        return;
    }
    if (strategy->batches) {
        move_oldest(rule, rule->held, batch);
    }
    hk_on_learned(HK_LEARNED_RETURNED, 1);
    batch->blocks[batch->count++] = block;
}

bool hk_learn_take(void *block, unsigned code) {
    if (code != HK_CODE_RUN && code != HK_CODE_LARGE) {
        return false;
    }
    const unsigned number = hk_block_rule(block);
    const size_t bytes = number ? bytes_of(block, code) : 0;
    if (bytes == 0) {
        return false;
    }
    struct hk_rule *rule = hk_rule_lock(number);
    if (hk_code_of(block) != code) {
        hk_rule_unlock(number);
        hk_fatal("free(): double free of", block);
    }
    hk_class_map_change(block, HK_CODE_NONE); /* so that a second free of it is noticed */
    const struct hk_kept freed = {block, bytes, (uint8_t)code};
    struct batch batch = {.count = 0};
    report_free(&freed);
    place(rule, freed, &batch);
    look(rule);
    rule->live -= batch.count == 0; /* else when they have gone */
    hk_rule_unlock(number);
    if (batch.count > 0) {
        return_for(number, &batch);
    }
    return true;
}

void *hk_learn_resize(void *block, size_t size) {
    const unsigned number = hk_block_rule(block); /* before somebody else gets the address */
    void *resized = hk_large_resize(block, size);
    if (resized && resized != block && !hk_block_set_rule(resized, number)) {
        hk_rule_lock(number)->live--; /* the block has no rule any more */
        hk_rule_unlock(number);
    }
    return resized;
}

/* --- giving back what nobody needs -------------------------------------------------------------
 */

/* Of one rule: all that waits, or what waited since the last tick. True if anything went. */
static bool give_back(unsigned number, bool all) {
    struct batch batch = {.count = 0};
    struct hk_rule *rule = hk_rule_lock(number);
    move_oldest(rule, all ? rule->held : rule->least_held, &batch);
    rule->least_held = rule->held;
    rule->live += batch.count > 0;
    hk_rule_unlock(number);
    if (batch.count > 0) {
        return_for(number, &batch);
    }
    return batch.count > 0;
}

static bool give_back_each(bool all) {
    bool any = false;
    for (unsigned number = 1; number <= HK_RULES; number++) {
        any |= hk_rule_exists(number) && give_back(number, all);
    }
    return any;
}

void hk_learn_tick(void) {
    hk_sites_tick();
    (void)give_back_each(false);
}

bool hk_learn_trim(void) {
    return give_back_each(true);
}

struct hk_learn_held hk_learn_held(void) {
    struct hk_learn_held held = {0};
    for (unsigned number = 1; number <= HK_RULES; number++) {
        if (!hk_rule_exists(number)) {
            continue;
        }
        const struct hk_rule *rule = hk_rule_lock(number);
        for (unsigned i = 0; i < rule->held; i++) {
            const bool run = rule->blocks[i].code == HK_CODE_RUN;
            *(run ? &held.runs : &held.ranges) += 1;
            *(run ? &held.run_bytes : &held.range_bytes) += rule->blocks[i].bytes;
        }
        hk_rule_unlock(number);
    }
    return held;
}

void hk_learn_locks(hk_lock_visitor *visit) {
    hk_sites_locks(visit);
}
