/* Blocks that one thread allocates and another frees. They travel in batches through channels of
 * one writer and one reader, so that waiting costs little beside the calls that are measured. */
#include "bench.h"

#include <semaphore.h>

enum { BATCH = 100, DEPTH = 4, MAX_THREADS = 64 };
enum { PAIRS, ALL_TO_ALL };

static const char *const shapes[] = {"pairs", "all-to-all", NULL};
static uint64_t shape = PAIRS, smallest = 16, largest = 512;
static const struct bench_option options[] = {
    {"shape", "who sends to whom", &shape, 0, 0, shapes, 1},
    {"min", "smallest block in bytes", &smallest, 1, 1 << 20, NULL, 0},
    {"max", "largest block in bytes", &largest, 1, 1 << 20, NULL, 0},
    BENCH_OPTIONS_END,
};

struct channel {
    _Alignas(BENCH_CACHE_LINE) sem_t free_places;
    unsigned sent;
    _Alignas(BENCH_CACHE_LINE) sem_t batches;
    unsigned received;
    _Alignas(BENCH_CACHE_LINE) void *block[DEPTH][BATCH];
};

static struct channel *channels; /* [from][to] */
static unsigned thread_count;

static struct channel *channel(unsigned from, unsigned to) {
    return &channels[(size_t)from * thread_count + to];
}

static void prepare(unsigned threads) {
    if (threads > MAX_THREADS) {
        bench_refuse("threads: %u are more than %d", threads, MAX_THREADS);
    }
    if (shape == PAIRS && threads % 2) {
        bench_refuse("threads: %u threads do not make pairs", threads);
    }
    if (smallest > largest) {
        bench_refuse("min is more than max");
    }
    thread_count = threads;
    channels = bench_reserve(sizeof *channels * threads * threads);
    for (unsigned i = 0; i < threads * threads; i++) {
        sem_init(&channels[i].free_places, 0, DEPTH);
        sem_init(&channels[i].batches, 0, 0);
    }
}

static void wait_for(sem_t *semaphore) {
    while (sem_wait(semaphore) != 0) { /* interrupted by a signal */
    }
}

static void send_batch(struct bench_thread *self, struct channel *to) {
    wait_for(&to->free_places);
    void **const batch = to->block[to->sent++ % DEPTH];
    for (unsigned i = 0; i < BATCH; i++) {
        uint32_t bits = bench_random(self);
        const size_t bytes = smallest + bench_below(&bits, (uint32_t)(largest - smallest + 1));
        char *block = malloc(bytes);
        if (!block) {
            bench_out_of_memory(bytes);
        }
        *block = 1;
        batch[i] = block;
        self->bytes += bytes;
    }
    self->allocs += BATCH;
    sem_post(&to->batches);
}

static void receive_batch(struct bench_thread *self, struct channel *from) {
    wait_for(&from->batches);
    void **const batch = from->block[from->received++ % DEPTH];
    for (unsigned i = 0; i < BATCH; i++) {
        free(batch[i]);
    }
    self->frees += BATCH;
    sem_post(&from->free_places);
}

/* Even threads send to the odd one behind them. */
static void pairs(struct bench_thread *self, uint64_t batches) {
    for (; batches; batches--) {
        if (self->index % 2 == 0) {
            send_batch(self, channel(self->index, self->index + 1));
        } else {
            receive_batch(self, channel(self->index - 1, self->index));
        }
    }
}

/* In each step everybody sends to the thread `hop` further on: all hops in turn. */
static void all_to_all(struct bench_thread *self, uint64_t batches) {
    const unsigned n = thread_count;
    for (uint64_t step = 0; step < batches; step++) {
        const unsigned hop = 1 + (unsigned)(step % (n - 1));
        send_batch(self, channel(self->index, (self->index + hop) % n));
        receive_batch(self, channel((self->index + n - hop) % n, self->index));
    }
}

static void work(struct bench_thread *self, uint64_t iters) {
    (shape == PAIRS ? pairs : all_to_all)(self, (iters + BATCH - 1) / BATCH);
}

const struct bench benchmark = {
    .name = "xthread",
    .summary = "Blocks are freed by another thread than the one that allocated them.",
    .iteration = "blocks that each thread sends, receives, or both; rounded up to batches of 100",
    .options = options,
    .default_iters = 4000000,
    .default_threads = 2,
    .min_threads = 2,
    .prepare = prepare,
    .work = work,
};
