/* Threads that come and go: each allocates some blocks, frees most of them, leaves the rest to the
 * thread that waits for it, and ends. The C library's own calls for a new thread are not counted as
 * operations, they are part of what starting a thread costs. */
#include "bench.h"

enum { BLOCKS = 100, LEFT = 10, SMALLEST = 16, LARGEST = 512 };

struct child {
    struct bench_thread thread;
    void *block[BLOCKS];
};

static void start(struct bench_thread *self) {
    self->state = bench_reserve(sizeof(struct child));
}

static void release(struct bench_thread *self, void **block, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        free(block[i]);
    }
    self->frees += count;
}

static void *live(void *argument) {
    struct child *child = argument;
    struct bench_thread *self = &child->thread;
    for (unsigned i = 0; i < BLOCKS; i++) {
        uint32_t bits = bench_random(self);
        const size_t bytes = SMALLEST + bench_below(&bits, LARGEST - SMALLEST + 1);
        char *block = malloc(bytes);
        if (!block) {
            bench_out_of_memory(bytes);
        }
        *block = 1;
        child->block[i] = block;
        self->bytes += bytes;
    }
    self->allocs += BLOCKS;
    release(self, child->block + LEFT, BLOCKS - LEFT);
    return NULL;
}

static void work(struct bench_thread *self, uint64_t iters) {
    struct child *child = self->state;
    for (; iters; iters--) {
        pthread_t handle;
        child->thread = *self; /* goes on with our counts and random numbers, and hands them back */
        bench_spawn(&handle, &child->thread, live);
        pthread_join(handle, NULL);
        *self = child->thread;
        release(self, child->block, LEFT);
    }
}

const struct bench benchmark = {
    .name = "thread_churn",
    .summary = "Short-lived threads allocate 100 blocks of 16..512 B; 10 outlive their thread.",
    .iteration = "threads started and joined",
    .options = (const struct bench_option[]){BENCH_OPTIONS_END},
    .default_iters = 10000,
    .default_threads = 1,
    .min_threads = 1,
    .start = start,
    .work = work,
};
