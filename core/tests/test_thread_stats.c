/* The counts of the variant `stats` are those that the release derives: threads at work, threads
 * that ended, and what their last destructors did. */
#include "check.h"

#include "hakmem.h"
#include "thread_cache.h"

#include <pthread.h>

enum { THREADS = 16, STEPS = 20000 };

static pthread_key_t key;

static void compare(void) {
    struct hk_cache_stats cache = hk_cache_stats();
    CHECK(cache.counted[HK_STATS_FREE] == cache.frees);
    struct hak_stats stats;
    CHECK(hak_stats_read(&stats, sizeof stats) == sizeof stats);
    CHECK(stats.frees == cache.frees);
    CHECK(stats.allocs == cache.counted[HK_STATS_ALLOC]);
}

/* Runs after hakmem has let go of the thread, too. */
static void destroy(void *block) {
    static __thread unsigned rounds;
    free(block);
    free(malloc(100));
    free(NULL);
    if (++rounds < 3) {
        (void)pthread_setspecific(key, malloc(10));
    }
}

static void *work(void *seed) {
    uint64_t state = (uintptr_t)seed;
    void *blocks[50] = {NULL};
    (void)pthread_setspecific(key, malloc(10));
    for (unsigned step = 0; step < STEPS; step++) {
        void **block = &blocks[next_random(&state) % 50];
        free(*block);
        *block = malloc(random_size(&state, step % 100 == 0 ? 21 : 12));
    }
    for (size_t i = 0; i < 50; i++) {
        free(blocks[i]);
    }
    return NULL;
}

int main(void) {
    compare();
    CHECK(pthread_key_create(&key, destroy) == 0);
    struct hak_stats before;
    struct hak_stats after;
    CHECK(hak_stats_read(&before, sizeof before) == sizeof before);
    for (unsigned round = 0; round < 3; round++) {
        pthread_t ids[THREADS];
        for (size_t i = 0; i < THREADS; i++) {
            CHECK(pthread_create(&ids[i], NULL, work, (void *)(i + 1)) == 0);
        }
        for (size_t i = 0; i < THREADS; i++) {
            CHECK(pthread_join(ids[i], NULL) == 0);
        }
        compare();
    }
    CHECK(hak_stats_read(&after, sizeof after) == sizeof after);
    CHECK(after.allocs - before.allocs > (uint64_t)3 * THREADS * STEPS);
    free(malloc(3000000));
    compare();
    return 0;
}
