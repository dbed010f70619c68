#include "meta.h"

#include "lock.h"
#include "os.h"

enum {
    HK_META_CHUNK = 64 * 1024, /* some twenty thread records; only touched pages cost memory */
    HK_CACHE_LINE = 64,
    HK_FIRST_CHUNK = 2048,
    /* Left out at the start of a chunk: the first lines of pages share their cache sets with those
     * of every block that is aligned to pages, which programs touch most. */
    HK_META_SKIPPED = 1536,
};

/* The record of the first thread: many programs need no more. Behind what the loader writes, in the
 * same page: neither a page of its own, nor the first lines of one. */
static char first_chunk[HK_FIRST_CHUNK] __attribute__((aligned(HK_CACHE_LINE)));

static struct hk_lock meta_lock;
static char *chunk_next = first_chunk;
static size_t chunk_left = sizeof first_chunk;

static bool refill(size_t size) {
    size += HK_META_SKIPPED;
    size_t bytes = size > HK_META_CHUNK ? hk_round_up(size, hk_os_page()) : HK_META_CHUNK;
    char *chunk = hk_os_map(bytes, hk_os_page());
    if (!chunk) {
        return false;
    }
    chunk_next = chunk + HK_META_SKIPPED;
    chunk_left = bytes - HK_META_SKIPPED;
    return true;
}

void *hk_meta_alloc(size_t size) {
    void *result = NULL;
    size = hk_round_up(size, HK_CACHE_LINE);
    hk_lock(&meta_lock, HK_LOCK_META);
    if (size <= chunk_left || refill(size)) {
        result = chunk_next;
        chunk_next += size;
        chunk_left -= size;
    }
    hk_unlock(&meta_lock);
    return result;
}

void hk_meta_locks(hk_lock_visitor *visit) {
    visit(&meta_lock, HK_LOCK_META);
}
