/* The thread cache: for each class a list of free blocks in thread-local storage, last in first
 * out.
 *
 * malloc pops, free pushes. `room` says how many frees may follow before the slow path looks at the
 * list; malloc does not touch it. So a list holds at most what a refill brought and what `room`
 * allowed, and every `room` that is used up counts that many frees, at no cost to either path.
 *
 * A thread starts with zeroes: no blocks and no room, so its first calls take the slow paths, which
 * set it up. Classes that never have room are those of NULL, foreign, run and large addresses. */
#ifndef HK_THREAD_CACHE_H
#define HK_THREAD_CACHE_H

#include "base.h"
#include "events.h"
#include "region_header.h"
#include "size_class.h"
#include "thread_stats.h"

struct hk_thread;

/* All that a thread keeps in static TLS: about 1.1 KiB, little enough for dlopen (glibc spares some
 * 1.6 KiB for libraries loaded late). */
struct hk_tls {
    void *head[HK_CODES];
    uint16_t room[HK_HEADER_CODES];
    struct hk_thread *thread;          /* the rest of it; NULL: none yet */
    struct hk_block *own;              /* where it counts, in a library with counters */
    uint64_t counted[HK_STATS_COUNTS]; /* in the variant `stats` */
};

extern _Thread_local struct hk_tls hk_tls
    __attribute__((tls_model("initial-exec"), visibility("hidden")));

/* How the fast paths reach it. On x86-64 the address of a thread's own data is a segment register,
 * an offset and an index in one operand; compilers add the three up in a register first, which
 * costs two instructions each time. So the offset is fetched once, and the operands are written
 * out. */
#if defined __x86_64__ && !defined HK_PLAIN_TLS

HK_INLINE uintptr_t hk_tls_offset(void) {
    uintptr_t offset;
    __asm__("movq hk_tls@gottpoff(%%rip), %0" : "=r"(offset));
    return offset;
}

/* In the register of the return value, which saves malloc a move. */
HK_INLINE void *hk_tls_head_to_return(uintptr_t offset, size_t cls) {
    void *head;
    __asm__ volatile("movq %%fs:(%1,%2,8), %0" : "=a"(head) : "r"(offset), "r"(cls) : "memory");
    return head;
}

HK_INLINE void *hk_tls_head(uintptr_t offset, size_t cls) {
    void *head;
    __asm__ volatile("movq %%fs:(%1,%2,8), %0" : "=r"(head) : "r"(offset), "r"(cls) : "memory");
    return head;
}

HK_INLINE void hk_tls_set_head(uintptr_t offset, size_t cls, void *head) {
    __asm__ volatile("movq %0, %%fs:(%1,%2,8)" : : "r"(head), "r"(offset), "r"(cls) : "memory");
}

HK_INLINE struct hk_block *hk_tls_own_block(uintptr_t offset) {
    struct hk_block *own;
    __asm__ volatile("movq %%fs:%c2(%1), %0"
                     : "=r"(own)
                     : "r"(offset), "i"(offsetof(struct hk_tls, own))
                     : "memory");
    return own;
}

/* Adds one to a count of the variant `stats`. */
#define HK_TLS_COUNT(offset, which)                                                                \
    __asm__ volatile("addq $1, %%fs:%c1(%0)"                                                       \
                     :                                                                             \
                     : "r"(offset),                                                                \
                       "i"(offsetof(struct hk_tls, counted) + (which) * sizeof(uint64_t))          \
                     : "memory", "cc")

/* Takes one from the room of a class; jumps to `none` if there was none: it then reads 65535. */
/* NOLINTBEGIN(bugprone-macro-parentheses): a label cannot stand in them */
#define HK_TLS_TAKE_ROOM(offset, cls, none)                                                        \
    __asm__ goto("subw $1, %%fs:%c2(%0,%1,2)\n\tjc %l[" #none "]"                                  \
                 :                                                                                 \
                 : "r"(offset), "r"((size_t)(cls)), "i"(offsetof(struct hk_tls, room))             \
                 : "memory", "cc"                                                                  \
                 : none)
/* NOLINTEND(bugprone-macro-parentheses) */

#else

HK_INLINE uintptr_t hk_tls_offset(void) {
    return 0;
}

HK_INLINE void *hk_tls_head(uintptr_t offset, size_t cls) {
    (void)offset;
    return hk_tls.head[cls];
}

HK_INLINE void *hk_tls_head_to_return(uintptr_t offset, size_t cls) {
    return hk_tls_head(offset, cls);
}

HK_INLINE void hk_tls_set_head(uintptr_t offset, size_t cls, void *head) {
    (void)offset;
    hk_tls.head[cls] = head;
}

HK_INLINE struct hk_block *hk_tls_own_block(uintptr_t offset) {
    (void)offset;
    return hk_tls.own;
}

#define HK_TLS_COUNT(offset, which) ((void)(offset), (void)hk_tls.counted[which]++)

#define HK_TLS_TAKE_ROOM(offset, cls, none)                                                        \
    if ((void)(offset), HK_UNLIKELY(hk_tls.room[cls]-- == 0)) {                                    \
        goto none;                                                                                 \
    }

#endif

/* Where the calling thread counts, once its lists have blocks or room: for the two fast events. */
HK_INLINE struct hk_block *hk_cache_own_block(void) {
    return hk_counters_on ? hk_tls_own_block(hk_tls_offset()) : NULL;
}

/* Another allocation or free than those of hk_cache_pop and hk_cache_push: the variant `stats`. */
HK_INLINE void hk_cache_count(enum hk_stats_count which) {
    if (hk_stats_on) {
        hk_tls.counted[which]++;
        hk_stats_fold(hk_tls.counted);
    }
}

/* Takes a block off the thread's list, NULL if it is empty. */
HK_INLINE void *hk_cache_pop(size_t cls) {
    uintptr_t offset = hk_tls_offset();
    void *block = hk_tls_head_to_return(offset, cls);
    if (HK_LIKELY(block != NULL)) {
        hk_tls_set_head(offset, cls, hk_next(block));
        if (hk_stats_on) {
            HK_TLS_COUNT(offset, HK_STATS_ALLOC);
        }
    }
    return block;
}

/* Puts a block on the thread's list. False: there is no room, which now reads 65535. */
HK_INLINE bool hk_cache_push(size_t cls, void *block) {
    uintptr_t offset = hk_tls_offset();
    HK_TLS_TAKE_ROOM(offset, cls, no_room);
    hk_set_next(block, hk_tls_head(offset, cls));
    hk_tls_set_head(offset, cls, block);
    if (hk_stats_on) {
        HK_TLS_COUNT(offset, HK_STATS_FREE);
    }
    return true;
no_room:
    return false;
}

/* A block of a class whose list is empty. NULL: no memory. */
void *hk_cache_refill(unsigned cls);

/* Frees a block whose class had no room. */
void hk_cache_overflow(unsigned cls, void *block);
/* A run that the thread freed, or NULL; its content is old. */
void *hk_cache_take_run(unsigned units);
/* False: the thread keeps enough of them. */
bool hk_cache_keep_run(unsigned units, void *block);

/* For a code that never has room: makes that so again, and counts the free. */
void hk_cache_bypassed(unsigned code);

/* Looks at the clock now and then, and gives back what nobody needed of late. */
void hk_cache_tick(void);

/* Gives back everything that can go, the calling thread's lists included: on demand, and before a
 * request fails. True if anything went. */
bool hk_cache_trim(void);

struct hk_cache_stats {
    uint64_t frees;                     /* on every path, since the start */
    uint64_t counted[HK_STATS_COUNTS];  /* the same, and allocations, in the variant `stats` */
    size_t listed_blocks, listed_bytes; /* in the lists of threads */
    size_t runs, run_bytes;             /* kept by threads */
    size_t threads;
};
struct hk_cache_stats hk_cache_stats(void);

/* Once, from the constructor: what happens around fork. */
void hk_cache_start(void);

#endif
