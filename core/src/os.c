#define _GNU_SOURCE
#include "os.h"

#include "events.h"
#include "limit.h"

#include <errno.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#if HK_OS_FAULTS
#define FAULT(call) hk_os_fault(call)
#else
#define FAULT(call) false
#endif

/* Runs one call, keeps errno, reports it. */
#define OS_CALL(kind, bytes, worked_expression)                                                    \
    ({                                                                                             \
        int kept_errno = errno;                                                                    \
        bool worked = !FAULT(kind) && (worked_expression);                                         \
        errno = kept_errno;                                                                        \
        hk_on_os_call(kind, bytes, worked);                                                        \
        worked;                                                                                    \
    })

/* All mappings lie in [low, high) when high is not 0; `next` is where to look first, and a mere
 * hint, so that threads need no lock for it. */
static struct { uintptr_t low, high, next; } window;

/* Where the class map starts, until something was mapped below it. */
static uintptr_t reserved;

size_t hk_os_page(void) {
    static size_t page;
    if (page == 0) {
        page = getauxval(AT_PAGESZ);
    }
    return page;
}

bool hk_os_unmap(void *address, size_t size) {
    if (size && !OS_CALL(HK_OS_MUNMAP, size, munmap(address, size) == 0)) {
        return false;
    }
    hk_limit_shrunk(size);
    return true;
}

/* mmap; NULL if it fails because of memory, MAP_FAILED if something lies at a fixed address. */
static void *map_at(void *address, size_t size, int protection, int flags) {
    void *result = MAP_FAILED;
    bool taken = false;
    (void)OS_CALL(HK_OS_MMAP, size,
                  (result = mmap(address, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1,
                                 0)) != MAP_FAILED ||
                      ((taken = errno == EEXIST), false));
    if (result != MAP_FAILED && protection & PROT_WRITE) {
        hk_limit_grown(size);
    }
    return result != MAP_FAILED || taken ? result : NULL;
}

/* Exactly at `address`, or MAP_FAILED, or NULL. Before 4.17 kernels take the address for a hint. */
static void *map_exactly_at(void *address, size_t size, int protection, int flags) {
    void *got = map_at(address, size, protection, flags | MAP_FIXED_NOREPLACE);
    if (got && got != MAP_FAILED && got != address) {
        (void)hk_os_unmap(got, size);
        return MAP_FAILED;
    }
    return got;
}

/* Cuts `size` aligned bytes out of the mapping at `start` and unmaps what is left on both sides. */
static void *trim_to_alignment(char *start, size_t mapped, size_t size, size_t alignment) {
    char *aligned = (char *)hk_round_up((uintptr_t)start, alignment);
    size_t before = (size_t)(aligned - start);
    (void)hk_os_unmap(start, before);
    (void)hk_os_unmap(aligned + size, mapped - before - size);
    return aligned;
}

/* The system puts a new mapping below the one before. Below the class map an aligned place is asked
 * for, once: SuperSlabs that follow are then aligned as they come, and none is trimmed. */
static void *wanted_place(size_t size, size_t alignment) {
    if (alignment <= HK_UNIT) {
        return NULL;
    }
    uintptr_t above = __atomic_exchange_n(&reserved, 0, __ATOMIC_RELAXED);
    return above > size ? (void *)((above - size) & -alignment) : NULL;
}

static void *map_anywhere(size_t size, size_t alignment) {
    void *start = map_at(wanted_place(size, alignment), size, PROT_READ | PROT_WRITE, 0);
    if (start && ((uintptr_t)start & (alignment - 1)) == 0) {
        return start;
    }
    if (!start || !hk_os_unmap(start, size)) {
        return NULL;
    }
    start = map_at(NULL, size + alignment, PROT_READ | PROT_WRITE, 0);
    return start ? trim_to_alignment(start, size + alignment, size, alignment) : NULL;
}

/* Looks for a gap from `window.next` to the end, then once more from the start. */
static void *map_in_window(size_t size, size_t alignment) {
    uintptr_t at = __atomic_load_n(&window.next, __ATOMIC_RELAXED);
    for (int round = 0; round < 2; round++, at = window.low) {
        at = hk_round_up(at, alignment);
        for (; at + size <= window.high; at += hk_round_up(size, alignment)) {
            void *got = map_exactly_at((void *)at, size, PROT_READ | PROT_WRITE, 0);
            if (got != MAP_FAILED) {
                __atomic_store_n(&window.next, at + size, __ATOMIC_RELAXED);
                return got;
            }
        }
    }
    return NULL;
}

void *hk_os_map(size_t size, size_t alignment) {
    return window.high ? map_in_window(size, alignment) : map_anywhere(size, alignment);
}

void hk_os_confine(uintptr_t low, uintptr_t high) {
    window.low = window.next = low;
    window.high = high;
}

void *hk_os_reserve(size_t size) {
    void *start = map_at(NULL, size, PROT_READ, MAP_NORESERVE);
    reserved = (uintptr_t)start;
    return start;
}

void *hk_os_reserve_at(void *address, size_t size) {
    void *got = map_exactly_at(address, size, PROT_READ, MAP_NORESERVE);
    return got == MAP_FAILED ? NULL : got;
}

bool hk_os_commit(void *address, size_t size) {
    return OS_CALL(HK_OS_MPROTECT, size, mprotect(address, size, PROT_READ | PROT_WRITE) == 0);
}

bool hk_os_guard(void *address, size_t size) {
    return OS_CALL(HK_OS_MPROTECT, size, mprotect(address, size, PROT_NONE) == 0);
}

bool hk_os_purge(void *address, size_t size) {
    return OS_CALL(HK_OS_PURGE, size, madvise(address, size, MADV_DONTNEED) == 0);
}

void hk_os_huge(void *address, size_t size, bool wanted) {
    if (wanted && hk_limit_is_near()) {
        return;
    }
    (void)OS_CALL(HK_OS_HUGE, size,
                  madvise(address, size, wanted ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) == 0);
}

bool hk_os_look(void *address, size_t size, unsigned char *pages) {
    return OS_CALL(HK_OS_LOOK, size, mincore(address, size, pages) == 0);
}

bool hk_os_move(void *from, size_t size, void *to) {
    bool moved = OS_CALL(HK_OS_MREMAP, size,
                         mremap(from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
    hk_limit_shrunk(moved ? size : 0);
    return moved;
}

uint64_t hk_os_clock_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}
