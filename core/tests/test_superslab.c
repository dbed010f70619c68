/* Runs of units: never two at one place, zeroed when they say so, found again by any address.
 * Threads that need a SuperSlab at once share one. */
#include "check.h"

#include "class_map.h"
#include "size_class.h"
#include "superslab.h"

#include <pthread.h>

enum { RUNS = 300, STEPS = 20000, THREADS = 8, ROUNDS = 400 };

static struct {
    struct hk_slab *slab;
    size_t bytes;
} runs[RUNS];

static bool reads_zero(const char *start, size_t bytes) {
    for (size_t i = 0; i < bytes; i += 512) {
        if (start[i]) {
            return false;
        }
    }
    return true;
}

static void take(size_t i, uint64_t *state) {
    unsigned units = 1 + (unsigned)(next_random(state) % HK_RUN_MAX_UNITS);
    uint8_t code = next_random(state) & 1 ? HK_CODE_RUN : 7;
    enum hk_stage stage;
    struct hk_slab *slab = hk_units_take(units, code, &stage);
    CHECK(slab && slab->units == units && slab->cls == code);
    runs[i].slab = slab;
    runs[i].bytes = (size_t)units << HK_UNIT_SHIFT;
    char *start = hk_slab_start(slab);
    CHECK(((uintptr_t)start & (HK_UNIT - 1)) == 0);
    CHECK(stage == HK_STAGE_RECYCLED || reads_zero(start, runs[i].bytes));
    CHECK(hk_code_of(start) == code);
    for (size_t offset = 0; code == 7 && offset < runs[i].bytes; offset += HK_UNIT / 2) {
        CHECK(hk_slab_of(start + offset) == slab && hk_code_of(start + offset) == code);
    }
    memset(start, (int)i + 1, runs[i].bytes);
}

static void give(size_t i) {
    char *start = hk_slab_start(runs[i].slab);
    for (size_t offset = 0; offset < runs[i].bytes; offset += 512) {
        CHECK(start[offset] == (char)(i + 1));
    }
    hk_units_give(runs[i].slab);
    CHECK(hk_code_of(start) == HK_CODE_NONE);
    runs[i].slab = NULL;
}

static void resize(size_t i, uint64_t *state) {
    struct hk_slab *slab = runs[i].slab;
    unsigned units = 1 + (unsigned)(next_random(state) % HK_RUN_MAX_UNITS);
    if (units < slab->units) {
        hk_units_shrink(slab, units);
    } else if (units == slab->units || !hk_units_grow(slab, units)) {
        return;
    }
    runs[i].bytes = (size_t)units << HK_UNIT_SHIFT;
    memset(hk_slab_start(slab), (int)i + 1, runs[i].bytes);
}

static pthread_barrier_t at_once;

static void *take_one(void *nothing) {
    (void)nothing;
    pthread_barrier_wait(&at_once);
    enum hk_stage stage;
    return hk_units_take(1, 7, &stage);
}

static void threads_that_start_together(void) {
    pthread_t threads[THREADS];
    struct hk_slab *slabs[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, take_one, NULL) == 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        void *slab;
        CHECK(pthread_join(threads[i], &slab) == 0 && slab);
        slabs[i] = slab;
    }
    CHECK(hk_superslab_stats().mapped == HK_SUPERSLAB);
    for (unsigned i = 0; i < THREADS; i++) {
        hk_units_give(slabs[i]);
    }
    CHECK(hk_superslab_trim());
}

static void any_order(void) {
    uint64_t state = 1;
    for (unsigned step = 0; step < STEPS; step++) {
        size_t i = next_random(&state) % RUNS;
        if (!runs[i].slab) {
            take(i, &state);
        } else if (runs[i].slab->cls == HK_CODE_RUN && next_random(&state) % 4 == 0) {
            resize(i, &state);
        } else {
            give(i);
        }
        if (step % 1000 == 0) {
            hk_superslab_tick();
        }
    }
    size_t used = 0;
    for (size_t i = 0; i < RUNS; i++) {
        used += runs[i].slab ? runs[i].bytes : 0;
    }
    CHECK(hk_superslab_stats().used == used);
    for (size_t i = 0; i < RUNS; i++) {
        if (runs[i].slab) {
            give(i);
        }
    }
    CHECK(hk_superslab_trim());
    struct hk_superslab_stats stats = hk_superslab_stats();
    CHECK(stats.used == 0 && stats.dirty == 0 && stats.mapped == 0 && stats.runs == 0);
}

int main(void) {
    any_order();
    CHECK(pthread_barrier_init(&at_once, NULL, THREADS) == 0);
    for (unsigned i = 0; i < ROUNDS; i++) {
        threads_that_start_together();
    }
    return 0;
}
