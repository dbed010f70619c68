/* One misuse a run: misuse NAME. The address that is misused is printed first; whoever notices
 * aborts, hakmem with a message that names it. Without a name: the names of all, "!" before those
 * that hakmem notices in every build. Run under any allocator by LD_PRELOAD. */
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TINY = 24, SMALL = 500, COARSE = 5000, RUN = 200000, LARGE = 5000000 };

static char *volatile sink;
static const char constant[64] = "constant";

static char *announce(const void *address) {
    printf("%p\n", address);
    fflush(stdout);
    return (char *)address;
}

static char *fresh(size_t size) {
    sink = malloc(size);
    return announce(sink);
}

/* --- double frees ----------------------------------------------------------------------------- */

static void twice(char *block) {
    free(block);
    free(block);
}

static void double_free_tiny(void) {
    twice(fresh(TINY));
}
static void double_free_small(void) {
    twice(fresh(SMALL));
}
static void double_free_coarse(void) {
    twice(fresh(COARSE));
}
static void double_free_run(void) {
    twice(fresh(RUN));
}
static void double_free_large(void) {
    twice(fresh(LARGE));
}
static void double_free_of_zero(void) {
    twice(fresh(0));
}
static void double_free_aligned(void) {
    twice(announce(memalign(64, 200)));
}
static void double_free_page(void) {
    twice(announce(valloc(100)));
}
static void double_free_calloc(void) {
    twice(announce(calloc(4, 25)));
}
static void double_free_string(void) {
    twice(announce(strdup("a string of some length")));
}

static void twice_with_one_between(size_t size) {
    char *other = malloc(size);
    char *block = fresh(size);
    free(block);
    free(other);
    free(block);
}

static void double_free_one_between_tiny(void) {
    twice_with_one_between(TINY);
}
static void double_free_one_between_coarse(void) {
    twice_with_one_between(COARSE);
}
static void double_free_one_between_run(void) {
    twice_with_one_between(RUN);
}

static void double_free_other_size_between(void) {
    char *other = malloc(SMALL);
    char *block = fresh(TINY);
    free(block);
    free(other);
    free(block);
}

static void double_free_malloc_between(void) {
    char *block = fresh(TINY);
    free(block);
    sink = malloc(SMALL);
    free(block);
}

static void double_free_many_between(void) {
    char *others[50];
    for (int i = 0; i < 50; i++) {
        others[i] = malloc(TINY);
    }
    char *block = fresh(TINY);
    free(block);
    for (int i = 0; i < 50; i++) {
        free(others[i]);
    }
    free(block);
}

static void double_free_when_warm(void) {
    for (int i = 0; i < 100; i++) {
        free(malloc(TINY));
    }
    twice(fresh(TINY));
}

static void double_free_after_realloc(void) {
    char *block = fresh(TINY);
    sink = realloc(block, SMALL);
    free(block);
}

static void *free_sink(void *barrier) {
    (void)pthread_barrier_wait(barrier);
    free(sink);
    return NULL;
}

static void double_free_by_another_thread(void) {
    pthread_barrier_t barrier;
    pthread_t thread;
    pthread_barrier_init(&barrier, NULL, 2);
    pthread_create(&thread, NULL, free_sink, &barrier);
    free(fresh(TINY));
    (void)pthread_barrier_wait(&barrier);
    pthread_join(thread, NULL);
}

static void *alloc_and_free(void *unused) {
    free(fresh(TINY));
    return unused;
}

static void double_free_after_its_thread(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, alloc_and_free, NULL);
    pthread_join(thread, NULL);
    free(sink);
}

static void double_free_after_fork(void) {
    int status = 0;
    free(fresh(TINY));
    if (fork() == 0) {
        free(sink);
        _exit(0);
    }
    (void)wait(&status);
    if (WIFSIGNALED(status)) {
        abort();
    }
}

static void realloc_after_free(void) {
    free(fresh(TINY));
    sink = realloc(sink, SMALL);
}

/* --- addresses that are no block's ------------------------------------------------------------ */

static void free_stack(void) {
    char local[64];
    free(announce(local));
}

static void free_static(void) {
    static char bytes[64];
    free(announce(bytes));
}

static void free_constant(void) {
    free(announce(constant));
}
static void free_code(void) {
    free(announce((void *)free_code));
}
static void free_argument(void) {
    free(announce(environ[0]));
}
static void free_small_number(void) {
    free(announce((void *)16));
}

static char *pages(void) {
    return mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void free_pages(void) {
    free(announce(pages()));
}
static void free_inside_pages(void) {
    free(announce(pages() + 4096 + 16));
}
static void free_inside_small(void) {
    free(announce((char *)malloc(100) + 16));
}
static void free_odd(void) {
    free(announce((char *)malloc(100) + 1));
}
static void free_half_aligned(void) {
    free(announce((char *)malloc(100) + 8));
}
static void free_inside_coarse(void) {
    free(announce((char *)malloc(COARSE) + 4096));
}
static void free_inside_run(void) {
    free(announce((char *)malloc(RUN) + 65536));
}
static void free_near_start_of_run(void) {
    free(announce((char *)malloc(RUN) + 16));
}
static void free_inside_large(void) {
    free(announce((char *)malloc(LARGE) + 131072));
}
static void free_near_start_of_large(void) {
    free(announce((char *)malloc(LARGE) + 16));
}

static void free_inside_when_warm(void) {
    for (int i = 0; i < 100; i++) {
        free(malloc(100));
    }
    free(announce((char *)malloc(100) + 16));
}

static void realloc_foreign(void) {
    char local[64];
    sink = realloc(announce(local), 100);
}

static void realloc_inside_small(void) {
    sink = realloc(announce((char *)malloc(100) + 16), 300);
}
static void realloc_inside_large(void) {
    sink = realloc(announce((char *)malloc(LARGE) + 16), 300);
}

/* --- the table -------------------------------------------------------------------------------- */

#define ALWAYS(name)                                                                               \
    { "!" #name, name }
#define MAYBE(name)                                                                                \
    { #name, name }
static const struct {
    const char *name;
    void (*run)(void);
} misuses[] = {
    MAYBE(double_free_tiny),
    MAYBE(double_free_small),
    MAYBE(double_free_coarse),
    ALWAYS(double_free_run),
    ALWAYS(double_free_large),
    MAYBE(double_free_of_zero),
    MAYBE(double_free_aligned),
    MAYBE(double_free_page),
    MAYBE(double_free_calloc),
    MAYBE(double_free_string),
    MAYBE(double_free_one_between_tiny),
    MAYBE(double_free_one_between_coarse),
    ALWAYS(double_free_one_between_run),
    MAYBE(double_free_other_size_between),
    MAYBE(double_free_malloc_between),
    MAYBE(double_free_many_between),
    MAYBE(double_free_when_warm),
    MAYBE(double_free_after_realloc),
    MAYBE(double_free_by_another_thread),
    MAYBE(double_free_after_its_thread),
    MAYBE(double_free_after_fork),
    MAYBE(realloc_after_free),
    ALWAYS(free_stack),
    ALWAYS(free_static),
    ALWAYS(free_constant),
    ALWAYS(free_code),
    ALWAYS(free_argument),
    MAYBE(free_small_number),
    MAYBE(free_pages), /* the variant `header` reads the byte before it */
    ALWAYS(free_inside_pages),
    ALWAYS(free_inside_small),
    ALWAYS(free_odd),
    ALWAYS(free_half_aligned),
    MAYBE(free_inside_coarse),
    ALWAYS(free_inside_run),
    ALWAYS(free_near_start_of_run),
    ALWAYS(free_inside_large),
    ALWAYS(free_near_start_of_large),
    MAYBE(free_inside_when_warm),
    ALWAYS(realloc_foreign),
    MAYBE(realloc_inside_small),
    ALWAYS(realloc_inside_large),
};

int main(int argc, char **argv) {
    for (size_t i = 0; i < sizeof misuses / sizeof *misuses; i++) {
        if (argc < 2) {
            puts(misuses[i].name);
        } else if (strcmp(argv[1], misuses[i].name + strspn(misuses[i].name, "!")) == 0) {
            misuses[i].run();
            return 0; /* not noticed */
        }
    }
    return argc < 2 ? 0 : 2;
}
