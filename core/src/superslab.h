/* SuperSlabs: 4 MiB of address space, aligned, in 64 units of 64 KiB. Runs of units become slabs of
 * small blocks, or blocks of the L2.5 pool. The first unit holds the records of the others, out of
 * line, so that blocks lie on round addresses and records share no pages with them.
 *
 * Free units are *dirty* (resident, to be used first) or clean. Dirty units beyond what the last
 * second needed go back to the system. */
#ifndef HK_SUPERSLAB_H
#define HK_SUPERSLAB_H

#include "base.h"
#include "bitmap.h"
#include "events.h"
#include "lock.h"

#define HK_SUPERSLAB ((size_t)4 << 20)

enum {
    HK_UNITS = 64,
    HK_RUN_MAX_UNITS = 16, /* 1 MiB: larger blocks are mappings of their own */
};

/* A slab, or a run: what its first unit's record says. The slab layer owns all but the first line.
 */
struct hk_slab {
    uint8_t cls; /* or HK_CODE_RUN */
    uint8_t units;
    bool listed;         /* in its class's list of slabs that can give blocks */
    bool clean;          /* a run on its way back: its pages went before (variant `learn`) */
    uint32_t used;       /* blocks that are neither in `free` nor still to be carved */
    uint32_t carved;     /* blocks cut so far */
    uint32_t free_count; /* length of `free` */
    void *free;          /* blocks that came back */
    const void *owner;   /* thread that opened it */
    struct hk_slab *next, *previous;
    struct hk_bitmap bitmap[HK_BITMAPS]; /* in place of `free`, in the variant `bitmap` */
};

/* A run of units for blocks of class `code` (or HK_CODE_RUN), NULL if there is no memory. `stage`
 * tells where it came from; other than HK_STAGE_RECYCLED it reads as zero. */
struct hk_slab *hk_units_take(unsigned units, uint8_t code, enum hk_stage *stage);
void hk_units_give(struct hk_slab *slab);

/* Shrinks a run to its first `units`, or grows it into the free units behind it. */
void hk_units_shrink(struct hk_slab *slab, unsigned units);
bool hk_units_grow(struct hk_slab *slab, unsigned units);

/* Of an address in a slab or a run; the same, and how far into it the address lies; first byte of a
 * slab. */
struct hk_slab *hk_slab_of(const void *address);
struct hk_slab_place {
    struct hk_slab *slab;
    size_t offset;
};
struct hk_slab_place hk_slab_place(const void *address);
char *hk_slab_start(const struct hk_slab *slab);

/* Called every half HAKMEM_DECAY_MS: gives back dirty units that were not needed since. */
void hk_superslab_tick(void);
/* Gives back all dirty units, and unmaps SuperSlabs without a block. True if anything went. */
bool hk_superslab_trim(void);

struct hk_superslab_stats {
    size_t mapped, peak_mapped, dirty, used; /* bytes */
    size_t runs, run_bytes;                  /* live blocks of the L2.5 pool */
};
struct hk_superslab_stats hk_superslab_stats(void);
/* Bytes of slabs and runs, without a lock. */
size_t hk_superslab_used(void);

/* For whoever must stop the layer as a whole. */
void hk_superslab_locks(hk_lock_visitor *visit);
/* Calls `visit` for each slab (not run); with the layer stopped. */
void hk_superslab_each_slab(void (*visit)(const struct hk_slab *slab, void *context),
                            void *context);

#endif
