/* Each step picks one of WS slots: frees its block if there is one, else allocates one of a random
 * size and touches its first byte. */
#include "bench.h"

#include <inttypes.h>

static uint64_t slots = 400, seed = 1, smallest = 16, largest = 1040;
static const struct bench_option options[] = {
    BENCH_BARE_ITERS,
    {"ws", "slots of the working set", &slots, 1, 1 << 28, NULL, 1},
    {"seed", "of the random numbers", &seed, 0, UINT64_MAX, NULL, 1},
    {"min", "smallest block in bytes", &smallest, 1, 1 << 26, NULL, 0},
    {"max", "largest block in bytes", &largest, 1, 1 << 26, NULL, 0},
    BENCH_OPTIONS_END,
};

static void prepare(unsigned threads) {
    (void)threads;
    if (smallest > largest) {
        bench_refuse("--min %" PRIu64 " is more than --max %" PRIu64, smallest, largest);
    }
}

static void start(struct bench_thread *self) {
    self->random = (seed + self->index) * 0x9e3779b97f4a7c15U;
    self->state = bench_reserve(slots * sizeof(void *));
}

static void work(struct bench_thread *self, uint64_t iters) {
    struct bench_thread my = *self; /* a copy nobody else sees can live in registers */
    char **const slot = my.state;
    const uint32_t count = (uint32_t)slots, span = (uint32_t)(largest - smallest + 1);
    for (; iters; iters--) {
        uint32_t bits = bench_random(&my);
        char **const picked = &slot[bench_below(&bits, count)];
        if (*picked) {
            free(*picked);
            *picked = NULL;
            my.frees++;
            continue;
        }
        const size_t bytes = smallest + bench_below(&bits, span);
        char *block = malloc(bytes);
        if (!block) {
            bench_out_of_memory(bytes);
        }
        *block = (char)bytes;
        *picked = block;
        my.allocs++;
        my.bytes += bytes;
    }
    *self = my;
}

const struct bench benchmark = {
    .name = "bench_random_mixed",
    .summary = "Random steps over a working set: free the slot's block, or allocate one.",
    .iteration = "steps, each one allocation or one free",
    .options = options,
    .default_iters = 40000000,
    .default_threads = 1,
    .min_threads = 1,
    .prepare = prepare,
    .start = start,
    .work = work,
};
