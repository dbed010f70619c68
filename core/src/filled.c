#include "filled.h"

#include "os.h"

#include <string.h>

enum {
    SIZES = 8,         /* doublings from a huge page on; the last one has all above */
    UNUSED_PART = 16,  /* so much of a filled block may be unused */
    SPARSE_WEIGHT = 8, /* a sparse block counts for so many filled ones */
    PROOF = 2,         /* so many bytes were filled for one that is expected to be */
    SAMPLES = 16,      /* pages of a huge one */
    LEAST_PAGE = 4096,
};

/* By size: bytes of blocks that were filled since the last sparse one. */
HK_SPARSE static ptrdiff_t filled[SIZES];

static ptrdiff_t *filled_of(size_t bytes) {
    unsigned doubling = 63 - (unsigned)__builtin_clzl(bytes / HK_HUGE_PAGE | 1);
    return &filled[doubling < SIZES ? doubling : SIZES - 1];
}

/* Pages of [start, start + bytes), at most a huge one, that are not resident: all if nobody knows.
 */
static size_t absent(void *start, size_t bytes) {
    unsigned char pages[HK_HUGE_PAGE / LEAST_PAGE];
    const size_t count = bytes / hk_os_page();
    if (!hk_os_look(start, bytes, pages)) {
        return count;
    }
    size_t there = 0;
    for (size_t i = 0; i < count; i++) {
        there += pages[i] & 1;
    }
    return count - there;
}

/* Sampled pages that hold nothing but zeroes. */
static size_t blank(const char *start, size_t bytes) {
    const size_t page = hk_os_page();
    const size_t step = HK_HUGE_PAGE / SAMPLES;
    size_t count = 0;
    for (size_t at = step / 2; at + page <= bytes; at += step) { /* not the ends */
        const char *each = start + at / page * page;
        count += *each == 0 && memcmp(each, each + 1, page - 1) == 0;
    }
    return count;
}

bool hk_filled_is(void *start, size_t bytes, bool huge) {
    const size_t step = huge ? HK_HUGE_PAGE / SAMPLES : hk_os_page();
    const size_t most = bytes / step / UNUSED_PART;
    size_t unused = 0;
    for (size_t at = 0; at < bytes && unused <= most; at += HK_HUGE_PAGE) {
        char *const part = (char *)start + at;
        const size_t length = bytes - at < HK_HUGE_PAGE ? bytes - at : HK_HUGE_PAGE;
        unused += huge ? blank(part, length) : absent(part, length);
    }
    return unused <= most;
}

void hk_filled_learn(size_t bytes, bool was_filled) {
    ptrdiff_t *const known = filled_of(bytes);
    *known = was_filled ? *known + (ptrdiff_t)bytes : -(ptrdiff_t)bytes * SPARSE_WEIGHT;
}

bool hk_filled_expect(size_t bytes, size_t unproven) {
    return *filled_of(bytes) >= (ptrdiff_t)(unproven + bytes) * PROOF;
}
