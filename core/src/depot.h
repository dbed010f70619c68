/* Magazines: arrays of free blocks of one class (Bonwick and Adams, 2001). A thread takes blocks
 * from one and adds to it; what it has too much goes to the depot, what another thread put there is
 * taken, a whole magazine each time. The depot keeps magazines that hold blocks, for each class,
 * and those that hold none, for all. */
#ifndef HK_DEPOT_H
#define HK_DEPOT_H

#include "base.h"
#include "lock.h"

struct hk_magazine {
    struct hk_magazine *next; /* in the depot */
    uint32_t capacity;        /* in blocks */
    uint32_t count;           /* of blocks, while no thread takes from it */
    void *slots[]; /* the first is NULL, which says that there are no more; blocks from 1 on */
};

enum {
    /* Blocks of the smallest and the largest magazine: 128 bytes to 2 KiB, and powers of two in
     * between. */
    HK_MAGAZINE_LEAST = 13,
    HK_MAGAZINE_MOST = 253,
};

/* An empty magazine for so many blocks, or as many as the largest holds; NULL: no memory. */
struct hk_magazine *hk_magazine_new(unsigned blocks);
/* Takes an empty one back. */
void hk_magazine_recycle(struct hk_magazine *magazine);

/* A magazine with blocks of the class, NULL if there is none: HK_STAGE_CENTRAL. */
struct hk_magazine *hk_depot_take(unsigned cls);

/* Takes over a magazine with blocks; if the class holds enough of them, the blocks go to their
 * slabs. False: nobody has wanted blocks of the class for a while. */
bool hk_depot_put(unsigned cls, struct hk_magazine *magazine);

/* For whoever must stop the layer as a whole: what hk_slab_locks does not visit. */
void hk_depot_locks(hk_lock_visitor *visit);

#endif
