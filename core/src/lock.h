/* A mutex of one word that knows its owner, sleeps in the kernel, and survives fork.
 *
 * The word is 0 when free, else the owner's thread pointer, with bit 0 set when somebody sleeps.
 * fork takes every lock first, so that the child finds whole data; a lock that the forking thread
 * holds already (fork called by a signal handler that interrupted hakmem) is left in its hands,
 * in the child too, where the interrupted code finishes its work. */
#ifndef HK_LOCK_H
#define HK_LOCK_H

#include "base.h"
#include "events.h"

struct hk_lock {
    uintptr_t word;
    bool held_across_fork; /* by the forking thread, since before fork; only the owner looks */
};

HK_INLINE uintptr_t hk_thread_pointer(void) {
#if defined __x86_64__
    uintptr_t self;
    __asm__("movq %%fs:0, %0" : "=r"(self));
    return self;
#else
    return (uintptr_t)__builtin_thread_pointer();
#endif
}

void hk_lock_wait(struct hk_lock *lock, enum hk_lock_kind kind);
void hk_lock_wake(struct hk_lock *lock);

HK_INLINE void hk_lock(struct hk_lock *lock, enum hk_lock_kind kind) {
    uintptr_t unowned = 0;
    if (HK_UNLIKELY(!__atomic_compare_exchange_n(&lock->word, &unowned, hk_thread_pointer(), false,
                                                 __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))) {
        hk_lock_wait(lock, kind);
    }
}

HK_INLINE void hk_unlock(struct hk_lock *lock) {
    if (HK_UNLIKELY(__atomic_exchange_n(&lock->word, 0, __ATOMIC_RELEASE) & 1)) {
        hk_lock_wake(lock);
    }
}

/* Before fork, and after it in both processes; the same two stop a layer to look at it as a whole.
 */
void hk_lock_for_fork(struct hk_lock *lock, enum hk_lock_kind kind);
void hk_unlock_after_fork(struct hk_lock *lock);

#endif
