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

/* fork takes every lock first, so that the child finds whole data; handlers of others, which may
 * run after this one and before the locks are released, can allocate all the same. Not so when a
 * signal handler forks that interrupted hakmem while it held a lock: to wait for the others then
 * could be to wait for a thread that waits for this one. That child gets locks that work (the
 * interrupted code finishes its section there, too), and may find what another thread was changing
 * half done; POSIX lets it call no more than exec and _exit anyway. */
static _Thread_local bool forking_inside __attribute__((tls_model("initial-exec")));

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
    forking_inside |= hk_lock_is_mine(lock);
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
    forking_inside = false;
    visit_locks(note_if_mine);
    if (!forking_inside) {
        visit_locks(hk_lock_hold);
        hk_on_fork_begins();
    }
}

static void after_fork(void) {
    if (!forking_inside) {
        hk_on_fork_done();
        visit_locks(hk_lock_release);
    }
}

static void after_fork_in_child(void) {
    if (forking_inside) {
        visit_locks(free_unless_mine);
        return;
    }
    hk_thread_forget_others();
    hk_on_forked(&hk_tls.own);
    visit_locks(hk_lock_release);
}

void hk_fork_watch(void) {
    static bool watched;
    if (!__atomic_exchange_n(&watched, true, __ATOMIC_RELAXED)) {
        (void)pthread_atfork(before_fork, after_fork, after_fork_in_child); /* may allocate */
    }
}
