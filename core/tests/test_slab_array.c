/* Slabs of the variants `magazine` and `bitmap` without the cache above them: blocks taken and
 * given back one by one and in arrays, in every class, no two at the same place; and bits refuse
 * what is no block in use. */
#include "check.h"

#include "bitmap.h"
#include "size_class.h"
#include "slab.h"
#include "superslab.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HELD = 3000, AT_ONCE = 200, STEPS = 400 };

static void *held[HELD];
static unsigned count;

static int by_address(const void *one, const void *other) {
    uintptr_t a = (uintptr_t) * (void *const *)one;
    uintptr_t b = (uintptr_t) * (void *const *)other;
    return (a > b) - (a < b);
}

/* No two blocks overlap, each is as aligned as malloc's are, and lies in a slab of its class. */
static void check_held(unsigned cls) {
    qsort(held, count, sizeof *held, by_address);
    for (unsigned i = 0; i < count; i++) {
        CHECK((uintptr_t)held[i] % HK_ALIGNMENT == 0);
        CHECK(hk_slab_of(held[i])->cls == cls);
        CHECK(i == 0 || (char *)held[i - 1] + hk_class_size(cls) <= (char *)held[i]);
    }
}

static void take(unsigned cls, unsigned want) {
    unsigned taken = hk_slab_take(cls, held + count, want);
    CHECK(taken >= 1 && taken <= want);
    for (unsigned i = count; i < count + taken; i++) {
        memset(held[i], (int)cls, hk_class_size(cls));
    }
    count += taken;
}

/* Gives back random blocks, of several slabs at once. */
static void give(unsigned cls, unsigned number, uint64_t *state) {
    for (unsigned i = 0; i < number; i++) {
        unsigned other = (unsigned)(next_random(state) % (count - i));
        void *last = held[count - 1 - i];
        held[count - 1 - i] = held[other];
        held[other] = last;
    }
    count -= number;
    hk_slab_give(cls, held + count, number);
}

static void random_program(unsigned cls, uint64_t *state) {
    size_t most = (HK_MIB << 1) / hk_class_size(cls);
    most = most > HELD - AT_ONCE ? HELD - AT_ONCE : most;
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned number = 1 + (unsigned)(next_random(state) % AT_ONCE);
        if (count < most && next_random(state) % 2) {
            take(cls, number);
        } else {
            give(cls, number < count ? number : count, state);
        }
    }
    check_held(cls);
    hk_slab_verify();
    give(cls, count, state);
    hk_slab_verify();
}

/* Blocks that came back are given out before others, the lowest first. */
static void lowest_first(void) {
    unsigned cls = (unsigned)hk_class_of(256);
    take(cls, 10);
    hk_slab_give(cls, &held[3], 1);
    hk_slab_give(cls, &held[7], 1);
    void *again[3];
    CHECK(hk_slab_take(cls, again, 3) == 2);
    CHECK(again[0] == held[3] && again[1] == held[7] && again[1] < again[0]);
    hk_slab_give(cls, held, count);
    count = 0;
}

/* The last empty slab of a class stays, and is the next to be taken from; trim lets it go. */
static void reserve(void) {
    unsigned cls = (unsigned)hk_class_of(4096);
    void *block;
    void *again;
    (void)hk_slab_trim();
    size_t used = hk_superslab_stats().used;
    for (unsigned i = 0; i < 100; i++) {
        CHECK(hk_slab_take(cls, &block, 1) == 1);
        hk_slab_give(cls, &block, 1);
        CHECK(hk_slab_take(cls, &again, 1) == 1 && again == block);
        hk_slab_give(cls, &again, 1);
    }
    CHECK(hk_superslab_stats().used == used + HK_UNIT);
    hk_slab_tick();
    CHECK(hk_superslab_stats().used == used + HK_UNIT);
    hk_slab_tick(); /* idle for a whole window */
    CHECK(hk_superslab_stats().used == used);
    CHECK(hk_slab_take(cls, &block, 1) == 1);
    hk_slab_give(cls, &block, 1);
    CHECK(hk_slab_trim());
    CHECK(hk_superslab_stats().used == used && !hk_slab_trim());
}

/* Gives `blocks` back in a child, which must die of it with `message`. */
static void refused(unsigned cls, void *const *blocks, unsigned number, const char *message) {
    int channel[2];
    CHECK(pipe(channel) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        (void)dup2(channel[1], STDERR_FILENO);
        hk_slab_give(cls, blocks, number);
        _exit(0);
    }
    (void)close(channel[1]);
    char said[200];
    ssize_t length = read(channel[0], said, sizeof said - 1);
    said[length < 0 ? 0 : length] = '\0';
    (void)close(channel[0]);
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    CHECK(strstr(said, message) != NULL);
}

static void misuse(void) {
    unsigned cls = (unsigned)hk_class_of(48);
    void *blocks[3];
    CHECK(hk_slab_take(cls, blocks, 3) == 3);
    void *const twice[] = {blocks[1], blocks[0], blocks[1]};
    refused(cls, twice, 3, "hakmem: free(): double free of ");
    void *inside = (char *)blocks[1] + HK_ALIGNMENT;
    refused(cls, &inside, 1, "hakmem: free(): invalid pointer ");
    void *never_cut = (char *)hk_slab_start(hk_slab_of(blocks[0])) + 1000 * hk_class_size(cls);
    refused(cls, &never_cut, 1, "hakmem: free(): invalid pointer ");
    hk_slab_give(cls, blocks, 3);
    refused(cls, &blocks[2], 1, "hakmem: free(): double free of ");
}

int main(void) {
    uint64_t state = 3;
    reserve();
    if (hk_bitmap_on) {
        lowest_first();
        misuse();
    }
    for (unsigned cls = 1; cls < HK_CLASSES; cls++) {
        random_program(cls, &state);
    }
    return 0;
}
