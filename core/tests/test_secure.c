/* The variant `secure`: every kind of misuse, with blocks of every class, of runs, and large ones,
 * each in a process of its own. It must end in abort with the message that names kind and address;
 * at the guard pages, in SIGSEGV. With "zero" as argument also what only HAKMEM_ZERO_ON_FREE=1
 * sees. */
#include "check.h"

#include "size_class.h"
#include "superslab.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MESSAGE_BYTES = 256, GUARD = 65536 };

#define MANY ((size_t)200)

static void **blamed; /* shared with the child: the address that must be named */
static char *volatile sink;

static char *announce(void *block) {
    *blamed = block;
    return block;
}

static char *fresh(size_t size) {
    char *block = announce(malloc(size));
    CHECK(block && malloc_usable_size(block) >= size);
    memset(block, 1, malloc_usable_size(block));
    return block;
}

static void *free_when_told(void *told) {
    (void)pthread_barrier_wait(told);
    free(sink);
    return NULL;
}

static void *alloc_and_free(void *size) {
    sink = fresh((size_t)(uintptr_t)size);
    free(sink);
    return sink;
}

/* --- double frees ----------------------------------------------------------------------------- */

static void twice(size_t size) {
    char *block = fresh(size);
    free(block);
    free(block);
}

static void twice_with_others_between(size_t size) {
    char *others[] = {malloc(size), malloc(size)};
    char *block = fresh(size);
    free(block);
    free(others[0]);
    free(others[1]);
    free(block);
}

static void twice_after_a_write(size_t size) {
    char *block = fresh(size);
    free(block);
    memset(block, 2, 16);
    free(block);
}

static void twice_after_a_write_past_the_end(size_t size) {
    char *block = fresh(size);
    size_t end = malloc_usable_size(block);
    free(block);
    memset(block + end, 2, 8);
    free(block);
}

static void twice_after_writes_at_both_ends(size_t size) {
    char *block = fresh(size);
    size_t end = malloc_usable_size(block);
    free(block);
    memset(block, 2, end + 8);
    free(block);
}

/* The thread comes first: to start one takes allocations. */
static void twice_by_another_thread(size_t size) {
    pthread_barrier_t told;
    pthread_t thread;
    CHECK(pthread_barrier_init(&told, NULL, 2) == 0);
    CHECK(pthread_create(&thread, NULL, free_when_told, &told) == 0);
    sink = fresh(size);
    free(sink);
    (void)pthread_barrier_wait(&told);
    CHECK(pthread_join(thread, NULL) == 0);
}

static void twice_after_its_thread(size_t size) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, alloc_and_free, (void *)(uintptr_t)size) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    free(sink);
}

static void twice_after_trim(size_t size) {
    char *kept = malloc(size); /* so that the slab stays */
    char *block = fresh(size);
    free(block);
    malloc_trim(0);
    free(block);
    sink = kept;
}

static void twice_after_fork(size_t size) {
    char *block = fresh(size);
    free(block);
    int status;
    pid_t child = fork();
    if (child == 0) {
        free(block);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    if (WIFSIGNALED(status)) {
        (void)signal(WTERMSIG(status), SIG_DFL);
        (void)raise(WTERMSIG(status));
    }
}

static void after_realloc(size_t size) {
    char *block = fresh(size);
    sink = realloc(block, size * 4 + 100); /* larger ones may stay where they are */
    if (sink == block) {
        free(sink);
    }
    free(block);
}

static void realloc_of_free(size_t size) {
    char *block = fresh(size);
    free(block);
    sink = realloc(block, size + 1);
}

/* --- addresses that are none ------------------------------------------------------------------ */

static void inside(size_t size) {
    char *block = fresh(size);
    free(announce(block + 16));
}

static void odd(size_t size) {
    char *block = fresh(size);
    free(announce(block + 1));
}

static void in_the_middle(size_t size) {
    char *block = fresh(size);
    free(announce(block + (size / 2 & ~(size_t)15) + 16));
}

static void never_cut(size_t size) {
    char *block = fresh(size);
    free(malloc(size));
    uintptr_t unit = (uintptr_t)block & ~(HK_UNIT - 1);
    free(announce((char *)(unit + HK_UNIT - 16)));
}

static void on_the_stack(size_t size) {
    char local[64] = {0};
    free(announce(local));
    (void)size;
}

static void in_foreign_memory(size_t size) {
    char *pages =
        mmap(NULL, size + GUARD, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(pages != MAP_FAILED);
    free(announce(pages + 16));
}

/* --- writes ----------------------------------------------------------------------------------- */

static void past_the_end(size_t size) {
    char *block = fresh(size);
    block[malloc_usable_size(block)] ^= 1;
    free(block);
}

static void past_the_end_then_realloc(size_t size) {
    char *block = fresh(size);
    block[malloc_usable_size(block) + 7] ^= 1;
    sink = realloc(block, size * 8);
}

/* Its range keeps the guard pages where they were. */
static void past_the_end_of_part(size_t size) {
    free(malloc(size + size / 2));
    past_the_end(size);
}

static void past_the_end_of_part_then_realloc(size_t size) {
    free(malloc(size + size / 2));
    past_the_end_then_realloc(size);
}

/* Before a block lies the end of another. */
static void before_the_start(size_t size) {
    static char *blocks[MANY];
    for (size_t i = 0; i < MANY; i++) {
        blocks[i] = malloc(size);
    }
    const size_t stride = hk_class_size(hk_class_of(size + HK_SECURE_BYTES));
    for (size_t i = 0; i < MANY * MANY; i++) {
        if (blocks[i / MANY] == blocks[i % MANY] + stride) {
            announce(blocks[i % MANY])[stride - 1] ^= 1;
            break;
        }
    }
    for (size_t i = 0; i < MANY; i++) {
        free(blocks[i]);
    }
}

static void reuse(size_t size) {
    for (size_t i = 0; i < MANY; i++) {
        sink = malloc(size);
    }
}

static void first_byte_of_free(size_t size) {
    char *block = fresh(size);
    free(block);
    block[0] ^= 1;
    reuse(size);
}

static void second_word_of_free(size_t size) {
    char *block = fresh(size);
    free(block);
    block[15] ^= 1;
    reuse(size);
}

static void copy_over_free(size_t size) {
    char *block = fresh(size);
    free(block);
    memset(block, 'A', size < 16 ? 16 : size);
    reuse(size);
}

static void last_word_of_free(size_t size) {
    char *block = fresh(size);
    size_t end = malloc_usable_size(block);
    free(block);
    block[end] ^= 1;
    for (size_t i = 0; i < MANY; i++) {
        sink = malloc(size);
        if (sink == block) {
            free(sink);
        }
    }
}

static void middle_of_free(size_t size) {
    char *block = fresh(size);
    size_t end = malloc_usable_size(block);
    free(block);
    block[end - 1] = 1;
    reuse(size);
}

static void end_of_large(size_t size) {
    char *block = fresh(size);
    block[malloc_usable_size(block)] = 1;
}

static void start_of_large(size_t size) {
    char *block = fresh(size);
    block[-1] = 1;
}

/* --- the table -------------------------------------------------------------------------------- */

enum { SMALL = 1, RUN = 2, LARGE = 4, ANY = SMALL | RUN | LARGE, ZEROED = 8, FAULT = 16 };

static const struct {
    const char *name;
    void (*run)(size_t size);
    int sizes;
    const char *message; /* one of two, if there is a second */
    const char *or_else;
} misuses[] = {
    {"twice", twice, SMALL, "free(): double free of", NULL},
    {"twice", twice, RUN | LARGE, "free(): invalid pointer", NULL},
    {"twice with others between", twice_with_others_between, SMALL, "free(): double free of", NULL},
    {"twice with others between", twice_with_others_between, RUN | LARGE, "free(): invalid pointer",
     NULL},
    {"twice after a write", twice_after_a_write, SMALL, "free(): double free of", NULL},
    {"twice after a write past the end", twice_after_a_write_past_the_end, SMALL,
     "free(): double free of", NULL},
    {"twice after writes at both ends", twice_after_writes_at_both_ends, SMALL,
     "free(): write past the end of", NULL},
    {"twice by another thread", twice_by_another_thread, SMALL, "free(): double free of", NULL},
    {"twice by another thread", twice_by_another_thread, RUN | LARGE, "free(): invalid pointer",
     NULL},
    {"twice after its thread", twice_after_its_thread, ANY, "free(): double free of",
     "free(): invalid pointer"},
    {"twice after trim", twice_after_trim, ANY, "free(): double free of",
     "free(): invalid pointer"},
    {"twice after fork", twice_after_fork, SMALL, "free(): double free of", NULL},
    {"twice after fork", twice_after_fork, RUN | LARGE, "free(): invalid pointer", NULL},
    {"after realloc", after_realloc, ANY, "free(): double free of", "free(): invalid pointer"},
    {"realloc of free", realloc_of_free, SMALL, "realloc(): use of free block", NULL},
    {"realloc of free", realloc_of_free, RUN | LARGE, "realloc(): invalid pointer", NULL},
    {"inside", inside, ANY, "free(): invalid pointer", NULL},
    {"odd", odd, ANY, "free(): invalid pointer", NULL},
    {"in the middle", in_the_middle, ANY, "free(): invalid pointer", NULL},
    {"never cut", never_cut, SMALL, "free(): invalid pointer", NULL},
    {"on the stack", on_the_stack, ANY, "free(): invalid pointer", NULL},
    {"in foreign memory", in_foreign_memory, ANY, "free(): invalid pointer", NULL},
    {"past the end", past_the_end, SMALL | RUN, "free(): write past the end of", NULL},
    {"past the end, realloc", past_the_end_then_realloc, SMALL | RUN,
     "realloc(): write past the end of", NULL},
    {"past the end of part", past_the_end_of_part, LARGE, "free(): write past the end of", NULL},
    {"past the end of part, realloc", past_the_end_of_part_then_realloc, LARGE,
     "realloc(): write past the end of", NULL},
    {"before the start", before_the_start, SMALL, "free(): write past the end of", NULL},
    {"first byte of free", first_byte_of_free, ANY, "malloc(): write into free block", NULL},
    {"second word of free", second_word_of_free, ANY, "malloc(): write into free block", NULL},
    {"copy over free", copy_over_free, ANY, "malloc(): write into free block", NULL},
    {"last word of free", last_word_of_free, SMALL, "free(): write past the end of", NULL},
    {"middle of free", middle_of_free, SMALL | RUN | ZEROED, "malloc(): write into free block",
     NULL},
    {"end of large", end_of_large, LARGE | FAULT, NULL, NULL},
    {"start of large", start_of_large, LARGE | FAULT, NULL, NULL},
};

static size_t tried;

static bool names(const char *said, const char *message) {
    char expected[MESSAGE_BYTES];
    (void)snprintf(expected, sizeof expected, "hakmem: %s %p\n", message, *blamed);
    return strstr(said, expected) != NULL;
}

static void try_one(size_t i, size_t size) {
    int ends[2];
    CHECK(pipe(ends) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        (void)dup2(ends[1], STDERR_FILENO);
        misuses[i].run(size);
        _exit(0); /* not noticed */
    }
    close(ends[1]);
    char said[MESSAGE_BYTES] = "";
    size_t length = 0;
    for (ssize_t got; length + 1 < sizeof said &&
                      (got = read(ends[0], said + length, sizeof said - 1 - length)) > 0;) {
        length += (size_t)got;
    }
    close(ends[0]);
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    const int expected = misuses[i].sizes & FAULT ? SIGSEGV : SIGABRT;
    bool named = misuses[i].sizes & FAULT || names(said, misuses[i].message) ||
                 (misuses[i].or_else && names(said, misuses[i].or_else));
    if (!WIFSIGNALED(status) || WTERMSIG(status) != expected || !named) {
        fprintf(stderr, "%s, %zu bytes: status %x, address %p, said: %s\n", misuses[i].name, size,
                (unsigned)status, *blamed, said);
        exit(1);
    }
    tried++;
}

static void try_all(size_t size, int kind, bool zero) {
    for (size_t i = 0; i < sizeof misuses / sizeof *misuses; i++) {
        if (misuses[i].sizes & kind && (zero || !(misuses[i].sizes & ZEROED))) {
            try_one(i, size);
        }
    }
}

int main(int argc, char **argv) {
    const bool zero = argc > 1 && strcmp(argv[1], "zero") == 0;
    const struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    blamed = mmap(NULL, sizeof *blamed, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(blamed != MAP_FAILED);
    for (size_t cls = 2; cls < HK_CLASSES; cls++) {
        try_all(hk_class_size(cls) - HK_SECURE_BYTES, SMALL, zero); /* the class's largest */
        if (cls % 8 == 0) {
            try_all(hk_class_size(cls - 1) - HK_SECURE_BYTES + 1, SMALL, zero); /* its smallest */
        }
    }
    static const size_t runs[] = {65529, 65536, 131064, 200000, 524288, 1048568};
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        try_all(runs[i], RUN, zero);
    }
    static const size_t large[] = {1048569, 2 << 20, 5000000};
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
        try_all(large[i], LARGE, zero);
    }
    printf("%zu misuses ended as they should\n", tried);
    return 0;
}
