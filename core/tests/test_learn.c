/* The variant `learn` from outside and inside: a site's blocks come back to it and to nobody else;
 * more sites than there are rules; threads; fork; what waits goes back on demand and with time; a
 * strategy is learned, saved, and found again; what was saved by others is refused. */
#include "check.h"

#include "hakmem.h"
#include "learn.h"
#include "learn_sites.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIZE = 256 << 10, LARGE = 3 << 20, THREADS = 6 };

static const void *site_number(uintptr_t number) {
    return (const void *)(0x1000 + number * 16);
}

static size_t waiting(void) {
    struct hk_learn_held held = hk_learn_held();
    return held.runs + held.ranges;
}

static struct hk_rule rule_copy(const void *site) {
    unsigned number = 0;
    struct hk_rule *rule = hk_rule_of(site, &number);
    CHECK(rule);
    struct hk_rule copy = *rule;
    hk_rule_unlock(number);
    return copy;
}

/* What one site frees only it gets. */
static void test_bigcache(size_t size) {
    const void *mine = site_number(size);
    const void *others = site_number(size + 1);
    char *block = hak_alloc_at(size, mine);
    CHECK(block);
    stamp(block, size);
    free(block);
    CHECK(waiting() == 1);
    char *foreign = hak_alloc_at(size, others);
    CHECK(foreign && foreign != block);
    CHECK(hak_alloc_at(size, mine) == block && stamp_holds(block, size));
    CHECK(hak_usable_size(block) >= size && waiting() == 0);
    free(block);
    free(foreign);
    struct hak_stats before, after;
    CHECK(hak_stats_read(&before, sizeof before) == sizeof before);
    CHECK(hak_trim() == 1 && waiting() == 0);
    CHECK(hak_stats_read(&after, sizeof after) == sizeof after);
    CHECK(before.live_bytes == after.live_bytes && before.allocs == after.allocs);
    CHECK(after.cached_bytes < before.cached_bytes);
}

/* Blocks know their site wherever realloc takes them. */
static void test_realloc(void) {
    const void *site = site_number(50);
    char *block = hak_alloc_at(LARGE, site);
    CHECK(block);
    stamp(block, LARGE);
    unsigned char first = (unsigned char)block[0];
    char *moved = realloc(block, (size_t)4 * LARGE);
    CHECK(moved && (unsigned char)moved[0] == first);
    CHECK(rule_copy(site).live == 1);
    free(moved);
    CHECK(rule_copy(site).live == 0);
    size_t *zeroes = calloc(1, SIZE);
    CHECK(zeroes);
    memset(zeroes, 1, SIZE);
    free(zeroes);
    for (unsigned i = 0; i < 100; i++) {
        zeroes = calloc(1, SIZE);
        for (size_t at = 0; at < SIZE / sizeof *zeroes; at++) {
            CHECK(zeroes[at] == 0);
        }
        memset(zeroes, 1, SIZE);
        free(zeroes);
    }
}

/* Each rule is needed by a live block; the sites after that get blocks all the same, and rules once
 * others are idle. */
static void test_bounds(void) {
    enum { MANY = HK_RULES * 2 };
    static void *blocks[MANY];
    struct hk_site_counts before = hk_site_counts();
    for (unsigned i = 0; i < MANY; i++) {
        blocks[i] = hak_alloc_at(HK_UNIT, site_number(100000 + i));
        CHECK(blocks[i]);
    }
    CHECK(hk_site_counts().refused - before.refused >= MANY - HK_RULES);
    for (unsigned i = 0; i < MANY; i++) {
        free(blocks[i]);
    }
    hak_trim();
    uint64_t evicted = hk_site_counts().evicted;
    free(hak_alloc_at(HK_UNIT, site_number(900000)));
    CHECK(hk_site_counts().evicted == evicted + 1 && waiting() == 1);
    hak_trim();
}

static void *use_sites(void *argument) {
    uint64_t state = (uintptr_t)argument;
    void *blocks[16] = {NULL};
    for (unsigned i = 0; i < 20000; i++) {
        void **block = &blocks[next_random(&state) % 16];
        if (*block) {
            CHECK(stamp_holds(*block, HK_UNIT));
            free(*block);
            *block = NULL;
        } else {
            size_t size = HK_UNIT + next_random(&state) % (3 * HK_UNIT);
            *block = hak_alloc_at(size, site_number(next_random(&state) % 100));
            CHECK(*block);
            stamp(*block, HK_UNIT);
        }
        if (i % 5000 == 0) {
            hak_trim();
        }
    }
    for (unsigned i = 0; i < 16; i++) {
        free(blocks[i]);
    }
    return NULL;
}

static void test_threads(void) {
    pthread_t ids[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&ids[i], NULL, use_sites, (void *)(i + 1)) == 0);
    }
    for (unsigned i = 0; i < 20; i++) {
        pid_t child = fork();
        if (child == 0) {
            free(hak_alloc_at(SIZE, site_number(i)));
            (void)hak_trim(); /* the site's strategy may have given all of it back already */
            _exit(waiting() == 0 ? 0 : 1);
        }
        int status = -1;
        CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && !WEXITSTATUS(status));
    }
    for (size_t i = 0; i < THREADS; i++) {
        CHECK(pthread_join(ids[i], NULL) == 0);
    }
    hak_trim();
    CHECK(waiting() == 0);
    for (unsigned i = 0; i < 100; i++) {
        CHECK(rule_copy(site_number(i)).live == 0);
    }
}

/* What waits goes back with time: after two looks at the clock at which nobody had wanted it. */
static void test_tick(void) {
    hak_trim();
    void *block = hak_alloc_at(SIZE, site_number(60));
    unsigned char resident = 0;
    memset(block, 1, SIZE);
    free(block);
    hk_learn_tick();
    CHECK(waiting() == 1);
    hk_learn_tick();
    CHECK(waiting() == 0);
    CHECK(mincore(block, 1, &resident) != 0 || (resident & 1) == 0);
}

/* Blocks of one site come and go at once, with others in between that a strategy which returns
 * them must map anew: to keep some is best. */
static void test_learning(void) {
    const void *site = site_number(70);
    for (unsigned i = 0; i < 60000 && rule_copy(site).learner.life != HK_LIFE_WATCH; i++) {
        char *block = hak_alloc_at(SIZE, site);
        for (size_t at = 0; at < SIZE; at += 4096) {
            block[at] = 1;
        }
        free(block);
    }
    struct hk_rule rule = rule_copy(site);
    CHECK(rule.learner.life == HK_LIFE_WATCH);
    CHECK(strcmp(hk_strategy_names[rule.learner.arm], "return") != 0);
    CHECK(rule.reused > rule.allocs / 2 && rule.fresh_bytes > 0 && rule.returned_bytes > 0);
}

static void test_print(void) {
    char text[65536];
    int file = memfd_create("print", MFD_CLOEXEC);
    CHECK(hak_learn_print(file) == 0);
    ssize_t length = pread(file, text, sizeof text - 1, 0);
    CHECK(length > 0);
    text[length] = '\0';
    CHECK(strstr(text, "hakmem learns by ucb1") && strstr(text, "frozen, "));
    close(file);
}

int main(void) {
    test_bigcache(SIZE);
    test_bigcache(LARGE);
    test_realloc();
    test_tick();
    test_learning();
    test_print();
    test_threads();
    test_bounds();
    return 0;
}
