/* What a program held and freed goes back to the system, in whatever order it frees, and in few
 * calls; and what it holds costs little more than its blocks. One process a case: the limits follow
 * the peak. */
#include "smaps.h"

#include "events.h"
#include "os.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LIVE_MIB = 200, CALLS = 60, TRIES = 10, TOO_MUCH = 9 };

static unsigned purges;

/* Called before each call to the system; none fails here. */
bool hk_os_fault(enum hk_os_call call) {
    purges += call == HK_OS_PURGE;
    return false;
}

static void shuffle(char **blocks, size_t count) {
    uint64_t state = 7;
    for (size_t left = count; left > 1; left--) {
        size_t other = next_random(&state) % left;
        char *swapped = blocks[left - 1];
        blocks[left - 1] = blocks[other];
        blocks[other] = swapped;
    }
}

static bool hold_and_free(size_t size, bool shuffled) {
    const size_t live = (size_t)LIVE_MIB << 20;
    const size_t count = live / size;
    static char *blocks[(LIVE_MIB << 20) / 96];
    for (size_t i = 0; i < count; i++) {
        blocks[i] = NULL; /* resident before the first look */
    }
    const size_t before = resident_bytes();
    for (size_t i = 0; i < count; i++) {
        blocks[i] = malloc(size);
        CHECK(blocks[i]);
        memset(blocks[i], 1, size);
    }
    const size_t held = resident_bytes() - before;
    if (shuffled) {
        shuffle(blocks, count);
    }
    const unsigned purges_before = purges;
    for (size_t i = 0; i < count; i++) {
        free(blocks[i]);
    }
    const size_t kept = resident_bytes() - before;
    const unsigned calls = purges - purges_before;
    printf("%zu bytes, %s: held %.3f, kept %.3f, %u calls\n", size,
           shuffled ? "shuffled" : "in order", (double)held / (double)live,
           (double)kept / (double)held, calls);
    fflush(stdout);
    CHECK(calls <= CALLS);
    return held < live + live / 32 && kept <= held / 4;
}

/* How a child ended that did it. The kernel makes huge pages when it likes, also of memory that was
 * given back: one try of some shows what the allocator takes. */
static int try_one(size_t size, bool shuffled) {
    int status;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        _exit(hold_and_free(size, shuffled) ? 0 : TOO_MUCH);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
    return WEXITSTATUS(status);
}

int main(void) {
    const size_t sizes[] = {96, 1008, 4096, 8192, 32768, 65536, 196608};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes * 2; i++) {
        int ended = TOO_MUCH;
        for (unsigned tries = 0; ended == TOO_MUCH && tries < TRIES; tries++) {
            ended = try_one(sizes[i / 2], i % 2);
        }
        CHECK(ended == 0);
    }
    return 0;
}
