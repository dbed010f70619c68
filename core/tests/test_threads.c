/* Threads come and go by the thousand, some using malloc from the destructors of their keys and
 * after them; memory stays where it was. Usage: test_threads [THREADS]. */
#include "smaps.h"

#include <malloc.h>
#include <pthread.h>

static pthread_key_t early;
static pthread_key_t late;

/* Runs in every round of destructors there is, so also after hakmem's own. */
static void destroy(void *block) {
    free(block);
    for (size_t i = 1; i < 50; i++) {
        void *more = malloc(i * 7);
        CHECK(more);
        memset(more, 1, i * 7);
        free(more);
    }
    pthread_setspecific(late, malloc(64));
}

static void *work(void *left_behind) {
    pthread_setspecific(early, malloc(100));
    void *blocks[200];
    for (size_t i = 0; i < 200; i++) {
        blocks[i] = malloc(i * 10);
        CHECK(blocks[i]);
    }
    for (size_t i = 0; i < 200; i++) {
        free(blocks[i]);
    }
    *(void **)left_behind = malloc(500);
    return NULL;
}

static void round_of_threads(unsigned count) {
    for (unsigned i = 0; i < count; i += 4) {
        pthread_t ids[4];
        void *left_behind[4];
        for (unsigned j = 0; j < 4; j++) {
            CHECK(pthread_create(&ids[j], NULL, work, &left_behind[j]) == 0);
        }
        for (unsigned j = 0; j < 4; j++) {
            CHECK(pthread_join(ids[j], NULL) == 0);
            free(left_behind[j]);
        }
    }
}

int main(int argc, char **argv) {
    unsigned count = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 4000;
    CHECK(pthread_key_create(&early, free) == 0);
    CHECK(pthread_key_create(&late, destroy) == 0);
    round_of_threads(count / 4);
    size_t before = resident_bytes();
    round_of_threads(count);
    size_t after = resident_bytes();
    /* Four threads at once hold some 800 KiB, and on a busy machine they may never have met before:
     * so 4 MiB, which is 42 bytes for each of 100 000 threads. */
    CHECK(after <= before + ((size_t)4 << 20));
    return 0;
}
