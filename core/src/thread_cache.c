#include "thread_cache.h"

#include "class_map.h"
#include "config.h"
#include "events.h"
#include "large.h"
#include "learn.h"
#include "limit.h"
#include "lock.h"
#include "meta.h"
#include "os.h"
#include "slab.h"
#include "superslab.h"
#include "thread_record.h"

#include <pthread.h>
#include <string.h>

enum {
    MIN_LIMIT = 4,      /* frees of a class, however large, between two looks at the list */
    COARSE_FACTOR = 8,  /* lists of blocks above 1 KiB may grow this much longer, in bytes */
    TICK_INTERVAL = 32, /* slow paths between two looks at the clock */
};

_Thread_local struct hk_tls hk_tls = {.head = HK_HEADS_AT_START};

static struct hk_lock registry_lock;
static struct hk_thread *threads;
static struct hk_thread *unused;
static pthread_key_t exit_key;
static bool exit_key_made;
static uint64_t other_frees; /* of threads that ended, and of those without a record */
size_t hk_granted_bytes;

/* --- threads come and go ---------------------------------------------------------------------- */

/* Frees that the room of a class has counted since it was granted. */
static uint64_t used_room(const struct hk_thread *thread, unsigned cls) {
    return (uint16_t)(thread->slots[cls].granted - thread->tls->room[cls]);
}

static uint64_t frees_of(const struct hk_thread *thread) {
    uint64_t frees = thread->frees;
    HK_EACH_USED(thread, cls) {
        frees += used_room(thread, cls);
    }
    return frees;
}

static bool flush(struct hk_thread *thread) {
    bool any = thread->run_count > 0;
    hk_thread_give_runs(thread);
    HK_EACH_USED(thread, cls) {
        any |= hk_held_flush(thread, cls);
    }
    return any;
}

/* Hands over the lists that saw no free since the last time. */
static void flush_idle(struct hk_thread *thread) {
    HK_EACH_USED(thread, cls) {
        struct hk_slot *slot = &thread->slots[cls];
        uint16_t room = thread->tls->room[cls];
        if (room == slot->seen_room) {
            (void)hk_held_flush(thread, cls);
        }
        slot->seen_room = room;
    }
}

static void unregister(struct hk_thread *thread) {
    hk_lock(&registry_lock, HK_LOCK_THREADS);
    struct hk_thread **link = &threads;
    while (*link != thread) {
        link = &(*link)->next;
    }
    *link = thread->next;
    __atomic_fetch_add(&other_frees, thread->frees, __ATOMIC_RELAXED);
    __atomic_fetch_sub(&hk_granted_bytes, thread->limit_bytes, __ATOMIC_RELAXED);
    thread->next = unused;
    unused = thread;
    hk_unlock(&registry_lock);
}

/* Destructor of the thread's key. What other destructors allocate and free afterwards goes block by
 * block through central. */
static void end_thread(void *record) {
    struct hk_thread *thread = record;
    hk_thread_give_runs(thread);
    HK_EACH_USED(thread, cls) {
        (void)hk_held_flush(thread, cls);
        hk_thread_grant(thread, cls, 0);
    }
    hk_on_thread_exiting(&hk_tls.own);
    hk_stats_fold(hk_tls.counted);
    hk_tls.thread = HK_THREAD_DEAD;
    unregister(thread);
}

/* A record of zeroes, registered. */
static struct hk_thread *new_record(void) {
    hk_lock(&registry_lock, HK_LOCK_THREADS);
    (void)hk_class_map_init(); /* whoever needs it fails if this does */
    struct hk_thread *thread = unused;
    if (thread) {
        unused = thread->next;
        memset(thread, 0, sizeof *thread);
    } else {
        thread = hk_meta_alloc(sizeof *thread);
    }
    if (thread) {
        thread->tls = &hk_tls;
        if (hk_secure_on) {
            hk_secure_tell_ends(hk_tls.ends);
        }
        thread->until_tick = threads ? 0 : TICK_INTERVAL; /* short programs never see the clock */
        thread->next = threads;
        threads = thread;
    }
    if (!exit_key_made) {
        exit_key_made = pthread_key_create(&exit_key, end_thread) == 0;
    }
    hk_unlock(&registry_lock);
    return thread;
}

struct hk_thread *hk_thread_start(void) {
    struct hk_thread *thread = hk_tls.thread;
    if (thread) {
        hk_on_early(thread == HK_THREAD_DEAD ? HK_EARLY_DEAD_THREAD : HK_EARLY_BOOTING);
        return NULL;
    }
    hk_on_early(HK_EARLY_NO_THREAD);
    hk_tls.thread = HK_THREAD_BOOTING;
    hk_fork_watch();
    thread = new_record();
    hk_tls.thread = thread;
    if (thread) {
        hk_on_thread_started(&hk_tls.own);
        if (exit_key_made) {
            (void)pthread_setspecific(exit_key, thread); /* may allocate */
        }
    }
    return thread;
}

void hk_cache_begin(void) {
    (void)hk_thread_this();
}

/* --- limits ----------------------------------------------------------------------------------- */

static unsigned limit_for(unsigned cls, size_t bytes) {
    size_t blocks = bytes / hk_class_size(cls);
    blocks = blocks < MIN_LIMIT ? MIN_LIMIT : blocks;
    return blocks > HK_LIMIT_MOST ? HK_LIMIT_MOST : (unsigned)blocks;
}

unsigned hk_thread_first_limit(unsigned cls) {
    return limit_for(cls, hk_config.cache_kib * HK_KIB);
}

static void set_limit(struct hk_thread *thread, unsigned cls, unsigned limit) {
    struct hk_slot *slot = &thread->slots[cls];
    size_t more = ((size_t)limit - slot->limit) * hk_class_size(cls); /* or less: it wraps */
    slot->limit = (uint16_t)limit;
    thread->limit_bytes += more;
    __atomic_fetch_add(&hk_granted_bytes, more, __ATOMIC_RELAXED);
}

void hk_thread_shrink_limit(struct hk_thread *thread, unsigned cls) {
    unsigned limit = thread->slots[cls].limit;
    set_limit(thread, cls, limit > 2 * MIN_LIMIT ? limit / 2 : MIN_LIMIT);
}

/* A list that spilled and then ran dry was too short: it may grow, while the budget allows. One
 * that only spills belongs to a thread that frees for others, who want short batches, still in
 * cache. */
static void grow_limit(struct hk_thread *thread, unsigned cls) {
    struct hk_slot *slot = &thread->slots[cls];
    size_t factor = cls > HK_FINE_CLASSES ? COARSE_FACTOR : 1;
    unsigned most = limit_for(cls, hk_config.cache_max_kib * HK_KIB * factor);
    unsigned limit = slot->limit * 2U < most ? slot->limit * 2U : most;
    size_t more = (limit - slot->limit) * hk_class_size(cls);
    slot->spilled = false;
    if (limit > slot->limit && __atomic_load_n(&hk_granted_bytes, __ATOMIC_RELAXED) + more <=
                                   hk_config.budget_mib * HK_MIB) {
        set_limit(thread, cls, limit);
        hk_on_cap_grown(cls);
    }
}

/* --- the slow paths --------------------------------------------------------------------------- */

void hk_thread_tick(struct hk_thread *thread) {
    if (thread->until_tick-- == 0) {
        thread->until_tick = TICK_INTERVAL;
        uint64_t now = hk_os_clock_ms();
        if (now - thread->looked_ms >= hk_config.decay_ms) {
            if (thread->looked_ms) {
                flush_idle(thread);
            }
            thread->looked_ms = now;
        }
        hk_cache_tick();
    }
}

void *hk_cache_refill(unsigned cls) {
    hk_on_early(HK_EARLY_CACHE_EMPTY);
    struct hk_thread *thread = hk_thread_this();
    if (HK_UNLIKELY(!thread)) {
        return hk_held_alloc_one(cls);
    }
    void *block = hk_held_take_spare(thread, cls);
    if (!block) {
        hk_thread_use(thread, cls);
        if (thread->slots[cls].spilled) {
            grow_limit(thread, cls);
        }
        hk_thread_tick(thread);
        block = hk_held_refill(thread, cls);
    }
    return block;
}

static void free_without_cache(unsigned cls, void *block) {
    hk_on_free_threadless(cls);
    __atomic_fetch_add(&other_frees, 1, __ATOMIC_RELAXED);
    hk_held_free_one(cls, block);
}

/* In the variant `secure`: the fast path may have refused the block for its content. Dies, or takes
 * it; false: there was no room. */
static bool add_suspect(unsigned cls, void *block) {
    hk_secure_look_at_freed(block, cls);
    bool room = hk_tls.room[cls] != UINT16_MAX;
    if (room) {
        hk_set_next(block, hk_tls.head[cls]);
        hk_tls.head[cls] = block;
    }
    return room;
}

void hk_cache_overflow(unsigned cls, void *block) {
    if (hk_secure_on && add_suspect(cls, block)) {
        return;
    }
    hk_on_early(HK_EARLY_NO_ROOM);
    hk_tls.room[cls] = 0; /* the borrow of the fast path */
    hk_slab_check(block, "free(): invalid pointer");
    struct hk_thread *thread = hk_thread_this();
    if (HK_UNLIKELY(!thread)) {
        free_without_cache(cls, block);
        return;
    }
    if (HK_UNLIKELY(hk_cache_last(cls) == block)) {
        hk_fatal("free(): double free of", block);
    }
    if (thread->slots[cls].limit == 0) {
        hk_thread_use(thread, cls);
        set_limit(thread, cls, hk_thread_first_limit(cls));
    }
    thread->frees++;
    hk_held_free(thread, cls, block);
    hk_on_free_tls_sll_overflow(cls);
}

void hk_cache_bypassed(unsigned code) {
    hk_tls.room[code] = 0;
    if (code == HK_CODE_NONE) {
        return;
    }
    struct hk_thread *thread = hk_tls.thread;
    if (hk_thread_is_alive(thread)) {
        thread->frees++;
        hk_thread_tick(thread);
    } else {
        __atomic_fetch_add(&other_frees, 1, __ATOMIC_RELAXED);
    }
}

/* --- giving memory back ----------------------------------------------------------------------- */

void hk_cache_tick(void) {
    if (HK_UNLIKELY(hk_limit_presses())) {
        (void)hk_cache_trim();
    }
    static uint64_t window_began_ms;
    uint64_t now = hk_os_clock_ms();
    uint64_t began = __atomic_load_n(&window_began_ms, __ATOMIC_RELAXED);
    if (now - began >= hk_config.decay_ms / 2 &&
        __atomic_compare_exchange_n(&window_began_ms, &began, now, false, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED) &&
        began != 0) { /* the first window begins with the first look */
        if (hk_learn_on) {
            hk_learn_tick();
        }
        hk_held_tick();
        hk_superslab_tick();
        hk_large_tick();
    }
}

bool hk_cache_trim(void) {
    hk_on_trimmed();
    bool any = hk_thread_is_alive(hk_tls.thread) && flush(hk_tls.thread);
    any |= hk_learn_on && hk_learn_trim();
    any |= hk_held_trim();
    any |= hk_superslab_trim();
    any |= hk_large_trim();
    return any;
}

/* --- looking ---------------------------------------------------------------------------------- */

static void count_thread(const struct hk_thread *thread, struct hk_cache_stats *stats) {
    stats->threads++;
    stats->frees += frees_of(thread);
    hk_stats_add(stats->counted, thread->tls->counted);
    stats->runs += thread->run_count;
    stats->run_bytes += thread->run_bytes;
    hk_on_seen_runs(-thread->run_count); /* SuperSlabs take them for live */
    HK_EACH_USED(thread, cls) {
        size_t blocks = hk_held_count(thread, cls);
        stats->listed_blocks += blocks;
        stats->listed_bytes += blocks * hk_class_size(cls);
        hk_on_seen_list(cls, blocks);
    }
}

struct hk_cache_stats hk_cache_stats(void) {
    struct hk_cache_stats stats = {0};
    hk_lock(&registry_lock, HK_LOCK_THREADS);
    hk_superslab_locks(hk_visit_lock);
    for (const struct hk_thread *thread = threads; thread; thread = thread->next) {
        count_thread(thread, &stats);
    }
    hk_superslab_locks(hk_visit_unlock);
    stats.frees += __atomic_load_n(&other_frees, __ATOMIC_RELAXED);
    hk_stats_add(stats.counted, hk_stats_totals);
    hk_unlock(&registry_lock);
    return stats;
}

/* --- fork ----------------------------------------------------------------------------------- */

void hk_thread_forget_others(void) {
    for (struct hk_thread **link = &threads; *link;) {
        struct hk_thread *thread = *link;
        if (thread == hk_tls.thread) {
            link = &thread->next;
            continue;
        }
        *link = thread->next;
        other_frees += thread->frees;
        hk_stats_fold(thread->tls->counted);
        hk_granted_bytes -= thread->limit_bytes;
        thread->next = unused;
        unused = thread;
    }
}

void hk_thread_locks(hk_lock_visitor *visit) {
    visit(&registry_lock, HK_LOCK_THREADS);
}
