/* The rest of what a thread keeps, behind its static TLS; and what thread_cache.c and the policy
 * that holds the blocks of a class (cache_list.c) ask of each other. */
#ifndef HK_THREAD_RECORD_H
#define HK_THREAD_RECORD_H

#include "superslab.h"
#include "thread_cache.h"

/* What a thread knows of a class beyond what lies in TLS. */
struct hk_slot {
    struct hk_held held;
    uint16_t limit;     /* frees between two looks; 0: class not used yet */
    uint16_t granted;   /* the `room` that was last given */
    uint16_t seen_room; /* when idle classes were last looked for */
    bool spilled;       /* blocks went to central since the limit last grew */
    uint8_t until_look; /* overflows before the next look at how long the list is */
};

struct hk_thread {
    struct hk_tls *tls;
    struct hk_thread *next; /* of the registered threads, or of the records to use again */
    uint64_t frees;         /* all but those that `room` counts since it was granted */
    unsigned until_tick;
    uint64_t looked_ms; /* when idle classes were last looked for */
    size_t limit_bytes; /* of all slots, as counted in the budget of the process */
    size_t run_bytes;   /* in `runs`, and how many blocks that is */
    size_t run_count;
    size_t run_unwanted; /* bytes of runs freed since one was taken */
    void *
        runs[HK_RUN_MAX_UNITS + 1]; /* freed runs by their units, linked by their records' `free` */
    uint64_t used[HK_CLASSES / 64 + 1]; /* a bit for each class that ever had blocks or room */
    struct hk_slot slots[HK_CLASSES];
};

/* --- of thread_cache.c ------------------------------------------------------------------------ */

/* In place of a record: the thread is being set up, or its record is gone. */
#define HK_THREAD_BOOTING ((struct hk_thread *)1)
#define HK_THREAD_DEAD    ((struct hk_thread *)2)

HK_INLINE bool hk_thread_is_alive(const struct hk_thread *thread) {
    return (uintptr_t)thread > (uintptr_t)HK_THREAD_DEAD;
}

/* Of a thread that has no record: makes one. */
struct hk_thread *hk_thread_start(void);

/* The calling thread's record; NULL if it can have none (now, or any more). */
HK_INLINE struct hk_thread *hk_thread_this(void) {
    struct hk_thread *thread = hk_tls.thread;
    return HK_LIKELY(hk_thread_is_alive(thread)) ? thread : hk_thread_start();
}

HK_INLINE void hk_thread_use(struct hk_thread *thread, unsigned cls) {
    thread->used[cls / 64] |= (uint64_t)1 << cls % 64;
}

/* The used class after `cls`, HK_CLASSES behind the last: most threads use few of them. */
HK_INLINE unsigned hk_thread_used_after(const struct hk_thread *thread, unsigned cls) {
    for (unsigned from = cls + 1; from < HK_CLASSES; from = (from / 64 + 1) * 64) {
        uint64_t rest = thread->used[from / 64] >> from % 64;
        if (rest) {
            return from + (unsigned)__builtin_ctzl(rest);
        }
    }
    return HK_CLASSES;
}

/* NOLINTBEGIN(bugprone-macro-parentheses): what is declared cannot stand in them */
#define HK_EACH_USED(thread, cls)                                                                  \
    for (unsigned cls = hk_thread_used_after(thread, 0); cls < HK_CLASSES;                         \
         cls = hk_thread_used_after(thread, cls))
/* NOLINTEND(bugprone-macro-parentheses) */

/* The limit of a class falls: what it held was not wanted elsewhere. */
void hk_thread_shrink_limit(struct hk_thread *thread, unsigned cls);

/* The limit of a class when a thread frees the first block of it. */
unsigned hk_thread_first_limit(unsigned cls);

/* Limits of all threads, in bytes, against HAKMEM_CACHE_BUDGET_MIB. */
extern size_t hk_granted_bytes __attribute__((visibility("hidden")));

/* Whether the lists of several threads may hold more than half of the heap. */
HK_INLINE bool hk_thread_lists_weigh(const struct hk_thread *thread) {
    size_t granted = __atomic_load_n(&hk_granted_bytes, __ATOMIC_RELAXED);
    return granted != thread->limit_bytes && granted > hk_superslab_used() / 2;
}

/* Now and then looks at the clock, and may hand over any class of the thread. */
void hk_thread_tick(struct hk_thread *thread);

/* In the child of a fork, with all locks held: the other threads are gone. Their blocks are lost:
 * the kernel copied their memory page by page while they ran, so that what they held may be of
 * different moments. */
void hk_thread_forget_others(void);
void hk_thread_locks(hk_lock_visitor *visit);

/* Room for so many frees of a class; what was used of the room before is counted. */
HK_INLINE void hk_thread_grant(struct hk_thread *thread, unsigned cls, unsigned room) {
    struct hk_slot *slot = &thread->slots[cls];
    thread->frees += (uint16_t)(slot->granted - thread->tls->room[cls]);
    slot->granted = (uint16_t)room;
    thread->tls->room[cls] = (uint16_t)room;
}

/* --- of thread_runs.c ------------------------------------------------------------------------- */

void hk_thread_give_runs(struct hk_thread *thread);

/* --- of the policy ---------------------------------------------------------------------------- */

/* A block of a class that ran empty: from what the thread keeps aside; from all that is shared
 * (NULL: no memory). */
void *hk_held_take_spare(struct hk_thread *thread, unsigned cls);
void *hk_held_refill(struct hk_thread *thread, unsigned cls);

/* Holds a block that was freed while its class had no room, and grants room for the next. */
void hk_held_free(struct hk_thread *thread, unsigned cls, void *block);

/* Hands over all that the calling thread holds of a class. True if there was any. */
bool hk_held_flush(struct hk_thread *thread, unsigned cls);

/* Blocks that a thread, which may be at work, holds of a class. With the SuperSlabs locked, so that
 * their memory stays mapped. */
size_t hk_held_count(const struct hk_thread *thread, unsigned cls);

/* Gives back what nobody needed of late of what threads handed over, or (trim) all. */
void hk_held_tick(void);
bool hk_held_trim(void);
void hk_held_locks(hk_lock_visitor *visit);

/* For threads that hold nothing. */
void *hk_held_alloc_one(unsigned cls);
void hk_held_free_one(unsigned cls, void *block);

#endif
