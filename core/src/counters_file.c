#define _GNU_SOURCE
#include "counters_file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof(struct hk_counts) == HK_COUNT_WORDS * sizeof(uint64_t), "layout of counts");
_Static_assert(sizeof(struct hk_gauges) == HK_GAUGE_WORDS * sizeof(uint64_t), "layout of gauges");

__thread struct hk_block *hk_own_block __attribute__((tls_model("initial-exec")));
struct hk_block *hk_shared_block;
struct hk_counter_file *hk_file;
char hk_file_path[HK_PATH_BYTES];

/* Takes the counts where not even the head of a mapping is to be had. Nobody reads them. */
static struct hk_counter_file nowhere;

static struct {
    uint32_t lock;
    uint64_t block_limit; /* how many the reserved addresses hold */
    uint64_t lowest_free; /* no block below it is free */
    dev_t device;         /* of the file at hk_file_path */
    ino_t inode;
} registry;

void hk_counters_lock(uint64_t *signals) {
    const uint64_t all = ~UINT64_C(0);
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, &all, signals, sizeof(all));
    while (__atomic_exchange_n(&registry.lock, 1, __ATOMIC_ACQUIRE) != 0) {
        syscall(SYS_sched_yield);
    }
}

void hk_counters_unlock(const uint64_t *signals) {
    __atomic_store_n(&registry.lock, 0, __ATOMIC_RELEASE);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, signals, NULL, sizeof(*signals));
}

uint64_t hk_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

struct hk_block *hk_block_at(uint64_t index) {
    return (struct hk_block *)((char *)hk_file + HK_FILE_HEAD_BYTES + index * HK_BLOCK_BYTES);
}

static size_t mapped_bytes(void) {
    return HK_FILE_HEAD_BYTES + hk_file->header.blocks * HK_BLOCK_BYTES;
}

static bool map_memory(void *at, size_t bytes) {
    return mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
                0) != MAP_FAILED;
}

/* Makes the file `bytes` long with its space set aside: a full disk must not end in SIGBUS. */
static int set_size(int fd, size_t bytes) {
    if (syscall(SYS_fallocate, fd, 0, (off_t)0, (off_t)bytes) == 0) {
        return 0;
    }
    if (errno != EOPNOTSUPP && errno != ENOSYS) {
        return errno;
    }
    return ftruncate(fd, (off_t)bytes) == 0 ? 0 : errno;
}

static int open_again(void) {
    int fd = (int)syscall(SYS_openat, AT_FDCWD, hk_file_path, O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0);
    struct stat stat;
    if (fd >= 0 && (fstat(fd, &stat) != 0 || stat.st_dev != registry.device ||
                    stat.st_ino != registry.inode)) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Extends file and mapping; the file is opened by name, for a descriptor that is kept open is one
 * that programs close. */
static bool map_file(void *at, size_t bytes) {
    if (hk_file_path[0] == '\0') {
        return false;
    }
    int fd = open_again();
    if (fd < 0) {
        return false;
    }
    off_t offset = (char *)at - (char *)hk_file;
    bool done =
        set_size(fd, (size_t)offset + bytes) == 0 &&
        mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, offset) != MAP_FAILED;
    close(fd);
    return done;
}

/* Adds HK_BLOCKS_PER_CHUNK free blocks. */
static bool grow(void) {
    struct hk_file_header *header = &hk_file->header;
    if (header->blocks + HK_BLOCKS_PER_CHUNK > registry.block_limit) {
        return false;
    }
    void *at = hk_block_at(header->blocks);
    size_t bytes = (size_t)HK_BLOCKS_PER_CHUNK * HK_BLOCK_BYTES;
    if (!map_file(at, bytes)) {
        if (!map_memory(at, bytes)) {
            return false;
        }
        header->blocks_in_memory += HK_BLOCKS_PER_CHUNK;
    }
    header->blocks += HK_BLOCKS_PER_CHUNK;
    return true;
}

/* Who we are, for a process that starts or was forked. */
void hk_file_sign(void) {
    struct hk_file_header *header = &hk_file->header;
    header->pid = (uint32_t)getpid();
    header->parent_pid = (uint32_t)getppid();
    header->started_ns = hk_now_ns();
}

static void describe(struct hk_file_header *header) {
    *header = (struct hk_file_header){
        .magic = "HAKCOUNT", /* exactly 8 bytes, no terminator */
        .byte_order = 0x01020304,
        .format = HK_FILE_FORMAT,
        .header_bytes = sizeof(struct hk_file_header),
        .state = HK_FILE_RUNNING,
        .info_at = offsetof(struct hk_counter_file, info),
        .layout_at = offsetof(struct hk_counter_file, layout),
        .layout_bytes = hk_layout_text_bytes,
        .gauges_at = offsetof(struct hk_counter_file, gauges),
        .base_at = offsetof(struct hk_counter_file, base),
        .ended_at = offsetof(struct hk_counter_file, ended),
        .blocks_at = HK_FILE_HEAD_BYTES,
        .block_bytes = HK_BLOCK_BYTES,
        .counts_at = offsetof(struct hk_block, counts),
    };
    hk_file_sign();
}

static void take_block(struct hk_block *block) {
    block->tid = (uint32_t)syscall(SYS_gettid);
    block->started_ns = hk_now_ns();
    prctl(PR_GET_NAME, block->name);
    __atomic_store_n(&block->state, HK_BLOCK_LIVE, __ATOMIC_RELEASE);
}

static void open_shared_block(void) {
    hk_shared_block = hk_block_at(0);
    hk_shared_block->state = HK_BLOCK_LIVE;
    memcpy(hk_shared_block->name, "shared", sizeof("shared"));
    registry.lowest_free = 1;
}

/* Reserves addresses for all blocks, so that they never move, and maps the head and one chunk. */
static bool create(void) {
    uint64_t limit = HK_BLOCK_LIMIT;
    void *base = MAP_FAILED;
    for (; limit >= HK_BLOCKS_PER_CHUNK && base == MAP_FAILED; limit /= 8) {
        registry.block_limit = limit;
        base = mmap(NULL, HK_FILE_HEAD_BYTES + limit * HK_BLOCK_BYTES, PROT_NONE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    }
    if (base == MAP_FAILED || !map_memory(base, HK_FILE_HEAD_BYTES)) {
        return false;
    }
    hk_file = base;
    describe(&hk_file->header);
    hk_file->header.info_bytes = 2;
    memcpy(hk_file->info, "{}", 2);
    memcpy(hk_file->layout, hk_layout_text, hk_layout_text_bytes);
    if (!grow()) {
        return false;
    }
    open_shared_block();
    return true;
}

static struct hk_block *find_free(void) {
    for (uint64_t i = registry.lowest_free; i < hk_file->header.blocks || grow(); i++) {
        if (hk_block_at(i)->state == HK_BLOCK_FREE) {
            registry.lowest_free = i + 1;
            return hk_block_at(i);
        }
    }
    registry.lowest_free = hk_file->header.blocks;
    return NULL;
}

static void count_nowhere(void) {
    hk_file = &nowhere;
    hk_shared_block = &nowhere.ended;
    hk_own_block = hk_shared_block;
}

struct hk_block *hk_counters_join(void) {
    uint64_t signals;
    int saved_errno = errno;
    hk_counters_lock(&signals);
    if (hk_file == NULL && !create()) {
        count_nowhere();
    }
    struct hk_block *block = hk_file == &nowhere ? NULL : find_free();
    if (block != NULL) {
        take_block(block);
    } else {
        hk_file->header.threads_sharing++;
        block = hk_shared_block;
    }
    hk_own_block = block;
    hk_counters_unlock(&signals);
    errno = saved_errno;
    return block;
}

/* One word after the other, so that a process that is killed meanwhile has at most one word twice.
 */
static void move_counts(struct hk_block *block) {
    struct hk_file_header *header = &hk_file->header;
    uint64_t *from = (uint64_t *)&block->counts;
    uint64_t *to = (uint64_t *)&hk_file->ended.counts;
    __atomic_store_n(&header->moves, header->moves + 1, __ATOMIC_SEQ_CST);
    for (size_t i = 0; i < HK_COUNT_WORDS; i++) {
        if (from[i] != 0) {
            __atomic_store_n(&to[i], to[i] + from[i], __ATOMIC_RELEASE);
            __atomic_store_n(&from[i], 0, __ATOMIC_RELEASE);
        }
    }
    __atomic_store_n(&header->moves, header->moves + 1, __ATOMIC_SEQ_CST);
}

static void release_block(struct hk_block *block) {
    hk_file->header.threads_ended++;
    __atomic_store_n(&block->state, HK_BLOCK_FREE, __ATOMIC_RELEASE);
    uint64_t index = (uint64_t)((char *)block - (char *)hk_block_at(0)) / HK_BLOCK_BYTES;
    if (index < registry.lowest_free) {
        registry.lowest_free = index;
    }
}

void hk_counters_leave(void) {
    struct hk_block *block = hk_own_block;
    if (block == NULL || block == hk_shared_block) {
        return;
    }
    uint64_t signals;
    hk_counters_lock(&signals);
    hk_own_block = hk_shared_block;
    move_counts(block);
    release_block(block);
    hk_counters_unlock(&signals);
}

struct hk_gauges *hk_counters_gauges(void) {
    hk_counting_block();
    return &hk_file->gauges;
}

/* Puts the contents of the mapping into `fd` and maps that in its place. */
static int replace_mapping(int fd) {
    size_t bytes = mapped_bytes();
    int error = set_size(fd, bytes);
    for (size_t done = 0; error == 0 && done < bytes;) {
        long n = syscall(SYS_pwrite64, fd, (char *)hk_file + done, bytes - done, (off_t)done);
        if (n > 0) {
            done += (size_t)n;
        } else if (errno != EINTR) {
            error = errno;
        }
    }
    if (error == 0 &&
        mmap(hk_file, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
        error = errno;
    }
    return error;
}

/* What was counted at the moment of fork. The mapping itself will not do: it may be a file that the
 * parent goes on writing while the child looks at it. */
static struct {
    struct hk_file_header header;
    struct hk_gauges gauges;
    struct hk_counts counts;
    uint64_t other_threads;
} at_fork;

static void add_counts(struct hk_counts *sum, const struct hk_counts *counts) {
    for (size_t i = 0; i < HK_COUNT_WORDS; i++) {
        ((uint64_t *)sum)[i] += ((const uint64_t *)counts)[i];
    }
}

void hk_file_before_fork(void) {
    if (hk_file == NULL || hk_file == &nowhere) {
        return;
    }
    at_fork.header = hk_file->header;
    at_fork.gauges = hk_file->gauges;
    at_fork.counts = hk_file->ended.counts;
    at_fork.other_threads = 0;
    for (uint64_t i = 0; i < hk_file->header.blocks; i++) {
        struct hk_block *block = hk_block_at(i);
        if (block->state == HK_BLOCK_LIVE) {
            add_counts(&at_fork.counts, &block->counts);
            at_fork.other_threads += block != hk_own_block && block != hk_shared_block;
        }
    }
}

/* Fills a fresh mapping, which is not in its place yet, with what the child starts from. */
static void fill_after_fork(struct hk_counter_file *fresh) {
    fresh->header = at_fork.header;
    fresh->header.blocks = HK_BLOCKS_PER_CHUNK;
    fresh->header.blocks_in_memory = 0;
    fresh->header.threads_ended = 0;
    fresh->header.threads_lost += at_fork.other_threads;
    fresh->gauges = at_fork.gauges;
    fresh->base.counts = at_fork.counts;
    fresh->ended.counts = at_fork.counts;
    memcpy(fresh->info, hk_file->info, sizeof(fresh->info));
    memcpy(fresh->layout, hk_file->layout, sizeof(fresh->layout));
}

bool hk_file_after_fork(void) {
    if (hk_file == NULL || hk_file == &nowhere) {
        return hk_file == NULL;
    }
    size_t reserved = HK_FILE_HEAD_BYTES + registry.block_limit * HK_BLOCK_BYTES;
    size_t bytes = HK_FILE_HEAD_BYTES + (size_t)HK_BLOCKS_PER_CHUNK * HK_BLOCK_BYTES;
    hk_file_path[0] = '\0';
    void *fresh = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (fresh != MAP_FAILED) {
        fill_after_fork(fresh);
    }
    if (fresh == MAP_FAILED ||
        mmap(hk_file, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
             -1, 0) == MAP_FAILED ||
        mremap(fresh, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, hk_file) == MAP_FAILED) {
        count_nowhere();
        return false;
    }
    open_shared_block();
    if (hk_own_block != NULL && hk_own_block != hk_shared_block) {
        hk_own_block = find_free();
        take_block(hk_own_block);
    }
    hk_file_sign();
    return true;
}

int hk_file_publish(const char *path) {
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path,
                          O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return errno;
    }
    struct stat stat;
    int error = fstat(fd, &stat) == 0 ? replace_mapping(fd) : errno;
    close(fd);
    if (error != 0) {
        unlink(path);
        return error;
    }
    hk_file->header.blocks_in_memory = 0;
    registry.device = stat.st_dev;
    registry.inode = stat.st_ino;
    memcpy(hk_file_path, path, strnlen(path, sizeof(hk_file_path) - 1) + 1);
    return 0;
}
