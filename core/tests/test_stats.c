/* The library knows how many calls it served, exactly, with nothing counted on the fast paths. */
#include "check.h"

#include "hakmem.h"

#include <malloc.h>
#include <pthread.h>

static void *volatile sink;

static struct hak_stats read_stats(void) {
    struct hak_stats stats;
    CHECK(hak_stats_read(&stats, sizeof stats) == sizeof stats);
    return stats;
}

static void calls(unsigned allocs, unsigned frees, size_t size) {
    void **blocks = malloc(allocs * sizeof *blocks);
    struct hak_stats before = read_stats();
    for (unsigned i = 0; i < allocs; i++) {
        sink = blocks[i] = malloc(size);
    }
    for (unsigned i = 0; i < frees; i++) {
        free(blocks[i]);
    }
    struct hak_stats after = read_stats();
    CHECK(after.allocs - before.allocs == allocs);
    CHECK(after.frees - before.frees == frees);
    CHECK(after.live_bytes - before.live_bytes >= (allocs - frees) * size);
    for (unsigned i = frees; i < allocs; i++) {
        free(blocks[i]);
    }
    free(blocks);
}

static void *thread(void *argument) {
    (void)argument;
    for (unsigned i = 0; i < 5000; i++) {
        sink = malloc(i % 3000);
        free(sink);
    }
    return NULL;
}

static void threads_that_ended(void) {
    pthread_t id;
    CHECK(pthread_create(&id, NULL, thread, NULL) == 0); /* what creation allocates stays */
    CHECK(pthread_join(id, NULL) == 0);
    struct hak_stats before = read_stats();
    CHECK(pthread_create(&id, NULL, thread, NULL) == 0);
    CHECK(pthread_join(id, NULL) == 0);
    struct hak_stats after = read_stats();
    CHECK(after.frees - before.frees >= 5000 && after.frees - before.frees < 5100);
    CHECK(after.allocs - before.allocs == after.frees - before.frees);
    CHECK(after.threads == before.threads);
}

enum { HANDED_OVER = 100 };

static void *free_all(void *blocks) {
    for (unsigned i = 0; i < HANDED_OVER; i++) {
        free(((void **)blocks)[i]);
    }
    return NULL;
}

/* It allocated none of the class itself. */
static void thread_that_only_freed(void) {
    void *blocks[HANDED_OVER];
    for (unsigned i = 0; i < HANDED_OVER; i++) {
        blocks[i] = malloc(700);
    }
    struct hak_stats before = read_stats();
    pthread_t id;
    CHECK(pthread_create(&id, NULL, free_all, blocks) == 0);
    CHECK(pthread_join(id, NULL) == 0);
    struct hak_stats after = read_stats();
    CHECK(after.frees - before.frees >= HANDED_OVER);
    CHECK(after.frees - before.frees == after.allocs - before.allocs + HANDED_OVER);
    CHECK(before.live_bytes - after.live_bytes >= 700UL * HANDED_OVER);
}

int main(void) {
    const size_t sizes[] = {1, 16, 100, 1024, 1025, 5000, 32768, 32769, 300000, 2000000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        calls(2000, 0, sizes[i] < 5000 ? sizes[i] : sizes[i] % 50 + 1);
        calls(100, 100, sizes[i]);
        calls(100, 23, sizes[i]);
    }
    calls(20000, 20000, 64);
    threads_that_ended();
    thread_that_only_freed();
    uint64_t part[2] = {0, 77};
    CHECK(hak_stats_read((struct hak_stats *)part, sizeof *part) == sizeof *part);
    CHECK(part[0] > 0 && part[1] == 77);
    return 0;
}
