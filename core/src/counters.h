/* Debug counters: each thread counts in a block of its own, which lies in a mapping that can be
 * a file, so that it can be read while the process runs and after it was killed.
 *
 * Only events.h counts, and only in a library that was compiled with counters. Nothing here calls
 * malloc, all of it may be called before libc is initialised and in a signal handler, and errno
 * is left alone. The format of the file is described in docs/counters.md. */
#ifndef HK_COUNTERS_H
#define HK_COUNTERS_H

#include "counters_layout.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum hk_block_state { HK_BLOCK_FREE, HK_BLOCK_LIVE };

/* One thread's counts. Written by that thread alone, with plain stores that a reader sees whole. */
struct hk_block {
    uint32_t state;
    uint32_t tid;
    uint64_t started_ns;  /* CLOCK_REALTIME */
    char name[16];        /* of the thread when it first allocated */
    uint64_t stage_since; /* hk_cycles when it entered `stage`, 0: in none */
    uint64_t stage;
    struct hk_counts counts;
};

/* The calling thread's block; NULL before its first event. Its fast paths run only after that. */
extern __thread struct hk_block *hk_own_block __attribute__((tls_model("initial-exec")));

/* Block for events of threads that have none: those that ended, and those beyond the limit.
 * Several threads write it, so hk_count adds atomically. */
extern struct hk_block *hk_shared_block;

/* Gives the calling thread a block, or the shared one if there are no more. */
struct hk_block *hk_counters_join(void);

/* Adds the thread's counts to those of the threads that ended. Later events go to the shared block.
 */
void hk_counters_leave(void);

/* Called once when the environment is there: opens the file that HAKMEM_COUNTERS asks for. The JSON
 * document is written, and the live file removed, by a destructor. */
void hk_counters_start(void);

/* Around fork(2), called with no other lock of the allocator still to be taken. The child starts
 * a file of its own, which holds what its parent had counted as a base. */
void hk_counters_fork_prepare(void);
void hk_counters_fork_parent(void);
void hk_counters_fork_child(void);

/* Writes one JSON document to `path`, whole or not at all; NULL: where HAKMEM_COUNTERS says, with
 * a number appended. Returns 0, or an errno value. May be called in a signal handler. */
int hk_counters_dump(const char *path);

/* The process's gauges. They go up and down from any thread. */
struct hk_gauges *hk_counters_gauges(void);

static inline struct hk_block *hk_counting_block(void) {
    struct hk_block *block = hk_own_block;
    return __builtin_expect(block != NULL, 1) ? block : hk_counters_join();
}

static inline void hk_add_to(struct hk_block *block, uint64_t *word, uint64_t n) {
    if (__builtin_expect(block == hk_shared_block, 0)) {
        __atomic_fetch_add(word, n, __ATOMIC_RELAXED);
    } else {
        *word += n;
    }
}

/* hk_count(refill_block[stage][class], n): for slow paths, works on every thread at any time. */
#define hk_count(counter, n)                                                                       \
    do {                                                                                           \
        struct hk_block *block_ = hk_counting_block();                                             \
        hk_add_to(block_, &block_->counts.counter, (n));                                           \
    } while (0)

/* hk_count_fast(own, cache_hit, cls, n): in the thread's own block, by its own thread, in one
 * instruction (compilers first add block and class up where there are two of these). */
#if defined(__x86_64__)
#define hk_count_fast(own, counter, cls, n)                                                        \
    __asm__ volatile("addq %2, %c3(%0,%1,8)"                                                       \
                     :                                                                             \
                     : "r"(own), "r"((size_t)(cls)), "er"((uint64_t)(n)),                          \
                       "i"(offsetof(struct hk_block, counts.counter))                              \
                     : "memory", "cc")
#else
#define hk_count_fast(own, counter, cls, n) ((own)->counts.counter[cls] += (n))
#endif

/* Set while the process takes a look at its heap. */
extern bool hk_looking;

/* hk_seen(cached_block[cls], n): adds to a gauge of the look that is being taken. */
#define hk_seen(gauge, n)                                                                          \
    do {                                                                                           \
        if (hk_looking) {                                                                          \
            hk_counters_gauges()->gauge += (n);                                                    \
        }                                                                                          \
    } while (0)

/* hk_gauge(superslab_live, +1): `name` and its peak. */
#define hk_gauge(name, change)                                                                     \
    hk_gauge_move(&hk_counters_gauges()->name, &hk_counters_gauges()->name##_peak,                 \
                  (uint64_t)(int64_t)(change))

static inline void hk_gauge_move(uint64_t *gauge, uint64_t *peak, uint64_t change) {
    uint64_t now = __atomic_add_fetch(gauge, change, __ATOMIC_RELAXED);
    uint64_t highest = __atomic_load_n(peak, __ATOMIC_RELAXED);
    while ((int64_t)now > (int64_t)highest &&
           !__atomic_compare_exchange_n(peak, &highest, now, true, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED)) {
    }
}

/* Time in the stages of a refill, in a library built with -DHAKMEM_DEBUG_TIMING=1. */
#ifndef HAKMEM_DEBUG_TIMING
#define HAKMEM_DEBUG_TIMING 0
#endif

enum { hk_timing_on = HAKMEM_DEBUG_TIMING };

static inline uint64_t hk_cycles(void) {
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    return 0;
#endif
}

/* A refill asks one stage after the other: entering one leaves the one before. Threads without a
 * block of their own are not timed. */
static inline bool hk_stage_timed(void) {
    return hk_timing_on && hk_counting_block() != hk_shared_block;
}

static inline void hk_stage_leave(void) {
    if (hk_stage_timed() && hk_own_block->stage_since != 0) {
        struct hk_block *block = hk_own_block;
        block->counts.stage_cycle[block->stage] += hk_cycles() - block->stage_since;
        block->stage_since = 0;
    }
}

static inline void hk_stage_enter(enum hk_stage stage) {
    if (hk_stage_timed()) {
        hk_stage_leave();
        hk_own_block->stage = stage;
        hk_own_block->stage_since = hk_cycles();
    }
}

/* No stage had anything: the time since the last one is nobody's. */
static inline void hk_stage_abandon(void) {
    if (hk_stage_timed()) {
        hk_own_block->stage_since = 0;
    }
}

#endif
