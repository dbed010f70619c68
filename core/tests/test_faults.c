/* The system refuses memory: at the first call of a kind, the second, ... once or for good. Every
 * request gives a block or NULL with ENOMEM, blocks keep their content, and afterwards all is well.
 */
#include "check.h"

#include "hakmem.h"
#include "os.h"
#include "slab.h"

#include <errno.h>
#include <malloc.h>

enum { BLOCKS = 300, FAULTS = 60 };

static struct {
    enum hk_os_call kind;
    unsigned after;
    bool for_good, armed, fired;
} fault;

bool hk_os_fault(enum hk_os_call call) {
    if (!fault.armed || call != fault.kind) {
        return false;
    }
    if (fault.after) {
        fault.after--;
        return false;
    }
    fault.fired = true;
    fault.armed = fault.for_good;
    return true;
}

static struct {
    void *block;
    size_t size;
} blocks[BLOCKS];

static void step(uint64_t *state) {
    size_t i = next_random(state) % BLOCKS;
    size_t size = random_size(state, 23);
    errno = 0;
    if (!blocks[i].block) {
        blocks[i].block = next_random(state) & 1 ? malloc(size) : memalign(256, size);
        CHECK(blocks[i].block || errno == ENOMEM);
    } else if (next_random(state) % 3 == 0) {
        size = size ? size : 1;
        unsigned char first = blocks[i].size ? *(unsigned char *)blocks[i].block : 0;
        void *moved = realloc(blocks[i].block, size);
        CHECK(moved || errno == ENOMEM);
        if (!moved) {
            CHECK(stamp_holds(blocks[i].block, blocks[i].size));
            return;
        }
        CHECK(blocks[i].size == 0 || *(unsigned char *)moved == first);
        blocks[i].block = moved;
    } else {
        CHECK(stamp_holds(blocks[i].block, blocks[i].size));
        free(blocks[i].block);
        blocks[i].block = NULL;
        CHECK(errno == 0);
    }
    if (blocks[i].block) {
        blocks[i].size = size;
        stamp(blocks[i].block, size);
    }
}

static void free_all(void) {
    for (size_t i = 0; i < BLOCKS; i++) {
        CHECK(!blocks[i].block || stamp_holds(blocks[i].block, blocks[i].size));
        free(blocks[i].block);
        blocks[i].block = NULL;
    }
}

int main(void) {
    uint64_t state = 5;
    unsigned fired = 0;
    for (unsigned kind = 0; kind < HK_OS_COUNT; kind++) {
        for (unsigned after = 0; after < FAULTS; after++) {
            fault.kind = kind;
            fault.after = after;
            fault.for_good = after % 2;
            fault.fired = false;
            fault.armed = true;
            for (unsigned i = 0; i < 300; i++) {
                step(&state);
                if (i % 100 == 99) {
                    hak_trim();
                }
            }
            fired += fault.fired;
            fault.armed = false;
            free_all();
            hak_trim();
            hk_slab_verify();
        }
    }
    CHECK(fired >= 20);
    void *block = malloc((size_t)10 << 20);
    CHECK(block);
    free(block);
    return 0;
}
