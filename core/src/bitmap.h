/* The variant `bitmap` (HK_BITMAP=1, docs/variants.md): the free blocks of a
 * slab are bits, not links through the blocks. Two tiers: a bit a block in
 * words, and a summary that says which words have bits, so that a free block is
 * two bit scans away however many are in use.
 *
 * The bits lie in the slab's record in its SuperSlab: no class loses a block to
 * them, a program that writes past a block does not reach them, and a block's
 * memory is touched by its user alone.
 *
 * A library without bitmaps has none of it. */
#ifndef HK_BITMAP_H
#define HK_BITMAP_H

#include "base.h"

#ifndef HK_BITMAP
#define HK_BITMAP 0
#endif

enum {
    hk_bitmap_on = HK_BITMAP,
    HK_BITMAPS = hk_bitmap_on ? 1 : 0, /* of a slab */
    HK_BITMAP_WORD = 64,               /* bits of a word, and words of a summary */
    HK_BITMAP_MAX = HK_BITMAP_WORD * HK_BITMAP_WORD,
};
_Static_assert(HK_UNIT / HK_ALIGNMENT <= HK_BITMAP_MAX, "a slab of the smallest class fits");

/* Zeroes: no block is free. */
struct hk_bitmap {
    uint64_t summary; /* a bit a word that is not 0 */
    uint64_t words[HK_BITMAP_WORD];
};

HK_INLINE bool hk_bitmap_is_free(const struct hk_bitmap *bitmap, unsigned index) {
    return bitmap->words[index / HK_BITMAP_WORD] >> index % HK_BITMAP_WORD & 1;
}

/* Frees a block. False: it is free already. */
HK_INLINE bool hk_bitmap_free(struct hk_bitmap *bitmap, unsigned index) {
    if (HK_UNLIKELY(hk_bitmap_is_free(bitmap, index))) {
        return false;
    }
    bitmap->words[index / HK_BITMAP_WORD] |= (uint64_t)1 << index % HK_BITMAP_WORD;
    bitmap->summary |= (uint64_t)1 << index / HK_BITMAP_WORD;
    return true;
}

/* Takes the `count` lowest free blocks, of which there must be as many, and
 * writes down where they are, the lowest last: blocks of `size` bytes from
 * `first` on. */
HK_INLINE void hk_bitmap_take(struct hk_bitmap *bitmap, unsigned count, char *first, size_t size,
                              void **blocks) {
    void **end = blocks + count;
    while (end > blocks) {
        unsigned index = (unsigned)__builtin_ctzl(bitmap->summary);
        uint64_t word = bitmap->words[index];
        char *start = first + (size_t)index * HK_BITMAP_WORD * size;
        for (; word && end > blocks; word &= word - 1) {
            *--end = start + (unsigned)__builtin_ctzl(word) * size;
        }
        bitmap->words[index] = word;
        if (!word) {
            bitmap->summary &= bitmap->summary - 1;
        }
    }
}

/* Free blocks, from the words; dies if the summary does not fit them. */
HK_INLINE unsigned hk_bitmap_count(const struct hk_bitmap *bitmap) {
    unsigned count = 0;
    for (unsigned word = 0; word < HK_BITMAP_WORD; word++) {
        if ((bitmap->words[word] != 0) != (bitmap->summary >> word & 1)) {
            hk_fatal("verify: wrong summary of bitmap", bitmap);
        }
        count += (unsigned)__builtin_popcountl(bitmap->words[word]);
    }
    return count;
}

#endif
