/* The hash of the variant `registry`: what was set is found while the table grows, by threads that
 * take no lock; what was taken away is not. */
#include "check.h"

#include "class_map.h"
#include "size_class.h"

#include <pthread.h>

enum { UNITS = 60000, READERS = 3, CODES = HK_CODES - 1 };

static uintptr_t unit_at[UNITS];
static size_t known; /* units that readers may ask for */
static bool over;

static const void *address_of(size_t i) {
    return (const void *)((unit_at[i] << HK_UNIT_SHIFT) + i % HK_UNIT);
}

static uint8_t code_at(size_t i) {
    return (uint8_t)(1 + i % CODES);
}

static void *read_all(void *seed) {
    uint64_t state = (uintptr_t)seed;
    while (!__atomic_load_n(&over, __ATOMIC_RELAXED)) {
        size_t count = __atomic_load_n(&known, __ATOMIC_ACQUIRE);
        size_t i = count ? next_random(&state) % count : 0;
        CHECK(count == 0 || hk_code_of(address_of(i)) == code_at(i));
    }
    return NULL;
}

/* Runs of neighbours, as SuperSlabs are, at random places: no two the same. */
static void choose_units(void) {
    uint64_t state = 8;
    for (size_t i = 0; i < UNITS; i++) {
        unit_at[i] =
            i % 64 ? unit_at[i - 1] + 1 : ((i + 1) << 12) + (next_random(&state) % 60 << 6);
    }
}

int main(void) {
    pthread_t readers[READERS];
    choose_units();
    for (size_t i = 0; i < READERS; i++) {
        CHECK(pthread_create(&readers[i], NULL, read_all, (void *)(i + 1)) == 0);
    }
    for (size_t i = 0; i < UNITS; i++) {
        CHECK(hk_code_of(address_of(i)) == HK_CODE_NONE);
        CHECK(hk_class_map_set(address_of(i), 1, code_at(i)));
        __atomic_store_n(&known, i + 1, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&over, true, __ATOMIC_RELAXED);
    for (size_t i = 0; i < READERS; i++) {
        CHECK(pthread_join(readers[i], NULL) == 0);
    }
    for (size_t i = 0; i < UNITS; i++) {
        CHECK(hk_code_of(address_of(i)) == code_at(i));
    }
    for (size_t i = 0; i < UNITS; i += 2) {
        hk_class_map_change(address_of(i), HK_CODE_NONE);
        CHECK(hk_code_of(address_of(i)) == HK_CODE_NONE);
        hk_class_map_change(address_of(i), HK_CODE_RUN);
        CHECK(hk_code_of(address_of(i)) == HK_CODE_RUN);
        CHECK(hk_class_map_set(address_of(i), 1, HK_CODE_NONE));
    }
    for (size_t i = 0; i < UNITS; i++) {
        CHECK(hk_code_of(address_of(i)) == (i % 2 ? code_at(i) : HK_CODE_NONE));
    }
    CHECK(hk_code_of(NULL) == HK_CODE_NONE);
    return 0;
}
