/* The header variant (HK_HEADER=1, libhakmem-header): the byte before each block of a class holds
 * the class, as in the earlier hakmem, so that its cost can be measured. Nothing reads it.
 *
 * It is the last byte of the block before, which the variant therefore does not give to the
 * program: every block but the large ones (whose neighbours are mappings of their own) is one byte
 * smaller than its class, and stays as aligned. */
#ifndef HK_REGION_HEADER_H
#define HK_REGION_HEADER_H

#include "base.h"

#ifndef HK_HEADER
#define HK_HEADER 0
#endif

enum { HK_HEADER_BYTES = HK_HEADER };

/* Writes the class of a block that is about to be given to the program; returns the block. */
HK_INLINE void *tiny_region_id_write_header(void *block, size_t cls) {
    if (HK_HEADER_BYTES) {
        ((uint8_t *)block)[-1] = (uint8_t)cls;
    }
    return block;
}

#endif
