/* The lock: it excludes, but for its owner while it is held for fork; and no wake-up is lost when a
 * signal handler interrupts a thread that was just woken, or is about to wake another, and then
 * waits for what another sleeper holds. */
#include "check.h"
#include "lock.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <ucontext.h>
#include <unistd.h>

enum { THREADS = 4, TURNS = 100000, ROUNDS = 300 };

static struct hk_lock lock;
static unsigned long shared;

static void *add(void *unused) {
    for (unsigned i = 0; i < TURNS; i++) {
        hk_lock(&lock, HK_LOCK_CLASS);
        shared++;
        hk_unlock(&lock);
    }
    return unused;
}

static void excludes(void) {
    pthread_t ids[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&ids[i], NULL, add, NULL) == 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        CHECK(pthread_join(ids[i], NULL) == 0);
    }
    CHECK(shared == (unsigned long)THREADS * TURNS && lock.word == 0);
}

/* The first sleeper is woken and at once interrupted, by a handler that waits until the second one
 * had the lock. */
static volatile bool second_had_it;
static volatile unsigned sleepers;

static void wait_for_second(int number) {
    (void)number;
    /* NOLINTBEGIN(bugprone-signal-handler,cert-sig30-c): each is one system call */
    hk_lock_pass_on_wake();
    while (!second_had_it && !hk_lock_is_mine(&lock)) {
        sched_yield();
    }
    /* NOLINTEND(bugprone-signal-handler,cert-sig30-c) */
}

static void *sleep_for_it(void *is_second) {
    __atomic_fetch_add(&sleepers, 1, __ATOMIC_SEQ_CST);
    hk_lock(&lock, HK_LOCK_CLASS);
    second_had_it |= is_second != NULL;
    hk_unlock(&lock);
    return NULL;
}

static pthread_t sleeper(unsigned number) {
    pthread_t id;
    CHECK(pthread_create(&id, NULL, sleep_for_it, number == 2 ? &lock : NULL) == 0);
    while (__atomic_load_n(&sleepers, __ATOMIC_SEQ_CST) < number ||
           !(__atomic_load_n(&lock.word, __ATOMIC_SEQ_CST) & HK_LOCK_SLEEPERS)) {
        sched_yield();
    }
    usleep(200); /* all of them sleep, or spin still: then the round tells nothing */
    return id;
}

static void wakes_are_passed_on(void) {
    cpu_set_t first;
    CPU_ZERO(&first);
    CPU_SET((size_t)sched_getcpu(), &first);
    CHECK(sched_setaffinity(0, sizeof first, &first) == 0); /* so that the signal is in time */
    (void)signal(SIGUSR1, wait_for_second);
    for (unsigned round = 0; round < ROUNDS; round++) {
        second_had_it = false;
        sleepers = 0;
        hk_lock(&lock, HK_LOCK_CLASS);
        pthread_t one = sleeper(1);
        pthread_t two = sleeper(2);
        hk_unlock(&lock);
        CHECK(pthread_kill(one, SIGUSR1) == 0);
        CHECK(pthread_join(one, NULL) == 0);
        CHECK(pthread_join(two, NULL) == 0);
        CHECK(lock.word == 0);
    }
}

#if defined __x86_64__
enum { TRAP_FLAG = 0x100 };

static volatile unsigned steps, interrupted_step;

static void count_step(int number, siginfo_t *info, void *context) {
    (void)info;
    if (++steps == interrupted_step) {
        wait_for_second(number);
        ((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
    }
}

/* The handler comes before each instruction of giving the lock to a sleeper in turn. */
static void wakes_are_not_held_back(void) {
    struct sigaction action = {.sa_sigaction = count_step, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGTRAP, &action, NULL) == 0);
    do {
        interrupted_step++;
        steps = 0;
        second_had_it = false;
        sleepers = 1;
        hk_lock(&lock, HK_LOCK_CLASS);
        pthread_t two = sleeper(2);
        __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() | TRAP_FLAG);
        hk_unlock(&lock);
        __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() & ~(uint64_t)TRAP_FLAG);
        CHECK(pthread_join(two, NULL) == 0);
    } while (steps == interrupted_step);
    CHECK(interrupted_step > 30);
}
#else
static void wakes_are_not_held_back(void) {}
#endif

static void *try_it(void *unused) {
    shared = 1;
    hk_lock(&lock, HK_LOCK_CLASS);
    shared = 2;
    hk_unlock(&lock);
    return unused;
}

/* Its owner locks and unlocks it as if it were free; nobody else does. */
static void is_held_for_fork(void) {
    hk_lock_hold(&lock, HK_LOCK_CLASS);
    pthread_t id;
    CHECK(pthread_create(&id, NULL, try_it, NULL) == 0);
    for (unsigned i = 0; i < 20; i++) {
        hk_lock(&lock, HK_LOCK_CLASS);
        hk_unlock(&lock);
        usleep(1000);
        CHECK(hk_lock_is_mine(&lock) && __atomic_load_n(&shared, __ATOMIC_SEQ_CST) != 2);
    }
    hk_lock_release(&lock, HK_LOCK_CLASS);
    CHECK(pthread_join(id, NULL) == 0);
    CHECK(shared == 2 && lock.word == 0);
}

int main(void) {
    alarm(1000);
    excludes();
    is_held_for_fork();
    wakes_are_not_held_back();
    wakes_are_passed_on();
    return 0;
}
