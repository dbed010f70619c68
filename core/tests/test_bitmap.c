/* The two-tier bitmap of a slab: its edges one by one, then random programs against a model that
 * keeps a byte a block. */
#include "check.h"

#include "bitmap.h"

enum { MAX = HK_BITMAP_MAX, ROUNDS = 400, STEPS = 300 };

static struct hk_bitmap bitmap;
static bool model[MAX]; /* free? */
static char memory[MAX];

static void fill(unsigned blocks) {
    bitmap = (struct hk_bitmap){0};
    for (unsigned i = 0; i < MAX; i++) {
        model[i] = i < blocks;
        CHECK(i >= blocks || hk_bitmap_free(&bitmap, i));
    }
}

static unsigned model_count(void) {
    unsigned count = 0;
    for (unsigned i = 0; i < MAX; i++) {
        count += model[i];
    }
    return count;
}

static void check_all(void) {
    for (unsigned i = 0; i < MAX; i++) {
        CHECK(hk_bitmap_is_free(&bitmap, i) == model[i]);
    }
    CHECK(hk_bitmap_count(&bitmap) == model_count());
}

/* The blocks that are taken must be the lowest of the model, the lowest last. */
static void take(unsigned count) {
    void *blocks[MAX];
    hk_bitmap_take(&bitmap, count, memory, 1, blocks);
    unsigned at = 0;
    for (unsigned i = count; i--; at++) {
        while (!model[at]) {
            at++;
        }
        CHECK(blocks[i] == &memory[at]);
        model[at] = false;
    }
}

static void give(unsigned index) {
    CHECK(hk_bitmap_free(&bitmap, index) == !model[index]);
    model[index] = true;
}

static void edges(void) {
    const unsigned blocks[] = {1, 2, 7, 63, 64, 65, 127, 128, 129, 4032, 4033, 4095, 4096};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
        fill(blocks[i]);
        check_all();
        take(blocks[i]);
        check_all();
        CHECK(bitmap.summary == 0);
        give(blocks[i] - 1);
        give(blocks[i] - 1); /* a second time: refused */
        check_all();
        take(1);
        take(0);
        check_all();
    }
}

static void addresses(void) {
    void *blocks[3];
    fill(200);
    hk_bitmap_take(&bitmap, 1, memory, 16, blocks);
    CHECK(blocks[0] == memory);
    hk_bitmap_take(&bitmap, 3, memory + 1, 16, blocks);
    CHECK(blocks[2] == memory + 17 && blocks[1] == memory + 33 && blocks[0] == memory + 49);
}

static void random_program(uint64_t *state) {
    unsigned blocks = 1 + (unsigned)(next_random(state) % MAX);
    fill(blocks);
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned have = hk_bitmap_count(&bitmap);
        if (next_random(state) % 2) {
            take((unsigned)(next_random(state) % (have < 100 ? have + 1 : 100)));
        } else {
            for (unsigned i = (unsigned)(next_random(state) % 90); i; i--) {
                give((unsigned)(next_random(state) % blocks));
            }
        }
    }
    check_all();
}

int main(void) {
    uint64_t state = 4;
    edges();
    addresses();
    for (unsigned i = 0; i < ROUNDS; i++) {
        random_program(&state);
    }
    return 0;
}
