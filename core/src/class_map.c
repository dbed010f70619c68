#include "class_map.h"

#include "os.h"
#include "secure.h"

#include <string.h>
#include <sys/resource.h>

enum {
    HK_MAP_SIZE_SHIFT = HK_ADDRESS_BITS - HK_UNIT_SHIFT,
    /* Parts of the array become writable in these steps: 4 GiB of heap each. */
    HK_CHUNK_SHIFT = 16,
    HK_CHUNKS = 1 << (HK_MAP_SIZE_SHIFT - HK_CHUNK_SHIFT),
};

/* The window under a limit on address space, and how far below the array it starts. */
#define HK_WINDOW       (64 * HK_GIB)
#define HK_WINDOW_BELOW (128 * HK_GIB)

static uint8_t code_of_null[1] = {0};
uint8_t *hk_class_map = code_of_null;

/* The first chunk that is, and one: most programs need no other, and touch no page of the rest. */
static size_t first_writable;
HK_SPARSE static uint8_t chunk_is_writable[HK_CHUNKS / 8];

static bool address_space_is_limited(void) {
    struct rlimit limit;
    return getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
           limit.rlim_cur < HK_WINDOW;
}

/* The array covers the window; entry 0, for NULL, is a page of its own. */
static bool init_window(void) {
    const size_t bytes = HK_WINDOW >> HK_UNIT_SHIFT;
    const size_t chunk = (size_t)1 << HK_CHUNK_SHIFT;
    uint8_t *array = hk_os_reserve(bytes + chunk);
    if (!array) {
        return false;
    }
    array = (uint8_t *)hk_round_up((uintptr_t)array, chunk);
    uintptr_t low = ((uintptr_t)array - HK_WINDOW_BELOW) & -(HK_UNIT << HK_CHUNK_SHIFT);
    uint8_t *origin = array - (low >> HK_UNIT_SHIFT);
    if (!hk_os_reserve_at(origin, hk_os_page())) {
        return false;
    }
    hk_os_confine(low, low + HK_WINDOW);
    hk_class_map = origin;
    return true;
}

bool hk_class_map_init(void) {
    if (hk_registry_on || hk_class_map != code_of_null) {
        return true;
    }
    if (hk_secure_on) {
        hk_secure_start();
    }
    if (!address_space_is_limited()) {
        uint8_t *whole = hk_os_reserve((size_t)1 << HK_MAP_SIZE_SHIFT);
        if (whole) {
            hk_class_map = whole;
            return true;
        }
    }
    return init_window();
}

static bool is_writable(size_t chunk) {
    return __atomic_load_n(&first_writable, __ATOMIC_RELAXED) == chunk + 1 ||
           __atomic_load_n(&chunk_is_writable[chunk >> 3], __ATOMIC_RELAXED) >> (chunk & 7) & 1;
}

static bool make_writable(size_t chunk) {
    size_t none = 0;
    if (!hk_os_commit(hk_class_map + (chunk << HK_CHUNK_SHIFT), (size_t)1 << HK_CHUNK_SHIFT)) {
        return false;
    }
    if (!__atomic_compare_exchange_n(&first_writable, &none, chunk + 1, false, __ATOMIC_RELAXED,
                                     __ATOMIC_RELAXED)) {
        __atomic_fetch_or(&chunk_is_writable[chunk >> 3], (uint8_t)(1 << (chunk & 7)),
                          __ATOMIC_RELAXED);
    }
    return true;
}

bool hk_class_map_set(const void *address, size_t units, uint8_t code) {
    if (hk_registry_on) {
        return hk_registry_set(address, units, code);
    }
    if (!hk_class_map_init()) {
        return false;
    }
    size_t first = (uintptr_t)address >> HK_UNIT_SHIFT;
    size_t last = first + units - 1;
    for (size_t chunk = first >> HK_CHUNK_SHIFT; chunk <= last >> HK_CHUNK_SHIFT; chunk++) {
        if (!is_writable(chunk) && !make_writable(chunk)) {
            return false;
        }
    }
    memset(hk_class_map + first, code, units);
    return true;
}
