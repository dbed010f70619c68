/* The container's limit: read from both kinds of cgroup, as fixtures and where one can be made; and
 * near it nothing waits. */
#include "check.h"

#include "large.h"
#include "limit.h"
#include "superslab.h"
#include "thread_cache.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BLOCKS = 1600 };

static char root[] = "/tmp/hakmem-limit-XXXXXX";

/* Writes root/name, whose folders it makes. */
static void put(const char *name, const char *text) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", root, name);
    for (char *slash = strchr(path + sizeof root, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700);
        *slash = '/';
    }
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CHECK(file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text));
    close(file);
}

static void fixtures(void) {
    CHECK(hk_limit_read(root) == SIZE_MAX); /* no /proc */
    put("proc/self/cgroup", "0::/a/b\n");
    CHECK(hk_limit_read(root) == SIZE_MAX); /* no group to be seen */
    put("sys/fs/cgroup/a/b/memory.max", "max\n");
    put("sys/fs/cgroup/a/b/memory.high", "300000000\n");
    CHECK(hk_limit_read(root) == 300000000);
    put("sys/fs/cgroup/a/memory.max", "268435456\n");
    CHECK(hk_limit_read(root) == 268435456);
    put("sys/fs/cgroup/memory.max", "words\n"); /* a container sees its own group as the root */
    CHECK(hk_limit_read(root) == 268435456);
    put("sys/fs/cgroup/memory.max", "1000\n");
    CHECK(hk_limit_read(root) == 1000);
    put("proc/self/cgroup", "5:cpu,cpuacct:/\n4:memory:/jobs/7\n0::/\n");
    CHECK(hk_limit_read(root) == SIZE_MAX);
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    CHECK(hk_limit_read(root) == SIZE_MAX);
    put("sys/fs/cgroup/memory/jobs/7/memory.limit_in_bytes", "4096000\n");
    CHECK(hk_limit_read(root) == 4096000);
    put("proc/self/cgroup", "0::/a/b\n");
    put("sys/fs/cgroup/memory.max", "268435456\n");
}

/* A real group of version 1, entered by a child. */
static void real_group(void) {
    char group[128];
    char path[192];
    snprintf(group, sizeof group, "/sys/fs/cgroup/memory/hakmem-test-%d", (int)getpid());
    if (mkdir(group, 0700)) {
        printf("no real cgroup tried: cannot make %s\n", group);
        return;
    }
    pid_t child = fork();
    if (child == 0) {
        snprintf(path, sizeof path, "%s/memory.limit_in_bytes", group);
        FILE *file = fopen(path, "w");
        CHECK(file && fputs("104857600", file) >= 0 && fclose(file) == 0);
        snprintf(path, sizeof path, "%s/cgroup.procs", group);
        file = fopen(path, "w");
        CHECK(file && fprintf(file, "%d", (int)getpid()) > 0 && fclose(file) == 0);
        CHECK(hk_limit_read("") <= 104857600);
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    (void)rmdir(group);
    CHECK(status == 0);
}

static void *hold(size_t bytes) {
    void *block = malloc(bytes);
    CHECK(block);
    memset(block, 1, bytes);
    return block;
}

/* 256 MiB: 100 MiB in blocks of 64 KiB and 30 MiB in one were freed and wait; then 150 MiB are
 * asked for in one. */
static void pressure(void) {
    static void *blocks[BLOCKS];
    hk_limit_root = root;
    void *range = hold((size_t)30 << 20);
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = hold((size_t)64 << 10);
    }
    CHECK(!hk_limit_is_near());
    free(range);
    for (size_t i = 0; i < BLOCKS; i++) {
        free(blocks[i]);
    }
    CHECK(hk_superslab_stats().dirty > (size_t)8 << 20);
    CHECK(hk_large_stats().cached >= (size_t)30 << 20);
    range = malloc((size_t)150 << 20);
    CHECK(range);
    CHECK(hk_superslab_stats().dirty == 0 && hk_superslab_stats().mapped == 0);
    CHECK(hk_large_stats().cached == 0);
    free(range);
    CHECK(!hk_limit_is_near());
}

int main(void) {
    CHECK(mkdtemp(root));
    real_group();
    fixtures();
    pressure();
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", root);
    return system(command) != 0; // NOLINT(cert-env33-c): a folder of this test's own
}
