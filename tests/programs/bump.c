/* A whole allocator in a few lines: hands out memory in order and takes none of it back.
 *
 *   cc -shared -fPIC bump.c            an allocator to preload
 *   cc -DHALF -shared -fPIC bump.c     one that replaces malloc and free only
 *   cc -DNO_PVALLOC -shared -fPIC bump.c  one that lacks what hardly anybody calls
 *   cc -DOPERATORS -shared -fPIC bump.c   one that defines C++'s operator new as well
 *   cc -DABORT -shared -fPIC bump.c    one that dies when it is loaded
 *   cc program.c bump.c                a program with a malloc of its own
 *   cc -DHIDDEN program.c bump.c       the same, and nobody else can see it */
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#ifdef HIDDEN
#pragma GCC visibility push(hidden)
#endif

enum { ALIGNMENT = 16, HEADER_BYTES = 16, HEAP_BYTES = 1 << 28, PAGE_BYTES = 4096 };

static _Alignas(PAGE_BYTES) unsigned char heap[HEAP_BYTES];
static atomic_size_t used;

static void *carve(size_t alignment, size_t size) {
    const size_t room = HEADER_BYTES + alignment + size;
    if (size > HEAP_BYTES || alignment > HEAP_BYTES || used + room > HEAP_BYTES) {
        errno = ENOMEM;
        return NULL;
    }
    const size_t start = atomic_fetch_add(&used, room) + HEADER_BYTES;
    unsigned char *block = heap + (start + alignment - 1) / alignment * alignment;
    memcpy(block - sizeof size, &size, sizeof size);
    return block;
}

void *malloc(size_t size) {
    return carve(ALIGNMENT, (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
}

void free(void *block) {
    (void)block;
}

#ifndef HALF
static size_t size_of(const void *block) {
    size_t size = 0;
    if (block) {
        memcpy(&size, (const unsigned char *)block - sizeof size, sizeof size);
    }
    return size;
}

void *calloc(size_t count, size_t size) {
    return size && count > HEAP_BYTES / size ? NULL : malloc(count * size); /* never used before */
}

void *realloc(void *old, size_t size) {
    void *block = malloc(size);
    const size_t kept = size_of(old) < size ? size_of(old) : size;
    return block && old ? memcpy(block, old, kept) : block;
}

void *memalign(size_t alignment, size_t size) {
    return carve(alignment < ALIGNMENT ? ALIGNMENT : alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    return memalign(alignment, size);
}

int posix_memalign(void **block, size_t alignment, size_t size) {
    *block = memalign(alignment, size);
    return *block ? 0 : ENOMEM;
}

void *valloc(size_t size) {
    return memalign(PAGE_BYTES, size);
}

#ifndef NO_PVALLOC
void *pvalloc(size_t size) {
    return memalign(PAGE_BYTES, (size + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES);
}
#endif

size_t malloc_usable_size(void *block) {
    return size_of(block);
}
#endif

#ifdef OPERATORS
void *_Znwm(size_t size);

void *_Znwm(size_t size) {
    return carve(ALIGNMENT, size);
}
#endif

#ifdef ABORT
__attribute__((constructor)) static void refuse(void) {
    abort();
}
#endif
