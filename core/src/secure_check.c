/* The cold side of the variant `secure`: what exactly is wrong with a block, and blocks that are
 * zeroed when they are freed. */
#include "class_map.h"
#include "os.h"
#include "secure.h"
#include "size_class.h"
#include "slab.h"
#include "superslab.h"

#include <string.h>

enum {
    LINKS_BYTES = 2 * sizeof(uint64_t), /* next, mark */
    LARGE_STEPS = 8,                    /* a doubling */
};

static bool is_zeroing(void) {
    return hk_secure.mark != hk_secure.key;
}

/* A block that waits: its first two words agree. */
static bool waits(const void *block) {
    return hk_secure_agree(block, hk_secure.mark) || hk_secure_agree(block, hk_secure.key);
}

/* Of a class: one that is free may have been written to at either end. */
static bool is_free(const void *block, size_t end) {
    return *hk_secure_end(block, end) == ~(hk_secure.key + (uintptr_t)block) || waits(block);
}

static size_t end_of(unsigned cls) {
    return hk_class_size(cls) - HK_SECURE_BYTES;
}

/* Of a free block: the class map forgets runs that wait in the cache of a thread. */
static size_t end_of_free(const void *block) {
    unsigned code = hk_code_of(block);
    return code ? end_of(code)
                : ((size_t)hk_slab_of(block)->units << HK_UNIT_SHIFT) - HK_SECURE_BYTES;
}

static bool is_zero(const char *start, const char *end) {
    return start >= end ||
           (*start == 0 && memcmp(start, start + 1, (size_t)(end - start) - 1) == 0);
}

void hk_secure_look_at_free(const void *block) {
    bool well = hk_secure_agree(block, hk_secure.mark);
    if (well && is_zeroing()) {
        well = is_zero((const char *)block + LINKS_BYTES, (const char *)block + end_of_free(block));
    }
    if (!well) {
        hk_fatal("malloc(): write into free block", block);
    }
}

void hk_secure_look_at_freed(void *block, unsigned cls) {
    const size_t end = end_of(cls);
    hk_slab_check(block, "free(): invalid pointer");
    if (is_free(block, end)) {
        hk_fatal("free(): double free of", block);
    }
    if (!hk_secure_end_is_intact(block, end)) {
        hk_fatal("free(): write past the end of", block);
    }
    if (is_zeroing()) {
        memset(block, 0, end);
    }
    hk_secure_turn(block, end);
}

void hk_secure_run_freed(void *block, size_t bytes) {
    if (!hk_secure_end_is_intact(block, bytes - HK_SECURE_BYTES)) {
        hk_fatal("free(): write past the end of", block);
    }
    if (is_zeroing()) {
        memset(block, 0, bytes - HK_SECURE_BYTES);
    }
}

size_t hk_secure_large_use(char *start, size_t bytes, size_t all) {
    const size_t step = ((size_t)1 << (63 - __builtin_clzl(bytes))) / LARGE_STEPS;
    const size_t used = hk_round_up(bytes, step > hk_os_page() ? step : hk_os_page());
    if (used >= all) {
        return all;
    }
    *hk_secure_end(start, used) = hk_secure.key + (uintptr_t)start;
    return used;
}

void hk_secure_large_look(const char *start, size_t bytes, const char *message) {
    if (!hk_secure_end_is_intact(start, bytes)) {
        hk_fatal(message, start);
    }
}

void hk_secure_large_freed(char *start, size_t bytes, size_t slack) {
    if (slack) {
        hk_secure_large_look(start, bytes, "free(): write past the end of");
    }
    if (is_zeroing()) {
        (void)hk_os_purge(start, bytes + slack);
    }
    hk_secure_set_next(start, NULL);
}

void hk_secure_large_taken(const char *start) {
    if (!waits(start)) {
        hk_fatal("malloc(): write into free block", start);
    }
}

void hk_secure_look_at_live(const void *block, size_t bytes) {
    if (hk_code_of(block) < HK_CLASSES) {
        hk_slab_check(block, "realloc(): invalid pointer");
        if (is_free(block, bytes - HK_SECURE_BYTES)) {
            hk_fatal("realloc(): use of free block", block);
        }
    }
    if (!hk_secure_end_is_intact(block, bytes - HK_SECURE_BYTES)) {
        hk_fatal("realloc(): write past the end of", block);
    }
}
