/* The variant `secure` (HK_SECURE=1, docs/variants.md): misuse of a block ends in a message with
 * its address, and abort.
 *
 *     live | the program's bytes ...                             |   KEY + here  |
 *     free | next | next + KEY + here | old bytes ...            | ~(KEY + here) |
 *
 * KEY is a random number of the process, `here` is the block's address. The last word tells that a
 * block is live, and that nobody wrote past its end: the one word that free reads, for each line
 * that it must wait for costs more than all of its instructions. It is turned over, not written, so
 * that a write to it shows whenever it came. The first two words of a free block must agree
 * whenever it is handed on: malloc reads the first one anyway. So a block has room for eight bytes
 * less than its class, and is 32 bytes at least.
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
};

extern struct hk_secure {
    uint64_t key;
    uint64_t
        mark; /* in its place in what is freed now: another one where freed blocks are zeroed */
} hk_secure __attribute__((visibility("hidden")));

/* The cold checks (secure_check.c): die, unless blocks are zeroed and all is well. */
HK_COLD void hk_secure_look_at_free(const void *block);
HK_COLD void hk_secure_look_at_freed(void *block, unsigned cls);
/* For realloc and malloc_usable_size. `bytes`: of the block, its last word included. */
void hk_secure_look_at_live(const void *block, size_t bytes);

/* A block's last word. */
HK_INLINE uint64_t *hk_secure_end(const void *block, size_t offset) {
    return (uint64_t *)((uintptr_t)block + offset);
}

HK_INLINE bool hk_secure_end_is_intact(const void *block, size_t offset) {
    return *hk_secure_end(block, offset) == hk_secure.key + (uintptr_t)block;
}

/* A live block becomes a free one, or the other way round. (Compilers add the address up first, and
 * turn a copy: three instructions more.) */
HK_INLINE void hk_secure_turn(void *block, size_t offset) {
#if defined __x86_64__
    __asm__("notq (%0,%1)" : : "r"(block), "r"(offset) : "memory");
#else
    *hk_secure_end(block, offset) = ~*hk_secure_end(block, offset);
#endif
}

/* The words of a free block agree, with this key or mark. */
HK_INLINE bool hk_secure_agree(const void *block, uint64_t key) {
    const uint64_t *words = block;
    return words[1] == words[0] + (uintptr_t)block + key;
}

/* The fast checks. False: look closer. */
HK_INLINE bool hk_secure_may_give(const void *block) {
    return !hk_secure_on || HK_LIKELY(hk_secure_agree(block, hk_secure.key));
}

HK_INLINE void hk_secure_link(void *block, const void *next, uint64_t tag) {
    uint64_t *words = block;
    words[0] = (uintptr_t)next;
    words[1] = (uintptr_t)next + tag;
}

/* Makes a block the first of a list, if it is live and nobody wrote past its end. */
HK_INLINE bool hk_secure_push(void *block, size_t offset, const void *list) {
    const uint64_t tag = hk_secure.mark + (uintptr_t)block;
    if (HK_UNLIKELY(*hk_secure_end(block, offset) != tag)) {
        return false;
    }
    hk_secure_turn(block, offset);
    hk_secure_link(block, list, tag);
    return true;
}

/* A block is taken off a list. */
HK_INLINE void hk_secure_taken(const void *block) {
    if (!hk_secure_may_give(block)) {
        hk_secure_look_at_free(block);
    }
}

HK_INLINE void hk_secure_set_next(void *block, const void *next) {
    hk_secure_link(block, next, hk_secure.mark + (uintptr_t)block);
}

/* A block of a class is about to be given to the program, which must not learn the key. */
HK_INLINE void hk_secure_given(void *block, size_t offset) {
    if (hk_secure_on) {
        ((uint64_t *)block)[1] = 0;
        hk_secure_turn(block, offset);
    }
}

/* Writes the last word of a live block of so many bytes. */
HK_INLINE void hk_secure_set_end(void *block, size_t bytes) {
    if (hk_secure_on) {
        *hk_secure_end(block, bytes - HK_SECURE_BYTES) = hk_secure.key + (uintptr_t)block;
    }
}

/* A run: as hk_secure_freed and hk_secure_given for blocks of a class. */
void hk_secure_run_freed(void *block, size_t bytes);
HK_INLINE void hk_secure_run_given(void *block, size_t bytes) {
    if (hk_secure_on) {
        ((uint64_t *)block)[1] = 0;
        hk_secure_set_end(block, bytes);
    }
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
 * of a range and the next multiple of 64 KiB are such, too. `bytes` are whole pages. */
void *hk_secure_map(size_t bytes, size_t alignment);
bool hk_secure_unmap(char *start, size_t bytes);
/* Leaves the first `kept` bytes. False: all is as before. */
bool hk_secure_shorten(char *start, size_t bytes, size_t kept);
/* The first `bytes` have moved elsewhere; those of the slack have not. */
void hk_secure_abandon(char *start, size_t bytes, size_t slack);

/* To move a guard takes a system call. So a range that is used again keeps its own; where the block
 * does not fill it, KEY + here stands behind the block. */

/* How many of a range's bytes a block of `bytes` is given: an eighth more at most, so that the
 * words behind blocks lie on few pages. */
size_t hk_secure_large_use(char *start, size_t bytes, size_t all);
/* Dies if the word behind a block was written to. */
void hk_secure_large_look(const char *start, size_t bytes, const char *message);
/* A large block is freed, and with its slack waits for its next use. */
void hk_secure_large_freed(char *start, size_t bytes, size_t slack);
void hk_secure_large_taken(const char *start);

/* Before the first block is cut: chooses the keys. */
void hk_secure_start(void);
/* When a thread starts: where the last words of blocks are, by class. */
void hk_secure_tell_ends(uint16_t *ends);
/* Once the configuration is known: blocks are zeroed from now on. */
void hk_secure_zero_on_free(void);

#endif
