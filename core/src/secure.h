/* The variant `secure` (HK_SECURE=1, docs/variants.md): misuse of a block ends in a message with
 * its address, and abort.
 *
 *     live | the program's bytes ...                             | END ^ here |
 *     free | next ^ LINK ^ here | next ^ LINK ^ MARK | old bytes | END ^ here |
 *
 * Names in capitals are random keys of the process, `here` is the block's address. The first two
 * words of a free block must agree whenever it is handed on; a block whose words agree when it is
 * freed is free already. The last word is written when the block is cut, and read by free. So a
 * block has room for eight bytes less than its class, and is 32 bytes at least.
 *
 * With HAKMEM_ZERO_ON_FREE=1 the fast checks look for what no block holds, so that every call takes
 * the cold ones, which also zero what is freed, and see whether it still is zero.
 *
 * In a library without it all of it is nothing. */
#ifndef HK_SECURE_H
#define HK_SECURE_H

#include "base.h"

#ifndef HK_SECURE
#define HK_SECURE 0
#endif

enum {
    hk_secure_on = HK_SECURE,
    HK_SECURE_BYTES = hk_secure_on ? 8 : 0, /* of a block, behind the program's */
    HK_SECURE_SMALLEST = 32,
    HK_SECURE_ENDS = 128, /* at least as many as there are codes */
};

extern struct hk_secure {
    uint64_t link;
    uint64_t mark;     /* of what is freed now */
    uint64_t expected; /* of what is given out: another one where freed blocks are zeroed */
    uint64_t end;
    uint16_t ends[HK_SECURE_ENDS]; /* offset of the last word by class; 0 where blocks are zeroed */
} hk_secure __attribute__((visibility("hidden")));

/* The cold checks (secure_check.c): die, unless blocks are zeroed and all is well. */
HK_COLD void hk_secure_look_at_free(const void *block);
HK_COLD void hk_secure_look_at_freed(void *block, unsigned cls);
/* For realloc and malloc_usable_size. `bytes`: of the block, its last word included. */
void hk_secure_look_at_live(const void *block, size_t bytes);

/* MARK, if the block is free. */
HK_INLINE uint64_t hk_secure_mark_at(const void *block) {
    const uint64_t *words = block;
    return words[0] ^ words[1] ^ (uintptr_t)block;
}

/* END, if it has not been written to. */
HK_INLINE uint64_t hk_secure_end_at(const void *block, size_t offset) {
    return *(const uint64_t *)((const char *)block + offset) ^ (uintptr_t)block;
}

/* A link of `block`, hidden or shown. */
HK_INLINE void *hk_secure_link(const void *block, const void *link) {
    return (void *)((uintptr_t)link ^ (uintptr_t)block ^ hk_secure.link);
}

/* The fast checks. False: look closer. */
HK_INLINE bool hk_secure_may_give(const void *block) {
    return !hk_secure_on || HK_LIKELY(hk_secure_mark_at(block) == hk_secure.expected);
}

HK_INLINE bool hk_secure_may_free(const void *block, size_t cls) {
    return !hk_secure_on ||
           HK_LIKELY(hk_secure_mark_at(block) != hk_secure.mark &&
                     hk_secure_end_at(block, hk_secure.ends[cls]) == hk_secure.end);
}

/* A block is taken off a list. */
HK_INLINE void hk_secure_taken(const void *block) {
    if (!hk_secure_may_give(block)) {
        hk_secure_look_at_free(block);
    }
}

HK_INLINE void hk_secure_set_next(void *block, const void *next) {
    uint64_t *words = block;
    uint64_t hidden = (uintptr_t)next ^ hk_secure.link;
    words[0] = hidden ^ (uintptr_t)block;
    words[1] = hidden ^ hk_secure.mark;
}

/* A block is about to be given to the program: it is not free any more. */
HK_INLINE void hk_secure_given(void *block) {
    if (hk_secure_on) {
        ((uint64_t *)block)[1] = 0;
    }
}

/* Writes the last word of a block of so many bytes. */
HK_INLINE void hk_secure_set_end(void *block, size_t bytes) {
    if (hk_secure_on) {
        *(uint64_t *)((char *)block + bytes - HK_SECURE_BYTES) = hk_secure.end ^ (uintptr_t)block;
    }
}

/* A run: as hk_secure_freed and hk_secure_given for blocks of a class. */
void hk_secure_run_freed(void *block, size_t bytes);
HK_INLINE void hk_secure_run_given(void *block, size_t bytes) {
    hk_secure_given(block);
    hk_secure_set_end(block, bytes);
}

/* A list of fresh blocks, in random order. */
void *hk_secure_cut(char *start, unsigned blocks, size_t size);

/* The batch behind one: in the third word of its first block. */
void *hk_secure_next_batch(const void *batch);
void hk_secure_set_next_batch(void *batch, const void *next);
HK_INLINE void hk_secure_batch_taken(void *batch) {
    if (hk_secure_on) {
        ((uint64_t *)batch)[2] = 0;
    }
}

/* Large blocks, with 64 KiB of pages that nobody may touch on both sides; the pages between the end
 * of a block and the next multiple of 64 KiB are such, too. `bytes` are whole pages. */
void *hk_secure_map(size_t bytes, size_t alignment);
bool hk_secure_unmap(char *start, size_t bytes);
/* Leaves the first `kept` bytes. False: all is as before. */
bool hk_secure_shorten(char *start, size_t bytes, size_t kept);
/* The pages have moved elsewhere. */
void hk_secure_abandon(char *start, size_t bytes);
/* A large block is freed, and waits for its next use. */
void hk_secure_large_freed(char *start, size_t bytes);
void hk_secure_large_taken(const char *start);

/* Before the first block is cut: chooses the keys. */
void hk_secure_start(void);
/* Once the configuration is known: blocks are zeroed from now on. */
void hk_secure_zero_on_free(void);

#endif
