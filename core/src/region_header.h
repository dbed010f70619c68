/* The variant `header` (HK_HEADER=1, docs/variants.md): the byte before each small block holds its
 * class, written whenever the block is given out; free reads it there instead of in the class map.
 *
 *     ... last byte of the block before | block, aligned to 16 ...
 *                                 class |
 *
 * So a block has room for one byte less than its class, and the first block of a slab is not used.
 * Addresses at a multiple of 64 KiB (NULL, runs, large blocks, a few of large classes) are looked
 * up as ever: what lies before them need not be readable.
 *
 * In a library without headers all of it is nothing. */
#ifndef HK_REGION_HEADER_H
#define HK_REGION_HEADER_H

#include "base.h"
#include "class_map.h"
#include "size_class.h"

#include <string.h>

#ifndef HK_HEADER
#define HK_HEADER 0
#endif

enum {
    hk_header_on = HK_HEADER,
    HK_HEADER_BYTES = hk_header_on ? 1 : 0,
    /* Blocks at the start of a slab without room for a header. */
    HK_HEADER_SKIPPED = hk_header_on ? 1 : 0,
    /* What a byte before a block can be taken for: any. */
    HK_HEADER_CODES = hk_header_on ? UINT8_MAX + 1 : HK_CODES,
};

/* Writes the class of a block that is about to be given to the program; returns the block. */
HK_INLINE void *tiny_region_id_write_header(void *block, size_t cls) {
    if (hk_header_on) {
        ((uint8_t *)block)[-1] = (uint8_t)cls;
    }
    return block;
}

HK_INLINE bool hk_header_expected(const void *block) {
    return hk_header_on && ((uintptr_t)block & (HK_UNIT - 1)) != 0;
}

/* The code of an address that is to be freed; for one that is no block, it can be anything. */
HK_INLINE unsigned hk_header_code_of(const void *block) {
    return HK_LIKELY(hk_header_expected(block)) ? ((const uint8_t *)block)[-1] : hk_code_of(block);
}

/* Dies unless the header says what the class map says: `code`. */
HK_INLINE void hk_header_check(const void *block, unsigned code) {
    if (hk_header_expected(block) && ((const uint8_t *)block)[-1] != code) {
        hk_fatal(code ? "free(): overwritten header of" : "free(): invalid pointer", block);
    }
}

/* What a free block holds in its second word, without the last byte: in the smallest class that is
 * the next block's header. Addresses need six. */
enum { HK_HEADER_FREE_BYTES = sizeof(void *) - 1 };

HK_INLINE void *hk_header_next_batch(const void *batch) {
    uintptr_t next = 0;
    memcpy(&next, (const char *)batch + sizeof(void *), HK_HEADER_FREE_BYTES);
    return (void *)next;
}

HK_INLINE void hk_header_set_next_batch(void *batch, const void *next) {
    memcpy((char *)batch + sizeof(void *), &next, HK_HEADER_FREE_BYTES);
}

#endif
