/* What all tests share: a check that says where it failed, random numbers, blocks with a pattern.
 */
#ifndef CHECK_H
#define CHECK_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);          \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* splitmix64 */
static inline uint64_t next_random(uint64_t *state) {
    uint64_t z = (*state += 0x9E3779B97F4A7C15U);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
}

/* Sizes as programs ask for them: mostly small, each power of two as likely as the next. */
static inline size_t random_size(uint64_t *state, unsigned max_bits) {
    unsigned bits = (unsigned)(next_random(state) % (max_bits + 1));
    return (size_t)(next_random(state) & (((uint64_t)1 << bits) - 1));
}

/* Fills the ends of a block with a pattern that its address and size determine; all of a small one.
 */
static inline void stamp(void *block, size_t size) {
    unsigned char byte = (unsigned char)(((uintptr_t)block >> 4) ^ size);
    memset(block, byte, size < 256 ? size : 256);
    if (size >= 256) {
        memset((char *)block + size - 16, byte, 16);
    }
}

static inline bool stamp_holds(const void *block, size_t size) {
    const unsigned char *bytes = block;
    unsigned char byte = (unsigned char)(((uintptr_t)block >> 4) ^ size);
    for (size_t i = 0; i < size && i < 256; i++) {
        if (bytes[i] != byte) {
            return false;
        }
    }
    for (size_t i = size < 256 ? size : size - 16; i < size; i++) {
        if (bytes[i] != byte) {
            return false;
        }
    }
    return true;
}

#endif
