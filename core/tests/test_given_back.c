/* What a program held and freed goes back to the system, in whatever order it frees, and in few
 * calls; and what it holds costs little more than its blocks. One process a case: the limits follow
 * the peak. */
#include "check.h"

#include "events.h"
#include "os.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LIVE_MIB = 200, CALLS = 60 };

static unsigned purges;

/* Called before each call to the system; none fails here. */
bool hk_os_fault(enum hk_os_call call) {
    purges += call == HK_OS_PURGE;
    return false;
}

static size_t resident_bytes(void) {
    unsigned long mapped, resident;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file && fscanf(file, "%lu %lu", &mapped, &resident) == 2);
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
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

static void hold_and_free(size_t size, bool shuffled) {
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
    CHECK(held < live + live / 32);
    CHECK(kept <= held / 4);
    CHECK(calls <= CALLS);
}

int main(void) {
    const size_t sizes[] = {96, 1008, 4096, 8192, 32768, 65536, 196608};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes * 2; i++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            hold_and_free(sizes[i / 2], i % 2);
            _exit(0);
        }
        int status;
        CHECK(waitpid(child, &status, 0) == child && status == 0);
    }
    return 0;
}
