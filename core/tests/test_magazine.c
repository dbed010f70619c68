/* Magazines: what a thread holds in them and what it exchanges, with both, one or none of a
 * thread's magazines in use (HAKMEM_MAGAZINE, HAKMEM_MINI_MAGAZINE); and the depot. */
#include "check.h"

#include "config.h"
#include "depot.h"
#include "hakmem.h"
#include "size_class.h"
#include "slab_class.h"
#include "thread_record.h"

enum { SIZE = 64, BLOCKS = 3000, STEPS = 200000, ROUNDS = 1000 };

static const unsigned cls = SIZE / HK_ALIGNMENT;

static struct hk_magazine *loaded(void) {
    return hk_tls.thread ? hk_tls.thread->slots[cls].held.loaded : NULL;
}

static const struct hk_magazine *spare(void) {
    return hk_tls.thread ? hk_tls.thread->slots[cls].held.spare : NULL;
}

/* What the fast paths rely on: no more frees than slots, an end below the first block. */
static void check_thread(void) {
    const struct hk_magazine *magazine = loaded();
    unsigned room = hk_tls.room[cls];
    CHECK(!spare() || (hk_config.magazine && hk_config.mini_magazine));
    CHECK(!magazine || hk_config.magazine || hk_config.mini_magazine);
    if (!magazine || !hk_config.magazine) {
        CHECK(room == 0);
        CHECK(hk_cache_last(cls) == NULL);
        return;
    }
    CHECK(magazine->slots[0] == NULL);
    size_t count = (size_t)((void **)hk_tls.head[cls] - magazine->slots);
    CHECK(count + room <= magazine->capacity);
    CHECK(hk_held_count(hk_tls.thread, cls) == count + (spare() ? spare()->count : 0));
}

static struct hak_stats stats(void) {
    struct hak_stats now;
    CHECK(hak_stats_read(&now, sizeof now) == sizeof now);
    return now;
}

/* Random bursts of allocations and frees: every block is its user's alone, every call is counted.
 */
static void test_bursts(void) {
    void *blocks[BLOCKS];
    uint64_t state = 4;
    unsigned held = 0;
    struct hak_stats before = stats();
    uint64_t frees = 0;
    for (unsigned step = 0; step < STEPS;) {
        bool grow = next_random(&state) % 2;
        for (uint64_t burst = next_random(&state) % 600; burst && step < STEPS; burst--, step++) {
            if (grow && held < BLOCKS) {
                blocks[held] = malloc(SIZE);
                CHECK(blocks[held]);
                stamp(blocks[held++], SIZE);
            } else if (!grow && held) {
                CHECK(stamp_holds(blocks[--held], SIZE));
                free(blocks[held]);
                frees++;
            }
            check_thread();
        }
    }
    while (held) {
        free(blocks[--held]);
        frees++;
    }
    struct hak_stats after = stats();
    CHECK(after.frees - before.frees == frees);
    CHECK(after.allocs - before.allocs == frees);
    CHECK(after.live_bytes == before.live_bytes);
    hk_slab_verify();
}

/* Wherever a magazine ends, steps around that place do not exchange magazines again and again. */
static void test_no_exchange_to_and_fro(void) {
    void *blocks[BLOCKS];
    for (unsigned held = 0; held < BLOCKS; held++) {
        blocks[held] = malloc(SIZE);
    }
    for (unsigned held = BLOCKS; held > 2; held--) {
        const struct hk_magazine *before = loaded();
        free(blocks[held - 1]);
        if (!hk_config.magazine || loaded() == before) {
            continue;
        }
        unsigned exchanges = 0;
        for (unsigned i = 0; i < ROUNDS; i++) {
            before = loaded();
            blocks[held - 1] = malloc(SIZE);
            blocks[held] = malloc(SIZE);
            free(blocks[held]);
            free(blocks[held - 1]);
            exchanges += loaded() != before;
        }
        CHECK(exchanges < ROUNDS / 20);
    }
    free(blocks[0]);
    free(blocks[1]);
}

static struct hk_magazine *magazine_of(unsigned count) {
    struct hk_magazine *magazine = hk_magazine_new(count);
    CHECK(magazine && magazine->capacity >= count && magazine->count == 0);
    CHECK(magazine->slots[0] == NULL);
    while (magazine->count < count) {
        magazine->count +=
            hk_slab_take(cls, magazine->slots + 1 + magazine->count, count - magazine->count);
    }
    return magazine;
}

static void test_sizes(void) {
    for (unsigned blocks = 1; blocks < HK_MAGAZINE_MOST; blocks++) {
        struct hk_magazine *magazine = hk_magazine_new(blocks);
        CHECK(magazine->capacity >= blocks);
        CHECK(magazine->capacity <= HK_MAGAZINE_LEAST || magazine->capacity < 3 * blocks);
        hk_magazine_recycle(magazine);
        CHECK(hk_magazine_new(blocks) == magazine);
        hk_magazine_recycle(magazine);
    }
    CHECK(hk_magazine_new(5000)->capacity == HK_MAGAZINE_MOST);
}

/* Magazines wait for who needs them, the last one first; not more than a few; not for long. */
static void test_depot(void) {
    (void)hak_trim();
    size_t used = hk_slab_stats().blocks;
    struct hk_magazine *first = magazine_of(100);
    struct hk_magazine *second = magazine_of(50);
    CHECK(hk_depot_take(cls) == NULL);
    CHECK(hk_depot_put(cls, first) && hk_depot_put(cls, second));
    CHECK(hk_slab_stats().listed_blocks == 150);
    hk_slab_verify();
    CHECK(hk_depot_take(cls) == second);
    CHECK(hk_depot_put(cls, second));

    const size_t most = HK_BATCH_BYTES_ALWAYS + 2 * HK_UNIT / HK_BATCH_PART; /* of two slabs */
    const size_t put = 100 * hk_class_size(cls);
    for (size_t bytes = 0; bytes < 2 * most; bytes += put) {
        CHECK(hk_depot_put(cls, magazine_of(100)));
    }
    const size_t waiting = hk_slab_stats().listed_blocks * hk_class_size(cls);
    CHECK(waiting > most / 2 && waiting < most + put);
    hk_batches_tick(); /* a window in which there were none begins */
    hk_batches_tick();
    CHECK(hk_slab_stats().listed_blocks == 0);
    CHECK(hk_slab_stats().blocks == used);

    bool wanted = true;
    for (unsigned i = 0; wanted && i < HK_MIB / (size_t)(100 * SIZE) + 2; i++) {
        wanted = hk_depot_put(cls, magazine_of(100));
    }
    CHECK(!wanted);
    (void)hk_batches_trim();
    CHECK(hk_slab_stats().blocks == used);
    hk_slab_verify();
}

int main(void) {
    test_bursts();
    test_no_exchange_to_and_fro();
    test_sizes();
    test_depot();
    return 0;
}
