/* fork while other threads allocate, 400 times, and from a signal handler: the child allocates,
 * frees and ends; nobody hangs. Handlers of fork that were there before hakmem's allocate, too:
 * they run while it holds its locks, if there are other threads. Usage: test_fork [FORKS]. */
#include "check.h"
#include "slab_class.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORKERS = 4 };

static volatile bool over;
static volatile sig_atomic_t forked_in_handler;

static void use(uint64_t *state, unsigned steps) {
    void *blocks[64] = {NULL};
    for (unsigned i = 0; i < steps; i++) {
        void **block = &blocks[next_random(state) % 64];
        free(*block);
        size_t size = random_size(state, i % 100 == 0 ? 21 : 13);
        *block = malloc(size);
        CHECK(*block);
        memset(*block, 1, size < 64 ? size : 64);
    }
    for (unsigned i = 0; i < 64; i++) {
        free(blocks[i]);
    }
}

static bool handlers_allocate = true;
static unsigned handled;
static bool locked;

static void allocate_in_handler(void) {
    static uint64_t state = 3;
    if (handlers_allocate) {
        locked = hk_lock_is_mine(&hk_centrals[1].lock);
        use(&state, 60);
        handled++;
    }
}

static void *work(void *seed) {
    uint64_t state = (uintptr_t)seed;
    while (!over) {
        use(&state, 100);
    }
    return NULL;
}

static void *nothing(void *argument) {
    return argument;
}

static void child(uint64_t seed) {
    use(&seed, 300);
    pthread_t id;
    CHECK(pthread_create(&id, NULL, nothing, malloc(100)) == 0);
    void *block;
    CHECK(pthread_join(id, &block) == 0);
    free(block);
    _exit(0);
}

static void wait_for(pid_t pid) {
    int status = -1;
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void use_and_fork(uint64_t *state) {
    use(state, 20);
    pid_t pid = fork();
    if (pid == 0) {
        child(*state);
    }
    wait_for(pid);
}

/* The handler may have interrupted malloc anywhere; the child must not hang in fork's handlers. */
static void on_signal(int number) {
    (void)number;
    pid_t pid = fork();
    if (pid == 0) {
        _exit(0);
    }
    int status;
    forked_in_handler += waitpid(pid, &status, 0) == pid;
}

int main(int argc, char **argv) {
    CHECK(pthread_atfork(allocate_in_handler, allocate_in_handler, allocate_in_handler) == 0);
    int forks = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 400;
    const int in_handler = forks / 8;
    alarm(1000); /* a hang, not a slow machine: 400 forks take 50 s beside six busy threads */
    uint64_t state = 42;
    use_and_fork(&state);
#if __has_include(<sys/single_threaded.h>)
    CHECK(locked == hk_counters_on); /* counters are others' to read */
#endif
    pthread_t ids[WORKERS];
    for (size_t i = 0; i < WORKERS; i++) {
        CHECK(pthread_create(&ids[i], NULL, work, (void *)(i + 1)) == 0);
    }
    for (int i = 0; i < forks; i++) {
        use_and_fork(&state);
        CHECK(locked);
    }
    CHECK(handled == 2U * (unsigned)(forks + 1));
    handlers_allocate = false;
    signal(SIGUSR1, on_signal);
    for (int i = 0; i < in_handler; i++) {
        pthread_kill(ids[i % WORKERS], SIGUSR1);
        use(&state, 200);
    }
    for (unsigned i = 0; forked_in_handler < in_handler / 2 && i < 10000; i++) {
        usleep(1000); /* signals of one kind merge while one is pending */
    }
    over = true;
    for (size_t i = 0; i < WORKERS; i++) {
        CHECK(pthread_join(ids[i], NULL) == 0);
    }
    CHECK(forked_in_handler > 0);
    return 0;
}
