/* Ranges: content survives growth and moves, the cache merges and shrinks, nothing overlaps. */
#include "check.h"

#include "class_map.h"
#include "large.h"
#include "size_class.h"

enum { BLOCKS = 24, STEPS = 2000 };

static struct {
    void *block;
    size_t size;
} blocks[BLOCKS];

static size_t some_size(uint64_t *state) {
    return ((size_t)1 << 20) + next_random(state) % ((size_t)48 << 20);
}

static void make(size_t i, uint64_t *state) {
    size_t alignment = (size_t)1 << (12 + next_random(state) % 12);
    bool zeroed = next_random(state) % 2;
    blocks[i].size = some_size(state);
    blocks[i].block = hk_large_alloc(blocks[i].size, alignment, &zeroed);
    CHECK(blocks[i].block && ((uintptr_t)blocks[i].block & (alignment - 1)) == 0);
    CHECK(hk_large_size(blocks[i].block) >= blocks[i].size);
    CHECK(hk_code_of(blocks[i].block) == HK_CODE_LARGE);
    for (size_t offset = 0; zeroed && offset < blocks[i].size; offset += 4096) {
        CHECK(((char *)blocks[i].block)[offset] == 0);
    }
    stamp(blocks[i].block, blocks[i].size);
}

static void check_and_free(size_t i) {
    CHECK(stamp_holds(blocks[i].block, blocks[i].size));
    CHECK(hk_large_free(blocks[i].block));
    CHECK(!hk_large_free(blocks[i].block));
    blocks[i].block = NULL;
}

static void resize(size_t i, uint64_t *state) {
    size_t size = some_size(state);
    unsigned char first = *(unsigned char *)blocks[i].block;
    void *resized = hk_large_resize(blocks[i].block, size);
    CHECK(resized && hk_large_size(resized) >= size);
    CHECK(hk_code_of(resized) == HK_CODE_LARGE);
    for (size_t offset = 0; offset < 256; offset++) {
        CHECK(((unsigned char *)resized)[offset] == first);
    }
    CHECK(size < blocks[i].size || ((unsigned char *)resized)[blocks[i].size - 1] == first);
    blocks[i].block = resized;
    blocks[i].size = size;
    stamp(resized, size);
}

int main(void) {
    uint64_t state = 3;
    for (unsigned step = 0; step < STEPS; step++) {
        size_t i = next_random(&state) % BLOCKS;
        if (!blocks[i].block) {
            make(i, &state);
        } else if (next_random(&state) % 3 == 0) {
            resize(i, &state);
        } else {
            check_and_free(i);
        }
        if (step % 100 == 0) {
            hk_large_tick();
        }
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        if (blocks[i].block) {
            check_and_free(i);
        }
    }
    hk_large_trim();
    struct hk_large_stats stats = hk_large_stats();
    CHECK(stats.blocks == 0 && stats.bytes == 0 && stats.cached == 0);
    return 0;
}
