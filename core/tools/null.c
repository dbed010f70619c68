/* libhaknull.so: the other kind of nothing. Preloaded, it serves the allocation calls of the region
 * of interest from one block a thread and ignores every free there, so that what a benchmark then
 * costs is its own work, the calls, and the jumps through the linkage table. Outside the region the
 * C library's malloc serves. */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { BLOCK_BYTES = 64 << 20, THREADS = 512 }; /* only pages that are touched exist */

/* glibc's own functions under their second names. */
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *block, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);
void __libc_free(void *block);

void hakroi_begin(void);
void hakroi_end(void);
void *memalign(size_t alignment, size_t bytes);

static char *blocks; /* of all threads */
static unsigned entered;
static _Thread_local void *nothing __attribute__((tls_model("initial-exec")));

void hakroi_begin(void) {
    const unsigned index = __atomic_fetch_add(&entered, 1, __ATOMIC_RELAXED);
    nothing = index < THREADS ? blocks + (size_t)index * BLOCK_BYTES : NULL;
}

void hakroi_end(void) {
    nothing = NULL;
}

__attribute__((constructor)) static void reserve(void) {
    blocks = mmap(NULL, (size_t)THREADS * BLOCK_BYTES, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (blocks == MAP_FAILED) {
        fputs("libhaknull: cannot reserve its blocks; is address space limited?\n", stderr);
        abort();
    }
}

static inline bool is_nothing(const void *block) {
    return (uintptr_t)block - (uintptr_t)blocks < (uintptr_t)THREADS * BLOCK_BYTES;
}

/* libc's headers name the parameters with reserved identifiers.
 * NOLINTBEGIN(readability-inconsistent-declaration-parameter-name) */

/* Each on a line of the instruction cache, as an allocator's should be: where they lie must not
 * depend on the luck of the link. */
#define ALIGNED __attribute__((aligned(64)))

ALIGNED void *malloc(size_t bytes) {
    return nothing ? nothing : __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes) {
    return nothing ? nothing : __libc_calloc(count, bytes);
}

void *realloc(void *block, size_t bytes) {
    return nothing ? nothing : __libc_realloc(is_nothing(block) ? NULL : block, bytes);
}

void *memalign(size_t alignment, size_t bytes) {
    return nothing ? nothing : __libc_memalign(alignment, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes) {
    return memalign(alignment, bytes);
}

int posix_memalign(void **block, size_t alignment, size_t bytes) {
    void *found = memalign(alignment, bytes);
    *block = found ? found : *block;
    return found ? 0 : ENOMEM;
}

ALIGNED void free(void *block) {
    if (!nothing && !is_nothing(block)) {
        __libc_free(block);
    }
}

/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
