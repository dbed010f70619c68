#define _GNU_SOURCE
#include "secure.h"

#include "class_map.h"
#include "size_class.h"

#include <errno.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>

enum { SHUFFLED_AT_ONCE = 512, AUXILIARY_RANDOM = 16 };

struct hk_secure hk_secure;
static uint64_t random_state;

/* --- random numbers --------------------------------------------------------------------------- */

/* A step of splitmix64. Threads may draw at the same time. */
static uint64_t draw(void) {
    uint64_t bits = __atomic_add_fetch(&random_state, 0x9E3779B97F4A7C15U, __ATOMIC_RELAXED);
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9U;
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBU;
    return bits ^ (bits >> 31);
}

static size_t draw_below(size_t count) {
    return (size_t)(((draw() >> 32) * count) >> 32);
}

void hk_secure_start(void) {
    uint64_t seeds[5] = {0};
    const int kept = errno;
    if (getrandom(seeds, sizeof seeds, GRND_NONBLOCK) != sizeof seeds) {
        const void *given = (const void *)getauxval(AT_RANDOM); /* so early that it must do */
        memcpy(seeds, given, AUXILIARY_RANDOM);
    }
    errno = kept;
    random_state = seeds[0] ^ seeds[1];
    hk_secure.link = seeds[2] ^ draw();
    hk_secure.expected = hk_secure.mark = seeds[3] ^ draw();
    hk_secure.end = seeds[4] ^ draw();
    for (size_t cls = 1; cls < HK_CLASSES; cls++) {
        hk_secure.ends[cls] = (uint16_t)(hk_class_size(cls) - HK_SECURE_BYTES);
    }
}

void hk_secure_zero_on_free(void) {
    hk_secure.mark = draw();
    memset(hk_secure.ends, 0, sizeof hk_secure.ends);
}

/* --- lists ------------------------------------------------------------------------------------ */

static bool is_zeroing(void) {
    return hk_secure.mark != hk_secure.expected;
}

/* Links up to SHUFFLED_AT_ONCE blocks in random order, in front of a list. */
static void *link_shuffled(char *start, unsigned blocks, size_t size, void *list) {
    uint16_t order[SHUFFLED_AT_ONCE];
    for (unsigned i = 0; i < blocks; i++) {
        size_t other = draw_below(i + 1);
        order[i] = order[other];
        order[other] = (uint16_t)i;
    }
    for (unsigned i = 0; i < blocks; i++) {
        char *block = start + order[i] * size;
        if (is_zeroing()) {
            memset(block, 0, size);
        }
        hk_secure_set_end(block, size);
        hk_secure_set_next(block, list);
        list = block;
    }
    return list;
}

void *hk_secure_cut(char *start, unsigned blocks, size_t size) {
    void *list = NULL;
    while (blocks) {
        unsigned some = blocks < SHUFFLED_AT_ONCE ? blocks : SHUFFLED_AT_ONCE;
        blocks -= some;
        list = link_shuffled(start + blocks * size, some, size, list);
    }
    return list;
}

static void **batch_link(const void *batch) {
    return (void **)(uintptr_t)batch + 2;
}

void *hk_secure_next_batch(const void *batch) {
    void *next = hk_secure_link(batch, *batch_link(batch));
    if (next && hk_code_of(next) != hk_code_of(batch)) {
        hk_fatal("write into free block", batch);
    }
    return next;
}

void hk_secure_set_next_batch(void *batch, const void *next) {
    *batch_link(batch) = hk_secure_link(batch, next);
}
