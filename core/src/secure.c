#define _GNU_SOURCE
#include "secure.h"

#include "class_map.h"
#include "size_class.h"

#include <errno.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>

enum { SHUFFLED_AT_ONCE = 512 };

struct hk_secure hk_secure;
static uint64_t random_state;

/* --- random numbers --------------------------------------------------------------------------- */

/* A step of splitmix64. */
static uint64_t draw(uint64_t *state) {
    uint64_t bits = *state += 0x9E3779B97F4A7C15U;
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9U;
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBU;
    return bits ^ (bits >> 31);
}

void hk_secure_start(void) {
    uint64_t seeds[2] = {0};
    const int kept = errno;
    if (getrandom(seeds, sizeof seeds, GRND_NONBLOCK) != sizeof seeds) {
        const void *given = (const void *)getauxval(AT_RANDOM); /* so early that it must do */
        memcpy(seeds, given, sizeof seeds);
    }
    errno = kept;
    random_state = seeds[0];
    hk_secure.key = hk_secure.mark = seeds[1] ^ draw(&random_state);
}

void hk_secure_tell_ends(uint16_t *ends) {
    for (size_t cls = 1; cls < HK_CLASSES; cls++) {
        ends[cls] = (uint16_t)(hk_class_size(cls) - HK_SECURE_BYTES);
    }
}

void hk_secure_zero_on_free(void) {
    hk_secure.mark = draw(&random_state);
}

/* --- lists ------------------------------------------------------------------------------------ */

static bool is_zeroing(void) {
    return hk_secure.mark != hk_secure.key;
}

/* A random order of so many blocks. Threads that draw at the same time may get the same. */
static void shuffle(uint16_t *order, unsigned blocks) {
    uint64_t state = __atomic_add_fetch(&random_state, 0x9E3779B97F4A7C15U, __ATOMIC_RELAXED);
    uint32_t bits = (uint32_t)draw(&state);
    for (unsigned i = 0; i < blocks; i++) {
        bits = bits * 1664525U + 1013904223U; /* its upper bits choose */
        unsigned other = (unsigned)(((uint64_t)bits * (i + 1)) >> 32);
        order[i] = order[other];
        order[other] = (uint16_t)i;
    }
}

/* Links up to SHUFFLED_AT_ONCE blocks in random order, in front of a list. */
static void *link_shuffled(char *start, unsigned blocks, size_t size, void *list) {
    uint16_t order[SHUFFLED_AT_ONCE];
    shuffle(order, blocks);
    for (unsigned i = 0; i < blocks; i++) {
        char *block = start + order[i] * size;
        if (is_zeroing()) {
            memset(block, 0, size);
        }
        hk_secure_set_end(block, size);
        hk_secure_turn(block, size - HK_SECURE_BYTES);
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

/* A batch's link is hidden: the two words before it do not tell when it was written to. */
static uint64_t *batch_link(const void *batch) {
    return (uint64_t *)(uintptr_t)batch + 2;
}

void *hk_secure_next_batch(const void *batch) {
    void *next = (void *)(*batch_link(batch) ^ hk_secure.key ^ (uintptr_t)batch);
    if (next && ((uintptr_t)next >> HK_ADDRESS_BITS || hk_code_of(next) != hk_code_of(batch))) {
        hk_fatal("malloc(): write into free block", batch);
    }
    return next;
}

void hk_secure_set_next_batch(void *batch, const void *next) {
    *batch_link(batch) = (uintptr_t)next ^ hk_secure.key ^ (uintptr_t)batch;
}
