/* Preloaded, defines every entry point, and hands each call on to glibc's malloc by its other name.
 *
 *   -DAFTER=N   serves the first N allocations itself and hands on only the later ones */
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

enum { ALIGNMENT = 16, HEAP_BYTES = 1 << 26 };

void *__libc_malloc(size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *block);

static _Alignas(ALIGNMENT) unsigned char heap[HEAP_BYTES];
#ifdef AFTER
static atomic_size_t served, used;
#endif

static int is_own(const void *block) {
    return (const unsigned char *)block >= heap && (const unsigned char *)block < heap + HEAP_BYTES;
}

void *malloc(size_t size) {
#ifdef AFTER
    if (served < AFTER && size < HEAP_BYTES - used - ALIGNMENT) {
        served++;
        return heap + atomic_fetch_add(&used, (size + ALIGNMENT) / ALIGNMENT * ALIGNMENT);
    }
#endif
    return __libc_malloc(size);
}

void free(void *block) {
    if (!is_own(block)) {
        __libc_free(block);
    }
}

void *calloc(size_t count, size_t size) {
    size_t bytes = 0;
    void *block = __builtin_mul_overflow(count, size, &bytes) ? NULL : malloc(bytes);
    return block ? memset(block, 0, bytes) : NULL;
}

void *realloc(void *old, size_t size) {
    if (!is_own(old)) {
        return __libc_realloc(old, size);
    }
    const size_t after = (size_t)(heap + HEAP_BYTES - (unsigned char *)old);
    void *block = __libc_malloc(size);
    return block ? memcpy(block, old, size < after ? size : after) : NULL;
}

void *memalign(size_t alignment, size_t size) {
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **block, size_t alignment, size_t size) {
    *block = __libc_memalign(alignment, size);
    return *block ? 0 : ENOMEM;
}

void *valloc(size_t size) {
    return __libc_memalign(4096, size);
}

void *pvalloc(size_t size) {
    return __libc_memalign(4096, (size + 4095) / 4096 * 4096);
}

size_t malloc_usable_size(void *block) {
    return block ? (((size_t *)block)[-1] & ~(size_t)7) - sizeof(size_t) : 0; /* glibc's header */
}
