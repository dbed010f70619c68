#include "lock.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    /* About a microsecond: longer than any critical section that is running on another core, so
     * that a thread goes to sleep only when the owner has lost its core. */
    HK_SPINS = 64,
};

static void pause_a_moment(void) {
#if defined __x86_64__ || defined __i386__
    __builtin_ia32_pause();
#elif defined __aarch64__
    __asm__ volatile("yield");
#endif
}

/* The kernel compares 32 bits: those with the sleepers' bit. */
static uint32_t *low_half(struct hk_lock *lock) {
    uint32_t *halves = (uint32_t *)(void *)&lock->word;
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? halves : halves + 1;
}

static void futex(struct hk_lock *lock, int operation, uint32_t value) {
    int kept = errno;
    syscall(SYS_futex, low_half(lock), operation | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
    errno = kept;
}

static bool try_lock(struct hk_lock *lock, uintptr_t as) {
    uintptr_t unowned = 0;
    return __atomic_load_n(&lock->word, __ATOMIC_RELAXED) == 0 &&
           __atomic_compare_exchange_n(&lock->word, &unowned, as, false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

/* What this thread sleeps for, or gives back to a sleeper: a signal handler that interrupts it must
 * know, for the one that runs next may depend on this thread. */
static _Thread_local struct hk_lock *volatile wake_due __attribute__((tls_model("initial-exec")));

static void sleep_until_mine(struct hk_lock *lock, uintptr_t self) {
    /* Whoever has slept locks with the bit set: others may sleep still. */
    while (!try_lock(lock, self | HK_LOCK_SLEEPERS)) {
        uintptr_t seen = __atomic_load_n(&lock->word, __ATOMIC_RELAXED);
        if (seen == 0) {
            continue;
        }
        uintptr_t marked = seen | HK_LOCK_SLEEPERS;
        if (seen == marked || __atomic_compare_exchange_n(&lock->word, &seen, marked, false,
                                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
            futex(lock, FUTEX_WAIT, (uint32_t)marked);
        }
    }
}

static bool is_held_by_me(const struct hk_lock *lock) {
    return hk_lock_is_mine(lock) && __atomic_load_n(&lock->word, __ATOMIC_RELAXED) & HK_LOCK_HELD;
}

void hk_lock_wait(struct hk_lock *lock, enum hk_lock_kind kind) {
    const uintptr_t self = hk_thread_pointer();
    if (is_held_by_me(lock)) {
        return;
    }
    hk_on_lock_wait(kind);
    for (int i = 0; i < HK_SPINS; i++) {
        if (try_lock(lock, self)) {
            return;
        }
        pause_a_moment();
    }
    struct hk_lock *interrupted = wake_due;
    wake_due = lock;
    sleep_until_mine(lock, self);
    wake_due = interrupted;
}

static void wake(struct hk_lock *lock) {
    futex(lock, FUTEX_WAKE, 1);
}

static void unlock(struct hk_lock *lock) {
    struct hk_lock *interrupted = wake_due;
    wake_due = lock;
    if (__atomic_exchange_n(&lock->word, 0, __ATOMIC_RELEASE) & HK_LOCK_SLEEPERS) {
        wake(lock);
    }
    wake_due = interrupted;
}

void hk_unlock_marked(struct hk_lock *lock) {
    if (!is_held_by_me(lock)) {
        unlock(lock);
    }
}

void hk_lock_hold(struct hk_lock *lock, enum hk_lock_kind kind) {
    hk_lock(lock, kind);
    __atomic_fetch_or(&lock->word, HK_LOCK_HELD, __ATOMIC_RELAXED);
}

void hk_lock_release(struct hk_lock *lock, enum hk_lock_kind kind) {
    (void)kind;
    unlock(lock);
}

void hk_lock_pass_on_wake(void) {
    if (wake_due) {
        wake(wake_due);
    }
}
