/* One small size, 100 blocks at a time: the bare cost of a malloc and a free. The blocks are not
 * touched, so that nothing but the two calls is measured. */
#include "bench.h"

enum { BATCH = 100, ORDERS = 64, SURVIVORS = 10, GENERATIONS = 100 };
enum { LIFO, FIFO, RANDOM, INTERLEAVED, LONG_LIVED };

static const char *const patterns[] = {"lifo", "fifo", "random", "interleaved", "long-lived", NULL};
static uint64_t pattern = LIFO, size = 16;
static const struct bench_option options[] = {
    {"pattern", "the order of the frees", &pattern, 0, 0, patterns, 1},
    {"size", "bytes a block", &size, 1, 1 << 20, NULL, 0},
    BENCH_OPTIONS_END,
};

struct tiny {
    void *block[BATCH];
    void *old[GENERATIONS][SURVIVORS]; /* long-lived: blocks of the last rounds */
    uint8_t order[ORDERS][BATCH];      /* random: shuffles of 0 .. BATCH - 1 */
    unsigned turn;
};

static inline void *allocate(void) {
    void *block = malloc(size);
    if (!block) {
        bench_out_of_memory(size);
    }
    return block;
}

static void shuffle(struct bench_thread *self, uint8_t *order) {
    for (unsigned i = 0; i < BATCH; i++) {
        uint32_t bits = bench_random(self);
        const uint32_t other = bench_below(&bits, i + 1);
        order[i] = order[other];
        order[other] = (uint8_t)i;
    }
}

static void start(struct bench_thread *self) {
    struct tiny *my = self->state = bench_reserve(sizeof *my);
    for (unsigned i = 0; i < ORDERS; i++) {
        shuffle(self, my->order[i]);
    }
    for (unsigned i = 0; i < BATCH && pattern == INTERLEAVED; i++) {
        my->block[i] = allocate();
    }
    for (unsigned i = 0; i < GENERATIONS * SURVIVORS && pattern == LONG_LIVED; i++) {
        my->old[i / SURVIVORS][i % SURVIVORS] = allocate();
    }
}

static inline void fill(struct tiny *my) {
    for (unsigned i = 0; i < BATCH; i++) {
        my->block[i] = allocate();
    }
}

static inline void free_backwards(struct tiny *my) {
    for (unsigned i = BATCH; i-- > 0;) {
        free(my->block[i]);
    }
}

static void lifo(struct tiny *my) {
    fill(my);
    free_backwards(my);
}

static void fifo(struct tiny *my) {
    fill(my);
    for (unsigned i = 0; i < BATCH; i++) {
        free(my->block[i]);
    }
}

static void random_order(struct tiny *my) {
    const uint8_t *order = my->order[my->turn++ % ORDERS];
    fill(my);
    for (unsigned i = 0; i < BATCH; i++) {
        free(my->block[order[i]]);
    }
}

/* Each free follows an allocation; 100 blocks live, the oldest goes. */
static void interleaved(struct tiny *my) {
    for (unsigned i = 0; i < BATCH; i++) {
        void *block = allocate();
        free(my->block[i]);
        my->block[i] = block;
    }
}

/* Every tenth block outlives its round by 100 rounds. */
static void long_lived(struct tiny *my) {
    void **old = my->old[my->turn++ % GENERATIONS];
    fill(my);
    for (unsigned i = 0; i < SURVIVORS; i++) {
        void **const place = &my->block[(size_t)i * (BATCH / SURVIVORS)];
        void *const survivor = *place;
        *place = old[i];
        old[i] = survivor;
    }
    free_backwards(my);
}

static void work(struct bench_thread *self, uint64_t iters) {
    static void (*const rounds[])(struct tiny *) = {lifo, fifo, random_order, interleaved,
                                                    long_lived};
    void (*const one_round)(struct tiny *) = rounds[pattern];
    for (uint64_t i = 0; i < iters; i++) {
        one_round(self->state);
        self->allocs += BATCH;
        self->frees += BATCH;
        self->bytes += BATCH * size;
    }
}

const struct bench benchmark = {
    .name = "bench_tiny",
    .summary = "100 allocations of one small size, then 100 frees, in one of five orders.",
    .iteration = "rounds of 100 allocations and 100 frees",
    .options = options,
    .default_iters = 500000,
    .default_threads = 1,
    .min_threads = 1,
    .start = start,
    .work = work,
};
