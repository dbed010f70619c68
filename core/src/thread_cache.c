#include "thread_cache.h"

#include "class_map.h"
#include "config.h"
#include "events.h"
#include "large.h"
#include "lock.h"
#include "meta.h"
#include "os.h"
#include "slab.h"
#include "superslab.h"

#include <pthread.h>
#include <string.h>

enum {
    MIN_LIMIT = 4,       /* frees of a class, however large, between two looks at the list */
    COARSE_FACTOR = 8,   /* lists of blocks above 1 KiB may grow this much longer, in bytes */
    MAX_LIMIT = 65535,   /* what `room` can hold */
    TICK_INTERVAL = 32,  /* slow paths between two looks at the clock */
    RUNS_KEPT = 2 << 20, /* bytes of freed runs that a thread keeps: about what its cache holds */
    LONGEST_WALK = 1 << 17, /* blocks: longer than any list can be */
};

/* What a thread knows of a class beyond its list. */
struct slot {
    void *spare;        /* the list that filled up before this one */
    uint16_t limit;     /* frees between two looks; 0: class not used yet */
    uint16_t granted;   /* the `room` that was last given */
    uint16_t seen_room; /* when idle lists were last looked for */
    bool spilled;       /* a list went to central since the limit last grew */
};

struct hk_thread {
    struct hk_tls *tls;
    struct hk_thread *next; /* of the registered threads, or of the records to use again */
    uint64_t frees;         /* granted room that was used up, and frees that bypass the lists */
    unsigned until_tick;
    uint64_t looked_ms; /* when idle lists were last looked for */
    size_t limit_bytes; /* of all slots, as counted in `granted_bytes` */
    size_t run_bytes;   /* in `runs`, and how many blocks that is */
    size_t run_count;
    void *runs[HK_RUN_MAX_UNITS + 1]; /* freed runs, by their units */
    struct slot slots[HK_CLASSES];
};

_Thread_local struct hk_tls hk_tls;

/* In place of a record: the thread is being set up, or its record is gone. */
static struct hk_thread booting;
static struct hk_thread dead;

static struct hk_lock registry_lock;
static struct hk_thread *threads;
static struct hk_thread *unused;
static pthread_key_t exit_key;
static bool exit_key_made;
static uint64_t other_frees; /* of threads that ended, and of those without a record */
static size_t granted_bytes; /* limits of all threads, against HAKMEM_CACHE_BUDGET_MIB */

/* --- threads come and go ---------------------------------------------------------------------- */

static bool is_alive(const struct hk_thread *thread) {
    return thread && thread != &booting && thread != &dead;
}

/* Frees that the room of a class has counted since it was granted. */
static uint64_t used_room(const struct hk_thread *thread, unsigned cls) {
    return (uint16_t)(thread->slots[cls].granted - thread->tls->room[cls]);
}

static uint64_t frees_of(const struct hk_thread *thread) {
    uint64_t frees = thread->frees;
    for (unsigned cls = 1; cls < HK_CLASSES; cls++) {
        frees += used_room(thread, cls);
    }
    return frees;
}

static void give_runs(struct hk_thread *thread) {
    for (unsigned units = 1; units <= HK_RUN_MAX_UNITS; units++) {
        for (void *block = thread->runs[units]; block;) {
            struct hk_slab *run = hk_slab_of(block);
            block = hk_next(block);
            hk_units_give(run);
        }
        thread->runs[units] = NULL;
    }
    thread->run_bytes = 0;
    thread->run_count = 0;
}

/* Hands over both lists of a class. True if there was one. */
static bool flush_class(struct hk_thread *thread, unsigned cls) {
    void *lists[] = {thread->tls->head[cls], thread->slots[cls].spare};
    thread->tls->head[cls] = NULL;
    thread->slots[cls].spare = NULL;
    for (unsigned i = 0; i < 2; i++) {
        if (lists[i]) {
            (void)hk_slab_put(cls, lists[i], thread->slots[cls].limit);
        }
    }
    return lists[0] || lists[1];
}

static bool flush(struct hk_thread *thread) {
    bool any = thread->run_count > 0;
    give_runs(thread);
    for (unsigned cls = 1; cls < HK_CLASSES; cls++) {
        any |= flush_class(thread, cls);
    }
    return any;
}

/* Hands over the lists that saw no free since the last time. */
static void flush_idle(struct hk_thread *thread) {
    for (unsigned cls = 1; cls < HK_CLASSES; cls++) {
        struct slot *slot = &thread->slots[cls];
        uint16_t room = thread->tls->room[cls];
        if (room == slot->seen_room) {
            (void)flush_class(thread, cls);
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
    __atomic_fetch_add(&other_frees, frees_of(thread), __ATOMIC_RELAXED);
    __atomic_fetch_sub(&granted_bytes, thread->limit_bytes, __ATOMIC_RELAXED);
    thread->next = unused;
    unused = thread;
    hk_unlock(&registry_lock);
}

/* Destructor of the thread's key. What other destructors allocate and free afterwards goes block by
 * block through central. */
static void end_thread(void *record) {
    struct hk_thread *thread = record;
    (void)flush(thread);
    hk_on_thread_exiting(&hk_tls.own);
    hk_stats_fold(hk_tls.counted);
    hk_tls.thread = &dead;
    unregister(thread);
    memset(hk_tls.room, 0, sizeof hk_tls.room);
}

/* A record of zeroes, registered. */
static struct hk_thread *new_record(void) {
    hk_lock(&registry_lock, HK_LOCK_THREADS);
    struct hk_thread *thread = unused;
    if (thread) {
        unused = thread->next;
        memset(thread, 0, sizeof *thread);
    } else {
        thread = hk_meta_alloc(sizeof *thread);
    }
    if (thread) {
        thread->tls = &hk_tls;
        thread->next = threads;
        threads = thread;
    }
    if (!exit_key_made) {
        exit_key_made = pthread_key_create(&exit_key, end_thread) == 0;
    }
    hk_unlock(&registry_lock);
    return thread;
}

/* The calling thread's record; NULL if it can have none (now, or any more). */
static struct hk_thread *this_thread(void) {
    struct hk_thread *thread = hk_tls.thread;
    if (HK_LIKELY(is_alive(thread))) {
        return thread;
    }
    if (thread) {
        hk_on_early(thread == &dead ? HK_EARLY_DEAD_THREAD : HK_EARLY_BOOTING);
        return NULL;
    }
    hk_on_early(HK_EARLY_NO_THREAD);
    hk_tls.thread = &booting;
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

/* --- limits ----------------------------------------------------------------------------------- */

static unsigned limit_for(unsigned cls, size_t bytes) {
    size_t blocks = bytes / hk_class_size(cls);
    blocks = blocks < MIN_LIMIT ? MIN_LIMIT : blocks;
    return blocks > MAX_LIMIT ? MAX_LIMIT : (unsigned)blocks;
}

static void set_limit(struct hk_thread *thread, unsigned cls, unsigned limit) {
    struct slot *slot = &thread->slots[cls];
    size_t more = ((size_t)limit - slot->limit) * hk_class_size(cls); /* or less: it wraps */
    slot->limit = (uint16_t)limit;
    thread->limit_bytes += more;
    __atomic_fetch_add(&granted_bytes, more, __ATOMIC_RELAXED);
}

/* A list that spilled and then ran dry was too short: it may grow, while the budget allows. One
 * that only spills belongs to a thread that frees for others, who want short batches, still in
 * cache. */
static void grow_limit(struct hk_thread *thread, unsigned cls) {
    struct slot *slot = &thread->slots[cls];
    size_t factor = cls > HK_FINE_CLASSES ? COARSE_FACTOR : 1;
    unsigned most = limit_for(cls, hk_config.cache_max_kib * HK_KIB * factor);
    unsigned limit = slot->limit * 2U < most ? slot->limit * 2U : most;
    size_t more = (limit - slot->limit) * hk_class_size(cls);
    slot->spilled = false;
    if (limit > slot->limit &&
        __atomic_load_n(&granted_bytes, __ATOMIC_RELAXED) + more <= hk_config.budget_mib * HK_MIB) {
        set_limit(thread, cls, limit);
        hk_on_cap_grown(cls);
    }
}

/* --- the slow paths --------------------------------------------------------------------------- */

static void tick_of(struct hk_thread *thread) {
    if (thread->until_tick-- == 0) {
        thread->until_tick = TICK_INTERVAL;
        uint64_t now = hk_os_clock_ms();
        if (now - thread->looked_ms >= hk_config.decay_ms) {
            thread->looked_ms = now;
            flush_idle(thread);
        }
        hk_cache_tick();
    }
}

static void *take_spare(struct slot *slot, unsigned cls) {
    hk_on_refill_try(HK_STAGE_SPARE, cls);
    void *list = slot->spare;
    slot->spare = NULL;
    if (list) {
        hk_on_refill_got(HK_STAGE_SPARE, cls, list);
    }
    return list;
}

void *hk_cache_refill(unsigned cls) {
    hk_on_early(HK_EARLY_CACHE_EMPTY);
    struct hk_thread *thread = this_thread();
    if (HK_UNLIKELY(!thread)) {
        return hk_slab_alloc_one(cls);
    }
    struct slot *slot = &thread->slots[cls];
    void *list = take_spare(slot, cls);
    if (!list) {
        if (slot->spilled) {
            grow_limit(thread, cls);
        }
        tick_of(thread);
        list = hk_slab_refill(cls, MAX_LIMIT);
    }
    if (list) {
        hk_tls.head[cls] = hk_next(list);
    }
    return list;
}

static void free_without_cache(unsigned cls, void *block) {
    hk_tls.room[cls] = 0;
    hk_on_free_threadless(cls);
    __atomic_fetch_add(&other_frees, 1, __ATOMIC_RELAXED);
    hk_set_next(block, NULL);
    (void)hk_slab_put(cls, block, 1);
}

/* Hands a list over; the limit follows what becomes of it. */
static void spill(struct hk_thread *thread, unsigned cls, void *list) {
    struct slot *slot = &thread->slots[cls];
    slot->spilled = true;
    if (!hk_slab_put(cls, list, slot->limit)) {
        (void)flush_class(thread, cls);
        set_limit(thread, cls, slot->limit > 2 * MIN_LIMIT ? slot->limit / 2 : MIN_LIMIT);
    }
}

void hk_cache_overflow(unsigned cls, void *block) {
    hk_on_early(HK_EARLY_NO_ROOM);
    hk_tls.room[cls] = 0; /* the borrow of the fast path */
    hk_slab_check(block, "free(): invalid pointer");
    struct hk_thread *thread = this_thread();
    if (HK_UNLIKELY(!thread)) {
        free_without_cache(cls, block);
        return;
    }
    struct slot *slot = &thread->slots[cls];
    void *list = hk_tls.head[cls];
    if (HK_UNLIKELY(list == block)) {
        hk_fatal("free(): double free of", block);
    }
    if (slot->limit == 0) {
        set_limit(thread, cls, limit_for(cls, hk_config.cache_kib * HK_KIB));
    } else if (list) {
        hk_on_overflow(cls);
        hk_tls.head[cls] = NULL;
        void *old = slot->spare;
        slot->spare = list;
        if (old) {
            spill(thread, cls, old);
            tick_of(thread); /* may hand over any list of the thread */
        }
    }
    thread->frees += slot->granted;
    slot->granted = slot->limit;
    hk_tls.room[cls] = (uint16_t)(slot->limit - 1);
    hk_set_next(block, hk_tls.head[cls]);
    hk_tls.head[cls] = block;
    hk_on_free_tls_sll_overflow(cls);
}

/* --- runs ------------------------------------------------------------------------------------- */

void *hk_cache_take_run(unsigned units) {
    struct hk_thread *thread = this_thread();
    if (!thread) {
        return NULL;
    }
    tick_of(thread);
    void *block = thread->runs[units];
    if (block) {
        thread->runs[units] = hk_next(block);
        thread->run_bytes -= (size_t)units << HK_UNIT_SHIFT;
        thread->run_count--;
        hk_class_map_change(block, HK_CODE_RUN);
    }
    return block;
}

bool hk_cache_keep_run(unsigned units, void *block) {
    struct hk_thread *thread = this_thread();
    size_t bytes = (size_t)units << HK_UNIT_SHIFT;
    if (!thread || thread->run_bytes + bytes > RUNS_KEPT) {
        return false;
    }
    hk_class_map_change(block, HK_CODE_NONE); /* so that a second free of it is noticed */
    hk_set_next(block, thread->runs[units]);
    thread->runs[units] = block;
    thread->run_bytes += bytes;
    thread->run_count++;
    return true;
}

void hk_cache_bypassed(unsigned code) {
    hk_tls.room[code] = 0;
    if (code == HK_CODE_NONE) {
        return;
    }
    struct hk_thread *thread = hk_tls.thread;
    if (is_alive(thread)) {
        thread->frees++;
        tick_of(thread);
    } else {
        __atomic_fetch_add(&other_frees, 1, __ATOMIC_RELAXED);
    }
}

/* --- giving memory back ----------------------------------------------------------------------- */

void hk_cache_tick(void) {
    static uint64_t window_began_ms;
    uint64_t now = hk_os_clock_ms();
    uint64_t began = __atomic_load_n(&window_began_ms, __ATOMIC_RELAXED);
    if (now - began >= hk_config.decay_ms / 2 &&
        __atomic_compare_exchange_n(&window_began_ms, &began, now, false, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED)) {
        hk_slab_tick();
        hk_superslab_tick();
        hk_large_tick();
    }
}

bool hk_cache_trim(void) {
    hk_on_trimmed();
    bool any = is_alive(hk_tls.thread) && flush(hk_tls.thread);
    any |= hk_slab_trim();
    any |= hk_superslab_trim();
    any |= hk_large_trim();
    return any;
}

/* --- looking ---------------------------------------------------------------------------------- */

/* Counts the blocks of a list that another thread may be using: what is read is checked before it
 * is followed. With the SuperSlabs locked, so that a block's memory stays mapped. */
static size_t walk(const void *list, unsigned cls) {
    size_t length = 0;
    while (list && length < LONGEST_WALK && hk_code_of(list) == cls &&
           ((uintptr_t)list & (HK_ALIGNMENT - 1)) == 0) {
        length++;
        list = __atomic_load_n((void *const *)list, __ATOMIC_RELAXED);
    }
    return length;
}

static void count_thread(const struct hk_thread *thread, struct hk_cache_stats *stats) {
    stats->threads++;
    stats->frees += frees_of(thread);
    hk_stats_add(stats->counted, thread->tls->counted);
    stats->runs += thread->run_count;
    stats->run_bytes += thread->run_bytes;
    hk_on_seen_runs(-thread->run_count); /* SuperSlabs take them for live */
    for (unsigned cls = 1; cls < HK_CLASSES; cls++) {
        size_t blocks = walk(__atomic_load_n(&thread->tls->head[cls], __ATOMIC_RELAXED), cls) +
                        walk(__atomic_load_n(&thread->slots[cls].spare, __ATOMIC_RELAXED), cls);
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

/* --- fork ------------------------------------------------------------------------------------- */

/* fork takes every lock first, so that the child finds whole data. Not so when a signal handler
 * forks that interrupted hakmem while it held a lock: to wait for the others then could be to wait
 * for a thread that waits for this one. That child gets locks that work (the interrupted code
 * finishes its section there, too), and may find what another thread was changing half done; POSIX
 * lets it call no more than exec and _exit anyway. */
static _Thread_local bool forking_inside __attribute__((tls_model("initial-exec")));

static void visit_locks(hk_lock_visitor *visit) {
    visit(&registry_lock, HK_LOCK_THREADS);
    hk_slab_locks(visit);
    hk_superslab_locks(visit);
    hk_large_locks(visit);
    if (hk_registry_on) {
        hk_registry_locks(visit);
    }
    hk_meta_locks(visit);
}

static void note_if_mine(struct hk_lock *lock, enum hk_lock_kind kind) {
    (void)kind;
    forking_inside |= hk_lock_is_mine(lock);
}

/* In the child: the owner does not exist any more. */
static void free_unless_mine(struct hk_lock *lock, enum hk_lock_kind kind) {
    (void)kind;
    if (!hk_lock_is_mine(lock)) {
        lock->word = 0;
    }
}

static void before_fork(void) {
    forking_inside = false;
    visit_locks(note_if_mine);
    if (!forking_inside) {
        visit_locks(hk_visit_lock);
        hk_on_fork_begins();
    }
}

static void after_fork(void) {
    if (!forking_inside) {
        hk_on_fork_done();
        visit_locks(hk_visit_unlock);
    }
}

/* The other threads are gone. Their lists are lost: the kernel copied their memory page by page
 * while they ran, so that a list's head and its links may be of different moments. */
static void forget_other_threads(void) {
    for (struct hk_thread **link = &threads; *link;) {
        struct hk_thread *thread = *link;
        if (thread == hk_tls.thread) {
            link = &thread->next;
            continue;
        }
        *link = thread->next;
        other_frees += thread->frees;
        hk_stats_fold(thread->tls->counted);
        granted_bytes -= thread->limit_bytes;
        thread->next = unused;
        unused = thread;
    }
}

static void after_fork_in_child(void) {
    if (forking_inside) {
        visit_locks(free_unless_mine);
        return;
    }
    forget_other_threads();
    hk_on_forked(&hk_tls.own);
    visit_locks(hk_visit_unlock);
}

void hk_cache_start(void) {
    (void)pthread_atfork(before_fork, after_fork, after_fork_in_child);
}
