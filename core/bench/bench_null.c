/* The null allocator: what the harness costs when allocation is free. Its functions are out of
 * line, so that the calls stay, and hand out one block a thread, so that threads do not fight
 * over a cache line. */
#include "bench.h"

#include <sys/mman.h>

enum { NULL_BLOCK_BYTES = 64 << 20 }; /* more than any benchmark asks for in one call */

static char *null_blocks;
static _Thread_local void *null_block;

void bench_null_prepare(unsigned threads) {
    const size_t bytes = (size_t)threads * NULL_BLOCK_BYTES; /* only pages that are touched exist */
    null_blocks = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (null_blocks == MAP_FAILED) {
        bench_out_of_memory(bytes);
    }
}

void bench_null_enter(unsigned thread) {
    null_block = null_blocks + (size_t)thread * NULL_BLOCK_BYTES;
}

void *bench_null_malloc(size_t bytes) {
    (void)bytes;
    return null_block;
}

void *bench_null_calloc(size_t count, size_t bytes) {
    (void)count;
    (void)bytes;
    return null_block;
}

void *bench_null_realloc(void *block, size_t bytes) {
    (void)block;
    (void)bytes;
    return null_block;
}

void *bench_null_aligned_alloc(size_t alignment, size_t bytes) {
    (void)alignment;
    (void)bytes;
    return null_block;
}

void bench_null_free(void *block) {
    (void)block;
}
