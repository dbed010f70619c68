/* What every benchmark shares: options, threads, the region of interest, the report.
 *
 * A benchmark is one file that defines `benchmark` (its name, options and work) and nothing else;
 * `main` is in bench.c. The protocol it speaks is contract 1 of docs/architecture.md.
 *
 * The allocation functions are called as ordinary functions (-fno-builtin-*), so that no compiler
 * removes a malloc whose block is only freed. With -DBENCH_NULL they are the null allocator of
 * bench_null.c: the same work without an allocator, which is the cost of the harness.
 */
#ifndef BENCH_H
#define BENCH_H

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

enum { BENCH_CACHE_LINE = 128, BENCH_MAX_THREADS = 256 };

struct line;

/* One worker. The work counts what it does; the harness adds it up. */
struct bench_thread {
    _Alignas(BENCH_CACHE_LINE) unsigned index; /* 0 .. threads - 1 */
    uint64_t random;                           /* state of bench_random */
    uint64_t allocs, frees, reallocs, bytes;   /* calls made, bytes asked for */
    uint64_t turns;                            /* operations that call no allocator */
    void *state;                               /* the benchmark's own */
    void *(*body)(void *self);                 /* what bench_spawn runs */
};

/* A number, or one word of `choices` (its position); `--NAME VALUE` or a bare VALUE. */
struct bench_option {
    const char *name;
    const char *meaning;
    uint64_t *value;
    uint64_t min, max;
    const char *const *choices; /* ends with NULL; NULL for a number */
    int positional;             /* bare arguments fill these in the order of the table */
};

/* In the table of options: a bare argument in this place is --iters. */
#define BENCH_BARE_ITERS                                                                           \
    { "iters", NULL, NULL, 0, 0, NULL, 1 }
#define BENCH_OPTIONS_END                                                                          \
    { NULL, NULL, NULL, 0, 0, NULL, 0 }

struct bench {
    const char *name;
    const char *summary;
    const char *iteration;              /* what --iters counts */
    const struct bench_option *options; /* ends with a NULL name */
    int iters_first;                    /* the first bare argument is --iters */
    uint64_t default_iters;
    unsigned default_threads, min_threads;
    /* All optional but `work`. A worker runs `start`, then `work` twice: warm-up and region. */
    void (*prepare)(unsigned threads);
    void (*start)(struct bench_thread *self);
    void (*work)(struct bench_thread *self, uint64_t iters);
    void (*report)(struct line *line); /* adds `,"key":value` to the report */
};

extern const struct bench benchmark;

/* Zeroed memory of the harness itself: mapped, touched, never from the allocator. */
void *bench_reserve(size_t bytes);

/* Starts a thread that runs `body(self)`; for benchmarks whose threads come and go. */
void bench_spawn(pthread_t *handle, struct bench_thread *self, void *(*body)(void *self));

/* End the program: exit 2 for bad input or a machine that refuses, 3 when memory ran out. */
void bench_refuse(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn, cold));
void bench_out_of_memory(size_t bytes) __attribute__((noreturn, cold));

#ifdef BENCH_NULL
#define malloc        bench_null_malloc
#define calloc        bench_null_calloc
#define realloc       bench_null_realloc
#define aligned_alloc bench_null_aligned_alloc
#define free          bench_null_free
void *bench_null_malloc(size_t bytes);
void *bench_null_calloc(size_t count, size_t bytes);
void *bench_null_realloc(void *block, size_t bytes);
void *bench_null_aligned_alloc(size_t alignment, size_t bytes);
void bench_null_free(void *block);
void bench_null_prepare(unsigned threads);
void bench_null_enter(unsigned thread);
#else
static inline void bench_null_prepare(unsigned threads) {
    (void)threads;
}
static inline void bench_null_enter(unsigned thread) {
    (void)thread;
}
#endif

/* 32 random bits: the upper half of a linear congruential generator of full period, whose
 * multiplier fits into an instruction (it is 5 modulo 8, the addend is odd). */
static inline uint32_t bench_random(struct bench_thread *self) {
    self->random = self->random * 1566083941 + 1442695041;
    return (uint32_t)(self->random >> 32);
}

/* Splits random bits: a number below `limit`; what is left of the bits goes back to `*bits`. */
static inline uint32_t bench_below(uint32_t *bits, uint32_t limit) {
    const uint64_t product = (uint64_t)*bits * limit;
    *bits = (uint32_t)product;
    return (uint32_t)(product >> 32);
}

/* No-ops with an immediate that no compiler emits; the qemu plugin looks for them. */
#if defined(__x86_64__)
#define BENCH_MARK_BEGIN() __asm__ volatile("nopl 0x48414b42(%%rax)" ::: "memory")
#define BENCH_MARK_END()   __asm__ volatile("nopl 0x48414b45(%%rax)" ::: "memory")
#elif defined(__aarch64__)
#define BENCH_MARK_BEGIN() __asm__ volatile("movz xzr, #0x4b42, lsl #48" ::: "memory")
#define BENCH_MARK_END()   __asm__ volatile("movz xzr, #0x4b45, lsl #48" ::: "memory")
#else
#define BENCH_MARK_BEGIN() __asm__ volatile("" ::: "memory")
#define BENCH_MARK_END()   __asm__ volatile("" ::: "memory")
#endif

#endif
