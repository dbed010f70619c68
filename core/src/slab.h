/* Slabs: units of a SuperSlab cut into blocks of one class; and, for each class, what all threads
 * share: the slabs that can give blocks, and a stack of batches.
 *
 * A batch is a list of free blocks that a thread handed over. Handing it over and taking it is O(1)
 * and nobody knows its length; its first block's second word links the batches of the stack. */
#ifndef HK_SLAB_H
#define HK_SLAB_H

#include "base.h"
#include "lock.h"

/* A list of free blocks of the class: the stages from HK_STAGE_CENTRAL on, in their order. At most
 * `want` are carved; the other stages give what they have. NULL if there is no memory. */
void *hk_slab_refill(unsigned cls, unsigned want);

/* Takes a list over: as a batch while the stack may grow, else block by block into the slabs.
 * False: nobody has wanted blocks of the class for a while.
 * `blocks`: about how long the list is. */
bool hk_slab_put(unsigned cls, void *list, size_t blocks);

/* One block, for threads without a cache. NULL if there is no memory. */
void *hk_slab_alloc_one(unsigned cls);

/* The same for caches that hold blocks in arrays (the variant `magazine`, which has these two in
 * the place of the three above). Writes up to `want` blocks of the class into `slots` and says how
 * many, 0 if there is no memory: the stages from HK_STAGE_PARTIAL on, in their order. The last slot
 * is the one to be used first. */
unsigned hk_slab_take(unsigned cls, void **slots, unsigned want);
/* Returns blocks to their slabs. Why they go there is an event of the caller's (the depot was
 * full, or drained). In the variant `bitmap` it dies at what is no block in use. */
void hk_slab_give(unsigned cls, void *const *slots, unsigned count);

/* Returns to the slabs the batches that were not needed since the last tick, or (trim) all. */
void hk_batches_tick(void);
bool hk_batches_trim(void);
/* With arrays, the same for slabs without a block in use: from the reserve to the SuperSlabs. */
void hk_slab_tick(void);
bool hk_slab_trim(void);

/* Dies unless `block` is the start of a block of its slab, cut and perhaps live. */
void hk_slab_check(const void *block, const char *caller);

struct hk_slab_stats {
    size_t blocks, bytes;               /* in slabs' use: live, or in lists */
    size_t listed_blocks, listed_bytes; /* of these, in batches */
    size_t carved_bytes;
};
struct hk_slab_stats hk_slab_stats(void);

/* Debug: walks everything and dies at the first invariant that does not hold. */
void hk_slab_verify(void);

/* For whoever must stop the layer as a whole. */
void hk_slab_locks(hk_lock_visitor *visit);

#endif
