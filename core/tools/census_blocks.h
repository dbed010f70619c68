/* The blocks of a program that are live: how large each was asked for, and by which thread.
 *
 * Exact while memory for it can be had. Safe for threads, and across fork with the two functions
 * below; it never calls malloc. */
#ifndef HAK_CENSUS_BLOCKS_H
#define HAK_CENSUS_BLOCKS_H

#include <stddef.h>

struct block {
    const void *address; /* NULL: not known */
    size_t size;         /* bytes that were asked for */
    unsigned thread;
};

/* A block that was not live until now. */
void blocks_add(struct block block);

/* What was known of a block that is live no more. To be asked before it is given back: after that
 * another thread may get the same address. */
struct block blocks_remove(const void *address);

/* The most bytes that were live at once since the start or the fork; -1 if that is not known,
 * because the kernel gave no memory to remember all blocks. */
long long blocks_peak_bytes(void);

/* Around a fork: nobody may be inside a change of the table that the child inherits. */
void blocks_before_fork(void);
void blocks_after_fork_parent(void);
void blocks_after_fork_child(void);

#endif
