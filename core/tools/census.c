/* libhakcensus.so: preloaded in front of everything, counts the allocation calls of a program.
 *
 * Every call goes on to whoever would have served it; a run with a census is never a timed one. One
 * line when a program starts, and one with what was counted whenever it ends or becomes another
 * program, to the descriptor that HAKCENSUS_FD names; contract 5 of docs/architecture.md. */
#define _GNU_SOURCE /* RTLD_NEXT, execvpe */
#include "census_blocks.h"
#include "line.h"
#include "report.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum count {
    MALLOC,
    CALLOC,
    REALLOC,
    MEMALIGN,
    ALIGNED_ALLOC,
    POSIX_MEMALIGN,
    VALLOC,
    PVALLOC,
    FREE,
    FREE_NULL,    /* no operation: also counted under FREE */
    FREE_REMOTE,  /* of a block of another thread: also counted under FREE */
    REALLOC_NEW,  /* realloc(NULL, n) allocates: also counted under REALLOC */
    REALLOC_FREE, /* realloc(p, 0) frees: also counted under REALLOC */
    FAILED,
    BYTES, /* requested, by the calls that did not fail */
    COUNTS
};
static const char *const count_names[COUNTS] = {
    "malloc",         "calloc",      "realloc",      "memalign", "aligned_alloc",
    "posix_memalign", "valloc",      "pvalloc",      "free",     "free_null",
    "free_remote",    "realloc_new", "realloc_free", "failed",   "bytes_requested",
};

enum {
    STEP_BYTES = 16, /* sizes are told apart in steps of 16 B to 1 KiB, then by doubling */
    STEPS = 64,
    STEPS_LOG2 = 10, /* of STEP_BYTES * STEPS */
    SIZES = STEPS + 1 + 64 - STEPS_LOG2,
    STRIPES = 64, /* threads spread over these, so that they rarely meet */
    EARLY_BYTES = 4096,
};

/* Atomic, because more threads than stripes may run. */
struct stripe {
    _Alignas(64) _Atomic uint64_t counts[COUNTS];
    _Atomic uint64_t sizes[SIZES];
};

static struct stripe stripes[STRIPES];
static atomic_uint threads;
static struct report report = {.fd = -1};
static char exe[PATH_MAX];

#define THREAD_LOCAL static _Thread_local __attribute__((tls_model("initial-exec")))
THREAD_LOCAL struct stripe *mine;
THREAD_LOCAL unsigned self; /* which thread this is */
THREAD_LOCAL int depth;     /* of a call within a call only the outer one is the program's */

/* --- whoever would have served the call ------------------------------------------------------- */

static struct {
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void *(*memalign)(size_t, size_t);
    void *(*aligned_alloc)(size_t, size_t);
    int (*posix_memalign)(void **, size_t, size_t);
    void *(*valloc)(size_t);
    void *(*pvalloc)(size_t);
    void (*free)(void *);
} next;
static atomic_int next_known;

/* dlsym itself may allocate before we know whom to ask: from here, and it is never given back. */
static _Alignas(STEP_BYTES) unsigned char early[EARLY_BYTES];
static atomic_size_t early_used;
THREAD_LOCAL int looking_up;

static void *early_allocate(size_t size) {
    const size_t room = (size + STEP_BYTES - 1) / STEP_BYTES * STEP_BYTES;
    const size_t at = atomic_fetch_add(&early_used, room);
    return size <= EARLY_BYTES && at + room <= EARLY_BYTES ? early + at : NULL;
}

static int is_early(const void *block) {
    return (const unsigned char *)block >= early &&
           (const unsigned char *)block < early + EARLY_BYTES;
}

static void look_up(void) {
    looking_up = 1;
    *(void **)&next.malloc = dlsym(RTLD_NEXT, "malloc");
    *(void **)&next.calloc = dlsym(RTLD_NEXT, "calloc");
    *(void **)&next.realloc = dlsym(RTLD_NEXT, "realloc");
    *(void **)&next.memalign = dlsym(RTLD_NEXT, "memalign");
    *(void **)&next.aligned_alloc = dlsym(RTLD_NEXT, "aligned_alloc");
    *(void **)&next.posix_memalign = dlsym(RTLD_NEXT, "posix_memalign");
    *(void **)&next.valloc = dlsym(RTLD_NEXT, "valloc");
    *(void **)&next.pvalloc = dlsym(RTLD_NEXT, "pvalloc");
    *(void **)&next.free = dlsym(RTLD_NEXT, "free");
    looking_up = 0;
    atomic_store(&next_known, 1);
}

/* Enters a call; 0 while it is the look-up's own. */
static int enter(void) {
    if (looking_up) {
        return 0;
    }
    if (!atomic_load_explicit(&next_known, memory_order_acquire)) {
        look_up();
    }
    depth++;
    return 1;
}

/* --- counting ----------------------------------------------------------------------------------
 */

static void add(enum count what, uint64_t amount) {
    if (!mine) {
        self = atomic_fetch_add(&threads, 1);
        mine = &stripes[self % STRIPES];
    }
    atomic_fetch_add_explicit(&mine->counts[what], amount, memory_order_relaxed);
}

static int size_index(size_t size) {
    if (size <= (size_t)STEP_BYTES * STEPS) {
        return (int)((size + STEP_BYTES - 1) / STEP_BYTES);
    }
    return STEPS + 64 - STEPS_LOG2 - __builtin_clzll((unsigned long long)size - 1);
}

/* The largest size that is counted under `index`. */
static uint64_t size_limit(int index) {
    if (index <= STEPS) {
        return (uint64_t)index * STEP_BYTES;
    }
    const int log2 = index - STEPS + STEPS_LOG2;
    return log2 < 64 ? (uint64_t)1 << log2 : UINT64_MAX;
}

/* Leaves a call that asked for `size` bytes. */
static void *leave(enum count what, void *block, size_t size) {
    if (--depth == 0) {
        add(what, 1);
        if (block) {
            add(BYTES, size);
            blocks_add((struct block){block, size, self});
            atomic_fetch_add_explicit(&mine->sizes[size_index(size)], 1, memory_order_relaxed);
        } else {
            add(FAILED, 1);
        }
    }
    return block;
}

/* libc's headers name the parameters with reserved identifiers.
 * NOLINTBEGIN(readability-inconsistent-declaration-parameter-name) */

void *malloc(size_t size) {
    return enter() ? leave(MALLOC, next.malloc(size), size) : early_allocate(size);
}

void *calloc(size_t count, size_t size) {
    if (!enter()) {
        return early_allocate(count * size); /* dlsym's own: small, and no byte was ever used */
    }
    return leave(CALLOC, next.calloc(count, size), count * size);
}

void *realloc(void *old, size_t size) {
    if (!enter()) {
        return NULL;
    }
    if (is_early(old)) {
        void *block = next.malloc(size);
        const size_t there = (size_t)(early + EARLY_BYTES - (unsigned char *)old);
        return leave(REALLOC, block ? memcpy(block, old, size < there ? size : there) : NULL, size);
    }
    const struct block known =
        old && depth == 1 ? blocks_remove(old) : (struct block){.address = NULL};
    void *block = next.realloc(old, size);
    if (!block && size && known.address) {
        blocks_add(known); /* it stays where it was */
    }
    if (old && size == 0) {
        if (--depth == 0) {
            add(REALLOC, 1);
            add(REALLOC_FREE, 1);
        }
        return block;
    }
    if (!old && depth == 1) {
        add(REALLOC_NEW, 1);
    }
    return leave(REALLOC, block, size);
}

void *memalign(size_t alignment, size_t size) {
    return enter() ? leave(MEMALIGN, next.memalign(alignment, size), size) : NULL;
}

void *aligned_alloc(size_t alignment, size_t size) {
    return enter() ? leave(ALIGNED_ALLOC, next.aligned_alloc(alignment, size), size) : NULL;
}

int posix_memalign(void **block, size_t alignment, size_t size) {
    if (!enter()) {
        return ENOMEM;
    }
    const int error = next.posix_memalign(block, alignment, size);
    leave(POSIX_MEMALIGN, error ? NULL : *block, size);
    return error;
}

void *valloc(size_t size) {
    return enter() ? leave(VALLOC, next.valloc(size), size) : NULL;
}

void *pvalloc(size_t size) {
    return enter() ? leave(PVALLOC, next.pvalloc(size), size) : NULL;
}

void free(void *block) {
    if (is_early(block) || !enter()) {
        return;
    }
    const struct block known =
        block && depth == 1 ? blocks_remove(block) : (struct block){.address = NULL};
    next.free(block);
    if (--depth == 0) {
        add(FREE, 1);
        add(FREE_NULL, block == NULL);
        add(FREE_REMOTE, known.address && known.thread != self);
    }
}

/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */

/* --- telling -----------------------------------------------------------------------------------
 */

static uint64_t take(size_t offset) {
    uint64_t sum = 0;
    for (int i = 0; i < STRIPES; i++) {
        _Atomic uint64_t *count = (_Atomic uint64_t *)(void *)((char *)&stripes[i] + offset);
        sum += atomic_exchange_explicit(count, 0, memory_order_relaxed);
    }
    return sum;
}

static void begin(struct line *line, const char *when) {
    line->length = 0;
    line_add(line, "{\"hakcensus\":1,\"at\":\"%s\",\"pid\":%d,\"exe\":", when, (int)getpid());
    line_add_string(line, exe);
}

/* Writes what was counted since the last time, so that all lines add up to the whole. */
static void tell(void) {
    struct line line;
    begin(&line, "end");
    line_add(&line, ",\"threads\":%u", atomic_load(&threads));
    for (int i = 0; i < COUNTS; i++) {
        const uint64_t count = take(offsetof(struct stripe, counts) + (size_t)i * sizeof(uint64_t));
        line_add(&line, ",\"%s\":%llu", count_names[i], (unsigned long long)count);
    }
    line_add(&line, ",\"sizes\":[");
    const char *comma = "";
    for (int i = 0; i < SIZES; i++) {
        const uint64_t count = take(offsetof(struct stripe, sizes) + (size_t)i * sizeof(uint64_t));
        if (count) {
            line_add(&line, "%s[%llu,%llu]", comma, (unsigned long long)size_limit(i),
                     (unsigned long long)count);
            comma = ",";
        }
    }
    line_add(&line, "]");
    if (blocks_peak_bytes() >= 0) {
        line_add(&line, ",\"peak_bytes\":%lld", blocks_peak_bytes());
    }
    line_add(&line, "}\n");
    report_line(&report, &line);
}

static void tell_start(void) {
    struct line line;
    begin(&line, "start");
    line_add(&line, "}\n");
    report_line(&report, &line);
}

/* What was counted before the fork is the parent's; what was live is so in both. */
static void start_forked(void) {
    blocks_after_fork_child();
    for (size_t offset = 0; offset < sizeof(struct stripe); offset += sizeof(uint64_t)) {
        take(offset);
    }
    tell_start();
}

__attribute__((constructor)) static void census_start(void) {
    report_exe(exe);
    report = report_open("HAKCENSUS_FD");
    pthread_atfork(blocks_before_fork, blocks_after_fork_parent, start_forked);
    tell_start();
}

__attribute__((destructor)) static void census_end(void) {
    tell();
}

/* --- ways to end that no destructor sees ------------------------------------------------------ */

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name) as above */

void _exit(int status) {
    tell();
    for (;;) {
        syscall(SYS_exit_group, status);
    }
}

void _Exit(int status) {
    _exit(status);
}

int execve(const char *path, char *const argv[], char *const envp[]) {
    tell();
    return (int)syscall(SYS_execve, path, argv, envp);
}

int execv(const char *path, char *const argv[]) {
    return execve(path, argv, environ);
}

int execvpe(const char *file, char *const argv[], char *const envp[]) {
    static __typeof__(&execvpe) original;
    *(void **)&original = dlsym(RTLD_NEXT, "execvpe");
    tell();
    return original(file, argv, envp);
}

int execvp(const char *file, char *const argv[]) {
    return execvpe(file, argv, environ);
}

/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
