/* Threads that allocate and free at random, each other's blocks too, and count on their own.
 *
 *     churn SEED THREADS OPS LARGEST ENDING
 *
 * After a barrier the counters are dumped to before.json, after the work to after.json, and the
 * program's own counts are printed. ENDING: exit, _exit, kill, abort, signal (twice), fork, exec, wait, leave
 * (one thread stays blocked). Threads also come and go before that, to leave dead ones behind. */
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SLOTS = 512, MAX_THREADS = 2000, CHILDREN = 10 };

__attribute__((weak)) int hak_counters_dump(const char *path);

static struct {
    pthread_mutex_t lock;
    void *block;
} slots[SLOTS];

static uint64_t seed;
static unsigned thread_count, ops;
static size_t largest;
static uint64_t allocs, frees, reallocs;
static pthread_barrier_t start, stop;

static uint64_t next(uint64_t *state) {
    *state += 0x9e3779b97f4a7c15U;
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

static void count(uint64_t *counter) {
    __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

static void *obtain(uint64_t *state, size_t size) {
    switch (next(state) % 8) {
    case 0:
        return calloc(1, size);
    case 1:
        return aligned_alloc((size_t)16 << next(state) % 9, size);
    default:
        return malloc(size);
    }
}

static void step(uint64_t *state) {
    unsigned slot = (unsigned)(next(state) % SLOTS);
    size_t size = 1 + next(state) % (next(state) % 16 == 0 ? largest : 600);
    pthread_mutex_lock(&slots[slot].lock);
    void *block = slots[slot].block;
    if (!block) {
        block = obtain(state, size);
        memset(block, 1, size < 64 ? size : 64);
        count(&allocs);
    } else if (next(state) % 8 == 0) {
        block = realloc(block, size);
        count(&reallocs);
    } else {
        free(block);
        block = NULL;
        count(&frees);
    }
    slots[slot].block = block;
    pthread_mutex_unlock(&slots[slot].lock);
}

static void *work(void *argument) {
    uint64_t state = seed + (uintptr_t)argument;
    pthread_barrier_wait(&start);
    pthread_barrier_wait(&start);
    for (unsigned i = 0; i < ops; i++) {
        step(&state);
    }
    pthread_barrier_wait(&stop);
    pthread_barrier_wait(&stop);
    return NULL;
}

static void *short_life(void *argument) {
    uint64_t state = seed ^ (uintptr_t)argument;
    for (unsigned i = 0; i < 200; i++) {
        step(&state);
    }
    return NULL;
}

static void *blocked(void *argument) {
    uint64_t state = seed;
    step(&state);
    pthread_barrier_wait(argument);
    pause();
    return NULL;
}

static void in_threads(void *(*function)(void *), pthread_t *threads) {
    for (uintptr_t i = 0; i < thread_count; i++) {
        if (pthread_create(&threads[i], NULL, function, (void *)(i * 7919))) {
            exit(3);
        }
    }
}

static void join(pthread_t *threads) {
    for (unsigned i = 0; i < thread_count; i++) {
        pthread_join(threads[i], NULL);
    }
}

static void dump(const char *path) {
    if (hak_counters_dump && hak_counters_dump(path) != 0) {
        exit(4);
    }
}

/* The parent goes on at once, while its children still set themselves up. */
static void fork_and_work(void) {
    uint64_t state = seed;
    for (unsigned child = 0; child < CHILDREN; child++) {
        pid_t pid = fork();
        for (unsigned i = 0; i < 100; i++) {
            step(&state);
        }
        if (pid == 0) {
            exit(0);
        }
    }
    while (wait(NULL) > 0) {
    }
}

static void end(const char *ending, char *self) {
    if (!strcmp(ending, "_exit")) {
        _exit(0);
    } else if (!strcmp(ending, "kill")) {
        raise(SIGKILL);
    } else if (!strcmp(ending, "abort")) {
        abort();
    } else if (!strcmp(ending, "signal")) {
        raise(SIGUSR1);
        raise(SIGUSR1);
    } else if (!strcmp(ending, "fork")) {
        fork_and_work();
    } else if (!strcmp(ending, "exec")) {
        execl(self, self, "2", "1", "10", "100", "exit", NULL);
    } else if (!strcmp(ending, "wait")) {
        puts("ready");
        fflush(stdout);
        pause();
    } else if (!strcmp(ending, "leave")) {
        pthread_barrier_t there;
        pthread_t thread;
        pthread_barrier_init(&there, NULL, 2);
        pthread_create(&thread, NULL, blocked, &there);
        pthread_barrier_wait(&there);
    }
}

int main(int argc, char **argv) {
    static pthread_t threads[MAX_THREADS];
    if (argc != 6) {
        return 2;
    }
    seed = strtoull(argv[1], NULL, 10);
    thread_count = (unsigned)atoi(argv[2]);
    ops = (unsigned)atoi(argv[3]);
    largest = strtoull(argv[4], NULL, 10);
    for (unsigned i = 0; i < SLOTS; i++) {
        pthread_mutex_init(&slots[i].lock, NULL);
    }
    pthread_barrier_init(&start, NULL, thread_count + 1);
    pthread_barrier_init(&stop, NULL, thread_count + 1);
    in_threads(short_life, threads);
    join(threads);
    in_threads(work, threads);
    pthread_barrier_wait(&start);
    allocs = frees = reallocs = 0;
    dump("before.json");
    pthread_barrier_wait(&start);
    pthread_barrier_wait(&stop);
    dump("after.json");
    printf("%lu %lu %lu\n", allocs, frees, reallocs);
    fflush(stdout);
    pthread_barrier_wait(&stop);
    join(threads);
    end(argv[5], argv[0]);
    return 0;
}
