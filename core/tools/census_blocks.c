/* Hash tables with linear probing, one a stripe of addresses, each with a lock of its own. */
#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include "census_blocks.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>

enum {
    STRIPES = 64,
    FIRST_SLOTS = 512, /* a power of two, as all later ones */
};

struct stripe {
    pthread_mutex_t lock;
    struct block *slots;
    size_t capacity, used;
};

static struct stripe stripes[STRIPES] = {
    [0 ... STRIPES - 1] = {.lock = PTHREAD_MUTEX_INITIALIZER},
};
static atomic_llong live_bytes, peak_bytes;
static atomic_int incomplete;

static uint64_t hash_of(const void *address) {
    return (uint64_t)(uintptr_t)address * UINT64_C(0x9E3779B97F4A7C15);
}

/* The upper bits choose the stripe, those below them the slot. */
static struct stripe *stripe_of(const void *address) {
    return &stripes[hash_of(address) >> 58];
}

static size_t slot_of(const struct stripe *stripe, const void *address) {
    return (size_t)(hash_of(address) >> 16) & (stripe->capacity - 1);
}

/* The slot that holds the address, or the empty one where it belongs. */
static struct block *find(const struct stripe *stripe, const void *address) {
    size_t i = slot_of(stripe, address);
    while (stripe->slots[i].address && stripe->slots[i].address != address) {
        i = (i + 1) & (stripe->capacity - 1);
    }
    return &stripe->slots[i];
}

/* Makes sure that an empty slot stays empty after one more block. 0, or -1 without memory. */
static int grow(struct stripe *stripe) {
    if (2 * stripe->used < stripe->capacity) {
        return 0;
    }
    const struct stripe old = *stripe;
    const size_t capacity = old.capacity ? 2 * old.capacity : FIRST_SLOTS;
    void *slots = mmap(NULL, capacity * sizeof *stripe->slots, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (slots == MAP_FAILED) {
        return -1;
    }
    stripe->slots = slots;
    stripe->capacity = capacity;
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.slots[i].address) {
            *find(stripe, old.slots[i].address) = old.slots[i];
        }
    }
    if (old.slots) {
        munmap(old.slots, old.capacity * sizeof *old.slots);
    }
    return 0;
}

/* Empties a slot and moves those behind it that would not be found across the gap. */
static void empty(struct stripe *stripe, size_t gap) {
    const size_t mask = stripe->capacity - 1;
    for (size_t i = (gap + 1) & mask; stripe->slots[i].address; i = (i + 1) & mask) {
        const size_t home = slot_of(stripe, stripe->slots[i].address);
        if (((i - home) & mask) >= ((i - gap) & mask)) {
            stripe->slots[gap] = stripe->slots[i];
            gap = i;
        }
    }
    stripe->slots[gap] = (struct block){.address = NULL};
}

void blocks_add(struct block block) {
    struct stripe *stripe = stripe_of(block.address);
    pthread_mutex_lock(&stripe->lock);
    if (grow(stripe) != 0) {
        atomic_store(&incomplete, 1);
        pthread_mutex_unlock(&stripe->lock);
        return;
    }
    struct block *slot = find(stripe, block.address);
    const size_t before = slot->address ? slot->size : 0; /* given back by a way that nobody saw */
    stripe->used += !slot->address;
    *slot = block;
    const long long change = (long long)block.size - (long long)before;
    const long long live = atomic_fetch_add(&live_bytes, change) + change;
    pthread_mutex_unlock(&stripe->lock);
    long long peak = atomic_load_explicit(&peak_bytes, memory_order_relaxed);
    while (live > peak && !atomic_compare_exchange_weak(&peak_bytes, &peak, live)) {
    }
}

struct block blocks_remove(const void *address) {
    struct stripe *stripe = stripe_of(address);
    struct block found = {.address = NULL};
    pthread_mutex_lock(&stripe->lock);
    if (stripe->used) {
        struct block *slot = find(stripe, address);
        found = *slot;
        if (found.address) {
            empty(stripe, (size_t)(slot - stripe->slots));
            stripe->used--;
            atomic_fetch_sub(&live_bytes, (long long)found.size);
        }
    }
    pthread_mutex_unlock(&stripe->lock);
    return found;
}

long long blocks_peak_bytes(void) {
    return atomic_load(&incomplete) ? -1 : atomic_load(&peak_bytes);
}

void blocks_before_fork(void) {
    for (int i = 0; i < STRIPES; i++) {
        pthread_mutex_lock(&stripes[i].lock);
    }
}

void blocks_after_fork_parent(void) {
    for (int i = 0; i < STRIPES; i++) {
        pthread_mutex_unlock(&stripes[i].lock);
    }
}

void blocks_after_fork_child(void) {
    blocks_after_fork_parent();
    atomic_store(&peak_bytes, atomic_load(&live_bytes));
}
