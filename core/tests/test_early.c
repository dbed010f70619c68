/* What was allocated before the environment was read, as constructors of other libraries do, lies
 * in magazines as they are by default; a thread then goes on without those that the environment
 * turns off. */
#include "check.h"

#include "slab.h"

enum { BLOCKS = 500, STEPS = 50000 };

static struct held {
    void *block;
    size_t size;
} held[BLOCKS];
static uint64_t state = 9;

static void step(void) {
    struct held *one = &held[next_random(&state) % BLOCKS];
    if (one->block) {
        CHECK(stamp_holds(one->block, one->size));
        free(one->block);
        one->block = NULL;
        return;
    }
    one->size = random_size(&state, 13);
    one->block = malloc(one->size);
    CHECK(one->block);
    stamp(one->block, one->size);
}

static void before_all_constructors(void) {
    for (unsigned i = 0; i < STEPS; i++) {
        step();
    }
}
__attribute__((section(".preinit_array"),
               used)) static void (*const first)(void) = before_all_constructors;

int main(void) {
    for (unsigned i = 0; i < STEPS; i++) {
        step();
        if (i % 1000 == 0) {
            hk_slab_verify();
        }
    }
    return 0;
}
