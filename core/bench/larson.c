/* A server's heap, after the benchmark of Larson and Krishnan: each thread replaces random blocks
 * of its array; after one array's worth of replacements it lays the array down and takes up the
 * one that another thread laid down last. So most blocks are freed by a thread that did not
 * allocate them. The number of replacements is fixed, not the time. */
#include "bench.h"

#include <inttypes.h>
#include <stdatomic.h>

static uint64_t smallest = 8, largest = 1024, chunks = 10000, seed = 12345;
static const struct bench_option options[] = {
    {"min", "smallest block in bytes", &smallest, 1, 1 << 26, NULL, 0},
    {"max", "largest block in bytes", &largest, 1, 1 << 26, NULL, 0},
    {"chunks", "blocks a thread", &chunks, 1, 1 << 26, NULL, 0},
    {"seed", "of the random numbers", &seed, 0, UINT64_MAX, NULL, 0},
    BENCH_OPTIONS_END,
};

/* The array that lies between the hands: one more than there are threads. */
static _Alignas(BENCH_CACHE_LINE) char **_Atomic spare;

static inline char *allocate(struct bench_thread *self, uint32_t bits) {
    const size_t bytes = smallest + bench_below(&bits, (uint32_t)(largest - smallest + 1));
    char *block = malloc(bytes);
    if (!block) {
        bench_out_of_memory(bytes);
    }
    *block = (char)bytes;
    self->allocs++;
    self->bytes += bytes;
    return block;
}

static char **new_array(struct bench_thread *self) {
    char **array = bench_reserve(chunks * sizeof *array);
    for (uint64_t i = 0; i < chunks; i++) {
        array[i] = allocate(self, bench_random(self));
    }
    return array;
}

static void prepare(unsigned threads) {
    (void)threads;
    if (smallest > largest) {
        bench_refuse("--min %" PRIu64 " is more than --max %" PRIu64, smallest, largest);
    }
}

static void start(struct bench_thread *self) {
    self->random = (seed + self->index) * 0x9e3779b97f4a7c15U;
    self->state = new_array(self);
    if (self->index == 0) {
        spare = new_array(self);
    }
}

static void work(struct bench_thread *self, uint64_t iters) {
    struct bench_thread my = *self;
    char **array = my.state;
    uint64_t left = chunks;
    for (; iters; iters--) {
        uint32_t bits = bench_random(&my);
        char **const picked = &array[bench_below(&bits, (uint32_t)chunks)];
        free(*picked);
        my.frees++;
        *picked = allocate(&my, bits);
        if (--left == 0) {
            array = atomic_exchange(&spare, array);
            left = chunks;
        }
    }
    my.state = array;
    *self = my;
}

const struct bench benchmark = {
    .name = "larson",
    .summary = "Threads replace random blocks of an array and hand the array on.",
    .iteration = "replacements, each one free and one allocation",
    .options = options,
    .default_iters = 4000000,
    .default_threads = 4,
    .min_threads = 1,
    .prepare = prepare,
    .start = start,
    .work = work,
};
