/* A mutex of one word that knows its owner and sleeps in the kernel.
 *
 * The word is 0 when free, else the owner's thread pointer, with bit 0 set when somebody sleeps,
 * and bit 1 while it is held for fork: its owner may then lock and unlock it, which changes
 * nothing. */
#ifndef HK_LOCK_H
#define HK_LOCK_H

#include "base.h"
#include "events.h"

struct hk_lock {
    uintptr_t word;
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

enum { HK_LOCK_SLEEPERS = 1, HK_LOCK_HELD = 2 };

void hk_lock_wait(struct hk_lock *lock, enum hk_lock_kind kind);
void hk_unlock_marked(struct hk_lock *lock);

/* For a signal handler, before it waits for locks: it may have interrupted a thread that had just
 * been woken for one, or was about to wake another. Wakes the next, which else would sleep beside a
 * free lock for as long as the handler takes; for ever, if it holds what the handler waits for. */
void hk_lock_pass_on_wake(void);

HK_INLINE void hk_lock(struct hk_lock *lock, enum hk_lock_kind kind) {
    uintptr_t unowned = 0;
    if (HK_UNLIKELY(!__atomic_compare_exchange_n(&lock->word, &unowned, hk_thread_pointer(), false,
                                                 __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))) {
        hk_lock_wait(lock, kind);
    }
}

HK_INLINE void hk_unlock(struct hk_lock *lock) {
    uintptr_t unmarked = hk_thread_pointer();
    if (HK_UNLIKELY(!__atomic_compare_exchange_n(&lock->word, &unmarked, 0, false, __ATOMIC_RELEASE,
                                                 __ATOMIC_RELAXED))) {
        hk_unlock_marked(lock);
    }
}

/* What fork does to all locks: others' handlers, which run between these two, may allocate. */
void hk_lock_hold(struct hk_lock *lock, enum hk_lock_kind kind);
void hk_lock_release(struct hk_lock *lock, enum hk_lock_kind kind);

/* Whether the calling thread holds it (seen by a signal handler). */
HK_INLINE bool hk_lock_is_mine(const struct hk_lock *lock) {
    const uintptr_t marks = HK_LOCK_SLEEPERS | HK_LOCK_HELD;
    return (__atomic_load_n(&lock->word, __ATOMIC_RELAXED) & ~marks) == hk_thread_pointer();
}

/* Each layer shows its locks, in the order in which nested ones are taken. */
typedef void hk_lock_visitor(struct hk_lock *lock, enum hk_lock_kind kind);

HK_INLINE void hk_visit_lock(struct hk_lock *lock, enum hk_lock_kind kind) {
    hk_lock(lock, kind);
}

HK_INLINE void hk_visit_unlock(struct hk_lock *lock, enum hk_lock_kind kind) {
    (void)kind;
    hk_unlock(lock);
}

#endif
