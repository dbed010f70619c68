/* What happens around fork: every lock of hakmem, in the order of the layers. */
#include "events.h"
#include "large.h"
#include "learn.h"
#include "lock.h"
#include "meta.h"
#include "registry.h"
#include "superslab.h"
#include "thread_record.h"

#include <pthread.h>
#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#define ONLY_THREAD (!hk_counters_on && __libc_single_threaded)
#else
#define ONLY_THREAD false
#endif

/* What fork does with hakmem's locks. */
enum forking {
    /* Takes every one first, so that the child finds whole data; handlers of others, which may run
     * after this one and before the locks are released, can allocate all the same. */
    FORKING_LOCKED,
    /* Nothing: a signal handler forks that interrupted hakmem while it held a lock, and to wait for
     * the others then could be to wait for a thread that waits for this one. That child gets locks
     * that work (the interrupted code finishes its section there, too), and may find what another
     * thread was changing half done; POSIX lets it call no more than exec and _exit anyway. */
    FORKING_INSIDE,
    /* Nothing: no other thread can hold one. To take and release them all wrote to pages that
     * parent and child share, and each copied them: shells fork for every command. */
    FORKING_ALONE,
};
static _Thread_local enum forking forking __attribute__((tls_model("initial-exec")));

static void visit_locks(hk_lock_visitor *visit) {
    hk_thread_locks(visit);
    hk_held_locks(visit);
    hk_superslab_locks(visit);
    hk_large_locks(visit);
    if (hk_learn_on) {
        hk_learn_locks(visit);
    }
    if (hk_registry_on) {
        hk_registry_locks(visit);
    }
    hk_meta_locks(visit);
}

static void note_if_mine(struct hk_lock *lock, enum hk_lock_kind kind) {
    (void)kind;
    if (hk_lock_is_mine(lock)) {
        forking = FORKING_INSIDE;
    }
}

/* In the child: the owner does not exist any more. */
static void free_unless_mine(struct hk_lock *lock, enum hk_lock_kind kind) {
    (void)kind;
    if (!hk_lock_is_mine(lock)) {
        lock->word = 0;
    }
}

static void before_fork(void) {
    hk_lock_pass_on_wake();
    forking = ONLY_THREAD ? FORKING_ALONE : FORKING_LOCKED;
    if (forking == FORKING_LOCKED) {
        visit_locks(note_if_mine);
    }
    if (forking == FORKING_LOCKED) {
        visit_locks(hk_lock_hold);
        hk_on_fork_begins();
    }
}

static void after_fork(void) {
    if (forking == FORKING_LOCKED) {
        hk_on_fork_done();
        visit_locks(hk_lock_release);
    }
}

static void after_fork_in_child(void) {
    if (forking == FORKING_INSIDE) {
        visit_locks(free_unless_mine);
    } else if (forking == FORKING_LOCKED) {
        hk_thread_forget_others();
        hk_on_forked(&hk_tls.own);
        visit_locks(hk_lock_release);
    }
}

void hk_fork_watch(void) {
    static bool watched;
    if (!__atomic_exchange_n(&watched, true, __ATOMIC_RELAXED)) {
        (void)pthread_atfork(before_fork, after_fork, after_fork_in_child); /* may allocate */
    }
}
