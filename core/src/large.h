/* Blocks above the L2.5 pool: each a range of mapped pages of its own, at a multiple of 64 KiB.
 *
 * Freed ranges wait in the Whale cache, merged with their neighbours: at most HKM_WHALE_CAPACITY of
 * them, an eighth of the peak or HAKMEM_WHALE_MIB. What nobody needed for a decay is unmapped. */
#ifndef HK_LARGE_H
#define HK_LARGE_H

#include "base.h"
#include "learn_config.h"
#include "lock.h"

/* NULL if there is no memory. `zeroed` says whether the caller wants zeroes, and is told whether
 * the block reads as zero. Who wants them may touch little of it; other blocks are written before
 * they are read, and large ones get huge pages. */
void *hk_large_alloc(size_t size, size_t alignment, bool *zeroed);
/* False: no block starts there. */
bool hk_large_free(void *block);
/* Bytes of a block, 0 if none starts there. */
size_t hk_large_size(const void *block);
/* The block with room for `size` bytes, where it was or elsewhere; NULL: nothing has changed. */
void *hk_large_resize(void *block, size_t size);

#if HK_LEARN
/* Takes a block out of the books, its pages still mapped: they are the caller's to unmap. */
void hk_large_forget(void *block);
#endif

/* Unmaps what was not needed since the last tick. */
void hk_large_tick(void);
/* Unmaps the cache. True if anything went. */
bool hk_large_trim(void);

struct hk_large_stats {
    size_t blocks, bytes, cached;
    size_t peak; /* of bytes + cached */
};
struct hk_large_stats hk_large_stats(void);

/* For whoever must stop the layer as a whole. */
void hk_large_locks(hk_lock_visitor *visit);

#endif
