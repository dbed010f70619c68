/* Sizes of large blocks that were filled get huge pages, and lose them when blocks of them are
 * sparse; what was learnt wrongly costs little memory. Looks at the advice that the kernel holds
 * and at what is resident. */
#include "smaps.h"

#include "hakmem.h"

#include <pthread.h>
#include <stdio.h>

#define MIB  ((size_t)1 << 20)
#define SIZE (2 * MIB)
enum { FILLED = 8, MANY = 100, THREADS = 4, ROUNDS = 100 };

/* Frees a block so that the next one is mapped anew. */
static void free_and_unmap(void *block) {
    free(block);
    hak_trim();
}

/* One new block after the other; what the last one was advised. */
static bool advised_after(size_t count, size_t size, bool filled) {
    bool last = false;
    for (size_t i = 0; i < count; i++) {
        char *block = malloc(size);
        CHECK(block);
        memset(block, 1, filled ? size : 1);
        last = advised(block) && advised(block + size - 1);
        CHECK(!last || (uintptr_t)block % SIZE == 0);
        free_and_unmap(block);
    }
    return last;
}

static void test_learns(void) {
    CHECK(!advised_after(2, SIZE, true));
    CHECK(advised_after(1, SIZE, true));
    CHECK(!advised_after(1, 2 * SIZE, true)); /* of other sizes nothing is known */
    char *zeroes = calloc(1, SIZE);
    CHECK(zeroes && !advised(zeroes));
    free_and_unmap(zeroes);
    CHECK(!advised_after(FILLED, SIZE - MIB, true)); /* smaller than a huge page */
}

static void test_unlearns(void) {
    CHECK(advised_after(FILLED, SIZE, true));
    CHECK(advised_after(1, SIZE, false)); /* it was not known to be sparse */
    CHECK(!advised_after(FILLED, SIZE, true));
    CHECK(advised_after(FILLED, SIZE, true));
}

/* Blocks that are sparse, although such blocks were filled, and are never freed. */
static void test_costs_little(void) {
    CHECK(advised_after((size_t)4 * MANY, SIZE, true));
    static char *blocks[MANY];
    const size_t before = resident_bytes();
    for (size_t i = 0; i < MANY; i++) {
        blocks[i] = malloc(SIZE);
        CHECK(blocks[i]);
        *blocks[i] = 1;
    }
    const size_t grown = resident_bytes() - before;
    printf("%zu MiB of sparse blocks: %.1f MiB\n", MANY * SIZE / MIB, (double)grown / MIB);
    CHECK(grown < 33 * MIB);
    for (size_t i = 0; i < MANY; i++) {
        free(blocks[i]);
    }
    CHECK(resident_bytes() < before + 2 * MIB); /* without waiting in the cache */
}

static void *work(void *seed) {
    uint64_t state = (uintptr_t)seed;
    for (unsigned i = 0; i < ROUNDS; i++) {
        const size_t size = SIZE + next_random(&state) % (2 * SIZE);
        char *block = malloc(size);
        CHECK(block);
        memset(block, 1, next_random(&state) % 16 ? size : 1);
        free(block);
        if (i % 16 == 0) {
            hak_trim();
        }
    }
    return NULL;
}

static void test_threads(void) {
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, work, (void *)(i + 1)) == 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
}

static bool huge_pages_on_request(void) {
    char modes[64] = "";
    FILE *file = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "r");
    if (file) {
        CHECK(fgets(modes, sizeof modes, file));
        fclose(file);
    }
    return *modes && !strstr(modes, "[always]");
}

int main(int argc, char **argv) {
    const bool threads = argc > 1 && strcmp(argv[1], "threads") == 0;
    const bool off = argc > 1 && strcmp(argv[1], "off") == 0;
    if (threads) {
        test_threads();
    } else if (!huge_pages_on_request()) {
        return 77;
    } else if (off) {
        CHECK(!advised_after(FILLED, SIZE, true));
    } else {
        test_learns();
        test_unlearns();
        test_costs_little();
    }
    return 0;
}
