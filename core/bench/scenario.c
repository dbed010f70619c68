/* Large blocks as programs use them: a parser's documents (64 KiB), a compiler's passes (256 KiB),
 * a virtual machine's heaps (2 MiB). Each page of a block is touched, because that is what large
 * blocks are for, and because faults are most of their cost. */
#include "bench.h"

#include <unistd.h>

enum { JSON, MIR, VM, MIXED };

static const char *const kinds[] = {"json", "mir", "vm", "mixed", NULL};
static const size_t sizes[] = {64 << 10, 256 << 10, 2 << 20};
static const unsigned steps[] = {[JSON] = 32, [MIR] = 8, [VM] = 1, [MIXED] = 3};
static uint64_t kind = MIXED, slots = 16, seed = 1;
static const struct bench_option options[] = {
    {"kind", "which blocks", &kind, 0, 0, kinds, 1},
    {"slots", "blocks that may live at once", &slots, 1, 1 << 16, NULL, 0},
    {"seed", "of the random numbers", &seed, 0, UINT64_MAX, NULL, 0},
    BENCH_OPTIONS_END,
};

static void start(struct bench_thread *self) {
    self->random = (seed + self->index) * 0x9e3779b97f4a7c15U;
    self->state = bench_reserve(slots * sizeof(void *));
}

static char *allocate(size_t bytes, size_t page) {
    char *block = malloc(bytes);
    if (!block) {
        bench_out_of_memory(bytes);
    }
    for (size_t at = 0; at < bytes; at += page) {
        ((volatile char *)block)[at] = 1;
    }
    return block;
}

static void work(struct bench_thread *self, uint64_t iters) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char **slot = self->state;
    for (uint64_t left = iters * steps[kind]; left; left--) {
        uint32_t bits = bench_random(self);
        char **const picked = &slot[bench_below(&bits, (uint32_t)slots)];
        if (*picked) {
            free(*picked);
            *picked = NULL;
            self->frees++;
            continue;
        }
        const size_t bytes = sizes[kind == MIXED ? bench_below(&bits, MIXED) : kind];
        *picked = allocate(bytes, page);
        self->allocs++;
        self->bytes += bytes;
    }
}

const struct bench benchmark = {
    .name = "scenario",
    .summary = "Large blocks, every page touched: json 64 KiB, mir 256 KiB, vm 2 MiB, or mixed.",
    .iteration = "runs of 32 (json), 8 (mir), 1 (vm) or 3 steps, each one allocation or one free",
    .options = options,
    .default_iters = 5000,
    .default_threads = 1,
    .min_threads = 1,
    .start = start,
    .work = work,
};
