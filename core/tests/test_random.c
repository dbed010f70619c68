/* Random programs against a model that knows what each block holds. Threads hand blocks to one
 * another through shared slots, end while others still hold and free their blocks, and are
 * replaced. Usage: test_random [SEED]. At the end all invariants of the heap are walked. */
#include "check.h"

#include "hakmem.h"
#include "slab.h"

#include <malloc.h>
#include <pthread.h>

enum { THREADS = 6, GENERATIONS = 8, STEPS = 30000, OWN = 400, SHARED = 200 };

struct held {
    void *block;
    size_t size;
};

static struct held shared[SHARED];
static pthread_mutex_t shared_lock = PTHREAD_MUTEX_INITIALIZER;

static struct held allocate(uint64_t *state) {
    struct held held = {.size = random_size(state, next_random(state) % 200 == 0 ? 22 : 14)};
    switch (next_random(state) % 6) {
    case 0: {
        unsigned char *zeroed = calloc(1, held.size);
        for (size_t i = 0; i < held.size; i++) {
            CHECK(zeroed[i] == 0);
        }
        held.block = zeroed;
        break;
    }
    case 1: {
        size_t alignment = (size_t)8 << (next_random(state) % 11);
        CHECK(posix_memalign(&held.block, alignment, held.size) == 0);
        CHECK((uintptr_t)held.block % alignment == 0);
        break;
    }
    default:
        held.block = malloc(held.size);
    }
    CHECK(held.block && malloc_usable_size(held.block) >= held.size);
    stamp(held.block, held.size);
    return held;
}

static void release(struct held *held, uint64_t *state) {
    CHECK(stamp_holds(held->block, held->size));
    switch (next_random(state) % 3) {
    case 0:
        hak_free_sized(held->block, held->size);
        break;
    default:
        free(held->block);
    }
    held->block = NULL;
}

static void reallocate(struct held *held, uint64_t *state) {
    size_t size = 1 + random_size(state, 15);
    CHECK(stamp_holds(held->block, held->size));
    unsigned char *old = malloc(held->size + 1);
    memcpy(old, held->block, held->size);
    void *moved = realloc(held->block, size);
    CHECK(moved && memcmp(moved, old, size < held->size ? size : held->size) == 0);
    free(old);
    *held = (struct held){moved, size};
    stamp(moved, size);
}

static void swap_with_shared(struct held *held, uint64_t *state) {
    struct held *other = &shared[next_random(state) % SHARED];
    pthread_mutex_lock(&shared_lock);
    struct held kept = *other;
    *other = *held;
    *held = kept;
    pthread_mutex_unlock(&shared_lock);
}

static void *work(void *seed) {
    uint64_t state = (uintptr_t)seed;
    struct held own[OWN] = {{0}};
    for (unsigned step = 0; step < STEPS; step++) {
        struct held *held = &own[next_random(&state) % OWN];
        if (!held->block) {
            *held = allocate(&state);
            continue;
        }
        switch (next_random(&state) % 8) {
        case 0:
            reallocate(held, &state);
            break;
        case 1:
        case 2:
            swap_with_shared(held, &state);
            break;
        default:
            release(held, &state);
        }
        if (step % 10000 == 9999) {
            malloc_trim(0);
        }
    }
    /* Half of what is left is somebody else's to free, after this thread has ended. */
    for (size_t i = 0; i < OWN; i++) {
        if (own[i].block && i % 2) {
            swap_with_shared(&own[i], &state);
        }
        if (own[i].block) {
            release(&own[i], &state);
        }
    }
    return NULL;
}

int main(int argc, char **argv) {
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    for (unsigned generation = 0; generation < GENERATIONS; generation++) {
        pthread_t threads[THREADS];
        for (size_t i = 0; i < THREADS; i++) {
            CHECK(pthread_create(&threads[i], NULL, work, (void *)next_random(&seed)) == 0);
        }
        for (size_t i = 0; i < THREADS; i++) {
            CHECK(pthread_join(threads[i], NULL) == 0);
        }
        hk_slab_verify();
    }
    for (size_t i = 0; i < SHARED; i++) {
        if (shared[i].block) {
            release(&shared[i], &seed);
        }
    }
    hk_slab_verify();
    malloc_trim(0);
    hk_slab_verify();
    return 0;
}
