/* The entry points: what a program calls. They check arguments, choose a layer, and set errno; the
 * paths that everything is measured by are malloc and free. */
#define _GNU_SOURCE
#include "hakmem.h"

#include "class_map.h"
#include "config.h"
#include "events.h"
#include "large.h"
#include "learn.h"
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
    /* A block that grows a little grows by this part at least, so that the next steps stay. */
    GROWTH_PART = 4,
    /* Bytes of a small block that are not the program's, in variants. */
    BLOCK_OVERHEAD = HK_HEADER_BYTES + HK_SECURE_BYTES,
};
#define RUN_MAX (((size_t)HK_RUN_MAX_UNITS << HK_UNIT_SHIFT) - HK_SECURE_BYTES)

__attribute__((constructor(101))) static void start(void) {
    hk_config_read();
    if (hk_secure_on) {
        (void)hk_class_map_init(); /* to know a foreign address before anything is allocated */
    }
    if (hk_secure_on && hk_config.zero_on_free) {
        hk_secure_zero_on_free();
    }
    if (hk_counters_on) {
        hk_fork_watch(); /* a child counts for itself */
    }
    if (hk_learn_on) {
        hk_learn_start();
    }
    hk_on_process_started();
}

/* --- allocation ------------------------------------------------------------------------------- */

HK_INLINE unsigned units_of(size_t size) {
    return (unsigned)((size + HK_SECURE_BYTES + HK_UNIT - 1) >> HK_UNIT_SHIFT);
}

static void *alloc_run(size_t size, bool *zeroed) {
    hk_on_early(HK_EARLY_SIZE_RUN);
    unsigned units = units_of(size);
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
    hk_secure_run_given(block, (size_t)units << HK_UNIT_SHIFT);
    hk_on_alloc_run(size, (size_t)units << HK_UNIT_SHIFT);
    hk_cache_count(HK_STATS_ALLOC);
    return block;
}

static void *alloc_large(size_t size, size_t alignment, bool *zeroed) {
    hk_on_early(HK_EARLY_SIZE_LARGE);
    hk_cache_begin();
    void *block = hk_large_alloc(size, alignment, zeroed);
    hk_cache_tick();
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

/* From the layers below, which give back what they can when the system refuses. */
static void *obtain_big(size_t size, size_t alignment, bool *zeroed) {
    void *block = try_big(size, alignment, zeroed);
    if (!block && hk_cache_trim()) {
        block = try_big(size, alignment, zeroed);
    }
    return block;
}

/* From the call site's own free blocks, if there are any (variant `learn`). */
static void *alloc_at_site(size_t size, size_t alignment, bool *zeroed, struct hk_site site) {
    struct hk_learn_visit visit;
    void *block = hk_learn_reuse(site, size, alignment, &visit);
    if (block) {
        *zeroed = false;
        hk_cache_count(HK_STATS_ALLOC);
        return block;
    }
    block = obtain_big(size, alignment, zeroed);
    hk_learn_mapped(&visit, block, size, block && *zeroed);
    return block;
}

static HK_NOINLINE void *alloc_big(size_t size, size_t alignment, bool *zeroed,
                                   struct hk_site site) {
    if (HK_UNLIKELY(size > PTRDIFF_MAX)) {
        hk_on_early(HK_EARLY_SIZE_ABSURD);
        return no_memory();
    }
    void *block = hk_learn_on ? alloc_at_site(size, alignment, zeroed, site)
                              : obtain_big(size, alignment, zeroed);
    return block ? block : no_memory();
}

/* A block of a class goes to the program. */
HK_INLINE void *hand_out(void *block, size_t cls) {
    hk_secure_given(block, hk_tls_end(hk_tls_offset(), cls));
    return tiny_region_id_write_header(block, cls);
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
    hk_secure_given(block, hk_class_size(cls) - HK_SECURE_BYTES); /* of any thread */
    return tiny_region_id_write_header(block, cls);
}

HK_INLINE void *alloc_of_class(size_t cls, size_t size) {
    void *block = hk_cache_pop(cls);
    if (HK_LIKELY(block != NULL)) {
        hk_on_alloc_hit(hk_cache_own_block(), cls, size);
        return hand_out(block, cls);
    }
    return alloc_refill(cls, size);
}

static HK_NOINLINE void *alloc_beyond_classes(size_t size, struct hk_site site) {
    bool zeroed = false;
    return alloc_big(size, HK_UNIT, &zeroed, site);
}

/* Beyond the classes in steps of 16, which are the first test of malloc. */
static HK_HOT HK_NOINLINE void *alloc_coarse(size_t size, struct hk_site site) {
    return HK_LIKELY(size <= HK_SMALL_MAX - BLOCK_OVERHEAD)
               ? alloc_of_class(hk_class_coarse(size + BLOCK_OVERHEAD), size)
               : alloc_beyond_classes(size, site);
}

/* malloc's list is empty; that of malloc(0) always is. */
static HK_NOINLINE void *alloc_fine_slow(size_t size) {
    if (size == 0) {
        hk_on_early(HK_EARLY_SIZE_ZERO);
        return alloc_of_class(1, size);
    }
    return alloc_refill(hk_class_fine(size + BLOCK_OVERHEAD), size);
}

/* From the thread's list of one of the classes in steps of 16; NULL: the slow way. */
HK_INLINE void *alloc_fast(size_t size) {
    if (HK_UNLIKELY(size > HK_FINE_MAX - BLOCK_OVERHEAD)) {
        return NULL;
    }
    size_t cls = hk_class_fine(size + BLOCK_OVERHEAD);
    void *block = hk_cache_pop(cls);
    if (HK_LIKELY(block != NULL)) {
        hk_on_alloc_hit(hk_cache_own_block(), cls, size);
        (void)hand_out(block, cls);
    }
    return block;
}

/* A multiple of the alignment that holds `size` bytes, less one: a power of two rounds up by the
 * bits below it. Too large to have a class for no bytes, and for alignment 0. */
HK_INLINE size_t last_of(size_t alignment, size_t size) {
    return (size + BLOCK_OVERHEAD - 1) | (alignment - 1);
}

/* The same of any class, without a branch that depends on which. Blocks of a class are aligned to
 * the largest power of two that divides their size, for slabs are aligned to 64 KiB; and a multiple
 * of the alignment has a class whose size is one, too (test_size_class). */
HK_INLINE void *alloc_fast_any(size_t alignment, size_t size) {
    size_t last = last_of(alignment, size);
    if (HK_UNLIKELY(last >= HK_SMALL_MAX || (BLOCK_OVERHEAD != 0 && size > HK_SMALL_MAX))) {
        return NULL;
    }
    size_t cls = hk_class_of_last(last);
    void *block = hk_cache_pop(cls);
    if (HK_LIKELY(block != NULL)) {
        hk_on_alloc_hit(hk_cache_own_block(), cls, size);
        (void)hand_out(block, cls);
    }
    return block;
}

HK_INLINE void *alloc_slow(size_t size, struct hk_site site) {
    return size > HK_FINE_MAX - BLOCK_OVERHEAD ? alloc_coarse(size, site) : alloc_fine_slow(size);
}

HK_INLINE void *alloc(size_t size, struct hk_site site) {
    void *block = alloc_fast(size);
    return HK_LIKELY(block != NULL) ? block : alloc_slow(size, site);
}

/* Where the program called the entry point that this stands in. */
#define HERE hk_site_of(__builtin_return_address(0))

/* Not by alloc: the site must not be fetched on the fast path. */
HK_HOT HK_EXPORT void *malloc(size_t size) {
    void *block = alloc_fast(size);
    return HK_LIKELY(block != NULL) ? block : alloc_slow(size, HERE);
}

HK_EXPORT void *hak_alloc_at(size_t size, const void *site) {
    (void)site;
    return alloc(size, hk_site_of(site));
}

static HK_NOINLINE void *calloc_slow(size_t bytes, struct hk_site site) {
    bool big = bytes > HK_SMALL_MAX - BLOCK_OVERHEAD;
    bool zeroed = big;
    void *block = big ? alloc_big(bytes, HK_UNIT, &zeroed, site) : alloc_slow(bytes, site);
    return block && !zeroed ? memset(block, 0, bytes) : block;
}

HK_HOT HK_EXPORT void *calloc(size_t count, size_t size) {
    size_t bytes;
    if (HK_UNLIKELY(__builtin_mul_overflow(count, size, &bytes))) {
        hk_on_early(HK_EARLY_SIZE_ABSURD);
        return no_memory();
    }
    hk_on_calloc();
    void *block = alloc_fast_any(HK_ALIGNMENT, bytes);
    return HK_LIKELY(block != NULL) ? memset(block, 0, bytes) : calloc_slow(bytes, HERE);
}

/* --- free ------------------------------------------------------------------------------------- */

/* The class map knows a run by its first unit. */
static struct hk_slab *run_at(const void *block, const char *caller) {
    if ((uintptr_t)block & (HK_UNIT - 1)) {
        hk_fatal(caller, block);
    }
    return hk_slab_of(block);
}

static void free_run(void *block) {
    struct hk_slab *run = run_at(block, "free(): invalid pointer");
    if (hk_secure_on) {
        hk_secure_run_freed(block, (size_t)run->units << HK_UNIT_SHIFT);
    }
    hk_on_free_run((size_t)run->units << HK_UNIT_SHIFT);
    if (!hk_cache_keep_run(run, block)) {
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
    if (hk_learn_on && hk_learn_take(block, code)) {
        return;
    }
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

HK_HOT HK_EXPORT void free(void *block) {
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
        size = ((size_t)run_at(block, caller)->units << HK_UNIT_SHIFT) - HK_SECURE_BYTES;
    } else if (code == HK_CODE_LARGE) {
        size = hk_large_size(block);
    } else {
        size = hk_class_size(code) - (code ? BLOCK_OVERHEAD : 0);
    }
    if (size == 0) {
        hk_on_early(HK_EARLY_FOREIGN);
        hk_fatal(caller, block);
    }
    if (hk_secure_on && code != HK_CODE_LARGE) {
        hk_secure_look_at_live(block, size + HK_SECURE_BYTES);
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
        return hk_learn_on ? hk_learn_resize(block, size) : hk_large_resize(block, size);
    }
    if (code == HK_CODE_RUN && size > HK_SMALL_MAX && size <= RUN_MAX) {
        struct hk_slab *run = hk_slab_of(block);
        unsigned units = units_of(size);
        if (units < run->units) {
            hk_units_shrink(run, units);
        }
        if (units > run->units && !hk_units_grow(run, units)) {
            return NULL;
        }
        hk_secure_set_end(block, (size_t)run->units << HK_UNIT_SHIFT);
        return block;
    }
    return size <= old_size && size >= old_size / KEEP_FACTOR ? block : NULL;
}

static void *move(void *block, size_t old_size, size_t size, struct hk_site site) {
    size_t least = old_size + old_size / GROWTH_PART;
    void *moved = alloc(size > old_size && size < least ? least : size, site);
    if (!moved) {
        return NULL;
    }
    memcpy(moved, block, old_size < size ? old_size : size);
    release(block);
    return moved;
}

HK_HOT HK_EXPORT void *realloc(void *block, size_t size) {
    if (!block) {
        return alloc(size, HERE);
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
    return move(block, old_size, size, HERE);
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

static HK_NOINLINE void *alloc_aligned_big(size_t alignment, size_t size, struct hk_site site) {
    if (size > PTRDIFF_MAX - alignment) {
        hk_on_early(HK_EARLY_SIZE_ABSURD);
        return no_memory();
    }
    bool zeroed = false;
    return alloc_big(size > HK_SMALL_MAX ? size : HK_SMALL_MAX + 1, alignment, &zeroed, site);
}

/* The list is empty, the block too large, or no bytes are asked for. */
static HK_NOINLINE void *alloc_aligned_slow(size_t alignment, size_t size, struct hk_site site) {
    if (alignment <= HK_ALIGNMENT) {
        return alloc(size, site);
    }
    if (size <= HK_SMALL_MAX) {
        size_t last = last_of(alignment, size ? size : 1);
        if (last < HK_SMALL_MAX) {
            return alloc_of_class(hk_class_of_last(last), size);
        }
    }
    return alloc_aligned_big(alignment, size, site);
}

/* `alignment` is a power of two. */
HK_INLINE void *alloc_aligned(size_t alignment, size_t size, struct hk_site site) {
    hk_on_aligned();
    void *block = alloc_fast_any(alignment, size);
    return HK_LIKELY(block != NULL) ? block : alloc_aligned_slow(alignment, size, site);
}

static HK_COLD void *bad_alignment(void) {
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
    return alloc_aligned(alignment, size, HERE);
}

HK_HOT HK_EXPORT void *aligned_alloc(size_t alignment, size_t size) {
    return hk_is_power_of_two(alignment) ? alloc_aligned(alignment, size, HERE) : bad_alignment();
}

HK_HOT HK_EXPORT int posix_memalign(void **result, size_t alignment, size_t size) {
    if (!hk_is_power_of_two(alignment) || alignment % sizeof(void *) != 0) {
        hk_on_early(HK_EARLY_BAD_ALIGNMENT);
        return EINVAL;
    }
    hk_on_aligned();
    void *block = alloc_fast_any(alignment, size);
    if (HK_UNLIKELY(!block)) {
        int kept = errno;
        block = alloc_aligned_slow(alignment, size, HERE);
        errno = kept;
        if (!block) {
            return ENOMEM;
        }
    }
    *result = block;
    return 0;
}

HK_EXPORT void *valloc(size_t size) {
    return alloc_aligned(hk_os_page(), size, HERE);
}

HK_EXPORT void *pvalloc(size_t size) {
    size_t page = hk_os_page();
    return alloc_aligned(page, size > PTRDIFF_MAX ? size : hk_round_up(size ? size : 1, page),
                         HERE);
}
