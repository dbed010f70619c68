/* Sizes and classes.
 *
 *     class    1 ..  64      16 ..  1024 bytes, steps of 16
 *     class   65 .. 111    1152 .. 61440 bytes, eight steps a doubling (at most 12.5 % lost)
 *
 * A class doubles as the code that the class map gives for an address; the codes after the last
 * class say what else an address can be. Code 0: nothing of ours (or NULL). */
#ifndef HK_SIZE_CLASS_H
#define HK_SIZE_CLASS_H

#include "base.h"
#include "secure.h"

enum {
    HK_FINE_SHIFT = 4,
    HK_FINE_MAX = 1024, /* largest size with steps of 16 */
    HK_FINE_MAX_SHIFT = 10,
    HK_FINE_CLASSES = HK_FINE_MAX >> HK_FINE_SHIFT,
    HK_STEPS_SHIFT = 3,   /* 1 << this steps a doubling, above */
    HK_SMALL_MAX = 61440, /* largest size that has a class: the next step is a unit */
    HK_CLASSES = HK_FINE_CLASSES + (6 << HK_STEPS_SHIFT),

    HK_CODE_NONE = 0,
    HK_CODE_RUN = HK_CLASSES, /* first unit of a run of units: the L2.5 pool */
    HK_CODE_LARGE,            /* first unit of a mapping of its own */
    HK_CODES,
};

/* Class of a size from 1 to HK_FINE_MAX; 0 for 0, a class that never has blocks. */
HK_INLINE size_t hk_class_fine(size_t size) {
    return (size + HK_ALIGNMENT - 1) >> HK_FINE_SHIFT;
}

/* Class of a size from 9 to HK_SMALL_MAX if the steps grew from 16 bytes on: below HK_FINE_MAX too
 * large a class, above it the right one. */
HK_INLINE size_t hk_class_coarse(size_t size) {
    size_t last = size - 1;
    unsigned doubling = 63U ^ (unsigned)__builtin_clzl(last); /* its highest bit: 3 .. 15 */
    size_t step = last >> (doubling - HK_STEPS_SHIFT);        /* 8 .. 15 */
    return step + ((size_t)doubling << HK_STEPS_SHIFT) +
           (HK_FINE_CLASSES + 1 - (HK_FINE_MAX_SHIFT << HK_STEPS_SHIFT) - (1 << HK_STEPS_SHIFT));
}

/* Class of `last` + 1 bytes, at most HK_SMALL_MAX: the smaller of the two, for each is the larger
 * on the other's side. Without a branch, which random sizes make expensive: a third of the time of
 * an aligned_alloc and a free. */
HK_INLINE size_t hk_class_of_last(size_t last) {
    size_t fine = (last >> HK_FINE_SHIFT) + 1;
    size_t coarse = hk_class_coarse((last | (1 << HK_STEPS_SHIFT)) + 1);
    return fine < coarse ? fine : coarse;
}

HK_INLINE size_t hk_class_of(size_t size) {
    return hk_class_of_last(size - 1);
}

/* Bytes of a block of a class. */
HK_INLINE size_t hk_class_size(size_t cls) {
    if (hk_secure_on && cls == 1) {
        return HK_SECURE_SMALLEST;
    }
    if (cls <= HK_FINE_CLASSES) {
        return cls << HK_FINE_SHIFT;
    }
    size_t index = cls - HK_FINE_CLASSES - 1;
    size_t steps = (index & ((1 << HK_STEPS_SHIFT) - 1)) + (1 << HK_STEPS_SHIFT) + 1;
    return steps << ((index >> HK_STEPS_SHIFT) + HK_FINE_MAX_SHIFT - HK_STEPS_SHIFT);
}

/* Units of a slab: at least eight blocks fit, so that little is left over at the end. */
HK_INLINE unsigned hk_class_units(size_t cls) {
    size_t size = hk_class_size(cls);
    return size <= 8192 ? 1 : size <= 32768 ? 4 : 8;
}

#endif
