/* Calls other than malloc and free, and sizes beyond the small ones: random steps over slots. */
#include "bench.h"

enum { REALLOC, CALLOC, ALIGNED, MEDIUM, LARGE };

static const char *const kinds[] = {"realloc", "calloc", "aligned", "medium", "large", NULL};
static const struct range {
    uint32_t smallest, largest;
    unsigned steps; /* an iteration */
} ranges[] = {
    [REALLOC] = {16, 64 << 10, 4},     [CALLOC] = {16, 4 << 10, 16},
    [ALIGNED] = {64, 4 << 10, 8},      [MEDIUM] = {1 << 10, 32 << 10, 8},
    [LARGE] = {64 << 10, 16 << 20, 1},
};
static uint64_t kind = REALLOC, slots = 100, seed = 1;
static const struct bench_option options[] = {
    {"kind", "which calls", &kind, 0, 0, kinds, 1},
    {"slots", "blocks that may live at once", &slots, 1, 1 << 16, NULL, 0},
    {"seed", "of the random numbers", &seed, 0, UINT64_MAX, NULL, 0},
    BENCH_OPTIONS_END,
};

struct slot {
    char *block;
    size_t bytes;
};

static void start(struct bench_thread *self) {
    self->random = (seed + self->index) * 0x9e3779b97f4a7c15U;
    self->state = bench_reserve(slots * sizeof(struct slot));
}

static void release(struct bench_thread *self, struct slot *slot) {
    free(slot->block);
    slot->block = NULL;
    self->frees++;
}

/* The new block of the slot: checked, its first byte touched, accounted. */
static void accept(struct bench_thread *self, struct slot *slot, char *block, size_t bytes) {
    if (!block) {
        bench_out_of_memory(bytes);
    }
    *(volatile char *)block = 1;
    slot->block = block;
    slot->bytes = bytes;
    self->bytes += bytes;
}

static void fill(struct bench_thread *self, struct slot *slot, uint32_t bits) {
    const struct range range = ranges[kind];
    size_t bytes = range.smallest + bench_below(&bits, range.largest - range.smallest + 1);
    char *block = NULL;
    if (kind == CALLOC) {
        block = calloc(1, bytes);
    } else if (kind == ALIGNED) {
        const size_t alignment = (size_t)64 << bench_below(&bits, 7); /* 64 .. 4096 */
        bytes = (bytes + alignment - 1) & ~(alignment - 1);
        block = aligned_alloc(alignment, bytes);
    } else {
        block = malloc(bytes);
    }
    accept(self, slot, block, bytes);
    self->allocs++;
}

/* A string that grows by half at a time, until it is done. */
static void grow(struct bench_thread *self, struct slot *slot) {
    const struct range range = ranges[REALLOC];
    if (!slot->block) {
        accept(self, slot, malloc(range.smallest), range.smallest);
        self->allocs++;
    } else if (slot->bytes > range.largest) {
        release(self, slot);
    } else {
        const size_t bytes = slot->bytes + slot->bytes / 2;
        accept(self, slot, realloc(slot->block, bytes), bytes);
        slot->block[bytes - 1] = 1;
        self->reallocs++;
    }
}

static void work(struct bench_thread *self, uint64_t iters) {
    for (uint64_t left = iters * ranges[kind].steps; left; left--) {
        uint32_t bits = bench_random(self);
        struct slot *slot = (struct slot *)self->state + bench_below(&bits, (uint32_t)slots);
        if (kind == REALLOC) {
            grow(self, slot);
        } else if (slot->block) {
            release(self, slot);
        } else {
            fill(self, slot, bits);
        }
    }
}

const struct bench benchmark = {
    .name = "workloads",
    .summary = "Growth by realloc, calloc, aligned blocks, 1..32 KiB, or 64 KiB..16 MiB.",
    .iteration = "runs of 1 (large) to 16 (calloc) steps, each one call",
    .options = options,
    .default_iters = 250000,
    .default_threads = 1,
    .min_threads = 1,
    .start = start,
    .work = work,
};
