/* The entry points: what a program calls. They check arguments, choose a layer, and set errno; the
 * paths that everything is measured by are malloc and free. */
#define _GNU_SOURCE
#include "hakmem.h"

#include "class_map.h"
#include "config.h"
#include "events.h"
#include "large.h"
#include "os.h"
#include "region_header.h"
#include "superslab.h"
#include "thread_cache.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

enum {
    /* realloc keeps a block that is at most this many times too large. */
    KEEP_FACTOR = 2,
    /* A block that grows gets this part more than was asked for, so that the next steps stay. */
    GROWTH_PART = 8,
};
#define RUN_MAX ((size_t)HK_RUN_MAX_UNITS << HK_UNIT_SHIFT)

__attribute__((constructor(101))) static void start(void) {
    hk_config_read();
    (void)hk_class_map_init();
    hk_cache_start();
    hk_on_process_started();
}

/* --- allocation ------------------------------------------------------------------------------- */

static void *alloc_run(size_t size, bool *zeroed) {
    hk_on_early(HK_EARLY_SIZE_RUN);
    unsigned units = (unsigned)((size + HK_UNIT - 1) >> HK_UNIT_SHIFT);
    void *block = hk_cache_take_run(units);
    *zeroed = false;
    if (!block) {
        enum hk_stage stage = HK_STAGE_RECYCLED;
        struct hk_slab *run = hk_units_take(units, HK_CODE_RUN, &stage);
        if (!run) {
            return NULL;
        }
        *zeroed = stage != HK_STAGE_RECYCLED;
        block = hk_slab_start(run);
    }
    hk_on_alloc_run(size, (size_t)units << HK_UNIT_SHIFT);
    hk_cache_count(HK_STATS_ALLOC);
    return block;
}

static void *alloc_large(size_t size, size_t alignment, bool *zeroed) {
    hk_on_early(HK_EARLY_SIZE_LARGE);
    hk_cache_tick();
    void *block = hk_large_alloc(size, alignment, zeroed);
    if (block) {
        hk_on_alloc_large(size, size);
        hk_cache_count(HK_STATS_ALLOC);
    }
    return block;
}

/* Blocks without a class: one try. */
static void *try_big(size_t size, size_t alignment, bool *zeroed) {
    return size <= RUN_MAX && alignment <= HK_UNIT ? alloc_run(size, zeroed)
                                                   : alloc_large(size, alignment, zeroed);
}

/* Fails a request, after the memory that waits in caches could not help. */
static HK_COLD void *no_memory(void) {
    hk_on_early(HK_EARLY_NO_MEMORY);
    hk_on_alloc_failed();
    errno = ENOMEM;
    return NULL;
}

static HK_NOINLINE void *alloc_big(size_t size, size_t alignment, bool *zeroed) {
    if (HK_UNLIKELY(size > PTRDIFF_MAX)) {
        hk_on_early(HK_EARLY_SIZE_ABSURD);
        return no_memory();
    }
    void *block = try_big(size, alignment, zeroed);
    if (!block && hk_cache_trim()) {
        block = try_big(size, alignment, zeroed);
    }
    return block ? block : no_memory();
}

/* A block of a class whose list may be empty. */
static HK_NOINLINE void *alloc_refill(size_t cls, size_t size) {
    void *block = hk_cache_refill((unsigned)cls);
    if (!block && hk_cache_trim()) {
        block = hk_cache_refill((unsigned)cls);
    }
    if (!block) {
        return no_memory();
    }
    hk_on_alloc_refilled((unsigned)cls, size);
    hk_cache_count(HK_STATS_ALLOC);
    return tiny_region_id_write_header(block, cls);
}

HK_INLINE void *alloc_of_class(size_t cls, size_t size) {
    void *block = hk_cache_pop(cls);
    if (HK_LIKELY(block != NULL)) {
        hk_on_alloc_hit(hk_cache_own_block(), cls, size);
        return tiny_region_id_write_header(block, cls);
    }
    return alloc_refill(cls, size);
}

static HK_NOINLINE void *alloc_beyond_classes(size_t size) {
    bool zeroed;
    return alloc_big(size, HK_UNIT, &zeroed);
}

/* Beyond the classes in steps of 16, which are the first test of malloc. */
static HK_NOINLINE void *alloc_coarse(size_t size) {
    return HK_LIKELY(size <= HK_SMALL_MAX - HK_HEADER_BYTES)
               ? alloc_of_class(hk_class_coarse(size + HK_HEADER_BYTES), size)
               : alloc_beyond_classes(size);
}

/* malloc's list is empty; that of malloc(0) always is. */
static HK_NOINLINE void *alloc_fine_slow(size_t size) {
    if (size == 0) {
        hk_on_early(HK_EARLY_SIZE_ZERO);
        return alloc_of_class(1, size);
    }
    return alloc_refill(hk_class_fine(size + HK_HEADER_BYTES), size);
}

HK_INLINE void *alloc(size_t size) {
    if (HK_UNLIKELY(size > HK_FINE_MAX - HK_HEADER_BYTES)) {
        return alloc_coarse(size);
    }
    size_t cls = hk_class_fine(size + HK_HEADER_BYTES);
    void *block = hk_cache_pop(cls);
    if (HK_UNLIKELY(block == NULL)) {
        return alloc_fine_slow(size);
    }
    hk_on_alloc_hit(hk_cache_own_block(), cls, size);
    return tiny_region_id_write_header(block, cls);
}

HK_EXPORT void *malloc(size_t size) {
    return alloc(size);
}

HK_EXPORT void *hak_alloc_at(size_t size, const void *site) {
    (void)site;
    return alloc(size);
}

HK_EXPORT void *calloc(size_t count, size_t size) {
    size_t bytes;
    bool zeroed = false;
    if (HK_UNLIKELY(__builtin_mul_overflow(count, size, &bytes))) {
        hk_on_early(HK_EARLY_SIZE_ABSURD);
        return no_memory();
    }
    hk_on_calloc();
    void *block =
        bytes <= HK_SMALL_MAX - HK_HEADER_BYTES ? alloc(bytes) : alloc_big(bytes, HK_UNIT, &zeroed);
    if (block && !zeroed) {
        memset(block, 0, bytes);
    }
    return block;
}

/* --- free ------------------------------------------------------------------------------------- */

static struct hk_slab *run_at(void *block, const char *caller) {
    struct hk_slab *run = hk_slab_of(block);
    if (hk_slab_start(run) != block) {
        hk_fatal(caller, block);
    }
    return run;
}

static void free_run(void *block) {
    struct hk_slab *run = run_at(block, "free(): invalid pointer");
    hk_on_free_run((size_t)run->units << HK_UNIT_SHIFT);
    if (!hk_cache_keep_run(run->units, block)) {
        hk_units_give(run);
    }
}

/* The thread's list is full, or the address is of no class. Keeps errno. */
static HK_NOINLINE void free_slow(void *block) {
    unsigned code = hk_code_of(block);
    hk_header_check(block, code);
    if (code != HK_CODE_NONE) {
        hk_cache_count(HK_STATS_FREE);
    }
    if (code != HK_CODE_NONE && code < HK_CLASSES) {
        hk_cache_overflow(code, block);
        return;
    }
    hk_cache_bypassed(code);
    if (code == HK_CODE_RUN) {
        free_run(block);
    } else if (block == NULL) {
        hk_on_early(HK_EARLY_NULL);
    } else if (code != HK_CODE_LARGE || !hk_large_free(block)) {
        hk_on_early(HK_EARLY_FOREIGN);
        hk_fatal("free(): invalid pointer", block);
    }
}

HK_INLINE void release(void *block) {
    unsigned code = hk_header_code_of(block);
    if (HK_UNLIKELY(!hk_cache_push(code, block))) {
        free_slow(block);
        return;
    }
    hk_on_free_tls_sll(hk_cache_own_block(), code);
}

HK_EXPORT void free(void *block) {
    release(block);
}

HK_EXPORT void hak_free_at(void *block, size_t size, const void *site) {
    (void)size;
    (void)site;
    release(block);
}

HK_EXPORT void hak_free_sized(void *block, size_t size) {
    (void)size;
    release(block);
}

/* --- size of a block, realloc ----------------------------------------------------------------- */

static size_t usable_size(const void *block, const char *caller) {
    unsigned code = hk_code_of(block);
    size_t size = 0;
    if (code == HK_CODE_RUN) {
        size = (size_t)run_at((void *)(uintptr_t)block, caller)->units << HK_UNIT_SHIFT;
    } else if (code == HK_CODE_LARGE) {
        size = hk_large_size(block);
    } else {
        size = hk_class_size(code) - (code ? HK_HEADER_BYTES : 0);
    }
    if (size == 0) {
        hk_on_early(HK_EARLY_FOREIGN);
        hk_fatal(caller, block);
    }
    return size;
}

HK_EXPORT size_t malloc_usable_size(void *block) {
    return block ? usable_size(block, "malloc_usable_size(): invalid pointer") : 0;
}

HK_EXPORT size_t hak_usable_size(const void *block) {
    return block ? usable_size(block, "hak_usable_size(): invalid pointer") : 0;
}

/* Gives the block `size` bytes where it lies, or (large ones) by moving its pages. NULL: cannot. */
static void *resize(void *block, size_t old_size, size_t size) {
    unsigned code = hk_code_of(block);
    if (code == HK_CODE_LARGE && size > RUN_MAX) {
        return hk_large_resize(block, size);
    }
    if (code == HK_CODE_RUN && size > HK_SMALL_MAX && size <= RUN_MAX) {
        struct hk_slab *run = hk_slab_of(block);
        unsigned units = (unsigned)((size + HK_UNIT - 1) >> HK_UNIT_SHIFT);
        if (units < run->units) {
            hk_units_shrink(run, units);
        }
        return units <= run->units || hk_units_grow(run, units) ? block : NULL;
    }
    return size <= old_size && size >= old_size / KEEP_FACTOR ? block : NULL;
}

static void *move(void *block, size_t old_size, size_t size) {
    size_t growth = size > old_size && size < PTRDIFF_MAX / 2 ? size / GROWTH_PART : 0;
    void *moved = alloc(size + growth);
    if (!moved) {
        return NULL;
    }
    memcpy(moved, block, old_size < size ? old_size : size);
    release(block);
    return moved;
}

HK_EXPORT void *realloc(void *block, size_t size) {
    if (!block) {
        return alloc(size);
    }
    if (size == 0) {
        release(block);
        return NULL;
    }
    size_t old_size = usable_size(block, "realloc(): invalid pointer");
    void *resized = resize(block, old_size, size);
    if (resized) {
        hk_on_realloc_in_place();
        return resized;
    }
    hk_on_realloc_moved();
    return move(block, old_size, size);
}

HK_EXPORT void *reallocarray(void *block, size_t count, size_t size) {
    size_t bytes;
    if (HK_UNLIKELY(__builtin_mul_overflow(count, size, &bytes))) {
        hk_on_early(HK_EARLY_SIZE_ABSURD);
        return no_memory();
    }
    return realloc(block, bytes);
}

/* --- aligned blocks --------------------------------------------------------------------------- */

/* `alignment` is a power of two. Blocks of a class are aligned to the largest power of two that
 * divides their size, for slabs are aligned to 64 KiB. */
static void *alloc_aligned(size_t alignment, size_t size) {
    hk_on_aligned();
    if (alignment <= HK_ALIGNMENT) {
        return alloc(size);
    }
    if (size > PTRDIFF_MAX - alignment) {
        hk_on_early(HK_EARLY_SIZE_ABSURD);
        return no_memory();
    }
    size_t bytes = size + HK_HEADER_BYTES;
    size_t rounded = bytes > alignment ? hk_round_up(bytes, alignment) : alignment;
    if (rounded <= HK_SMALL_MAX) {
        size_t cls = hk_class_of(rounded);
        while (hk_class_size(cls) & (alignment - 1)) {
            cls++;
        }
        return alloc_of_class(cls, size);
    }
    bool zeroed;
    return alloc_big(size > HK_SMALL_MAX ? size : HK_SMALL_MAX + 1, alignment, &zeroed);
}

static void *bad_alignment(void) {
    hk_on_early(HK_EARLY_BAD_ALIGNMENT);
    errno = EINVAL;
    return NULL;
}

/* As glibc: rounds an odd alignment up. */
HK_EXPORT void *memalign(size_t alignment, size_t size) {
    if (alignment > SIZE_MAX / 2 + 1) {
        return bad_alignment();
    }
    if (!hk_is_power_of_two(alignment)) {
        alignment = alignment ? (size_t)1 << (64 - __builtin_clzl(alignment)) : HK_ALIGNMENT;
    }
    return alloc_aligned(alignment, size);
}

HK_EXPORT void *aligned_alloc(size_t alignment, size_t size) {
    return hk_is_power_of_two(alignment) ? alloc_aligned(alignment, size) : bad_alignment();
}

HK_EXPORT int posix_memalign(void **result, size_t alignment, size_t size) {
    if (!hk_is_power_of_two(alignment) || alignment % sizeof(void *) != 0) {
        hk_on_early(HK_EARLY_BAD_ALIGNMENT);
        return EINVAL;
    }
    int kept = errno;
    void *block = alloc_aligned(alignment, size);
    errno = kept;
    if (!block) {
        return ENOMEM;
    }
    *result = block;
    return 0;
}

HK_EXPORT void *valloc(size_t size) {
    return alloc_aligned(hk_os_page(), size);
}

HK_EXPORT void *pvalloc(size_t size) {
    size_t page = hk_os_page();
    return alloc_aligned(page, size > PTRDIFF_MAX ? size : hk_round_up(size ? size : 1, page));
}
