/* What a thread keeps in static thread-local storage, and how the fast paths reach it. */
#ifndef HK_THREAD_TLS_H
#define HK_THREAD_TLS_H

#include "base.h"
#include "events.h"
#include "free_list.h"
#include "region_header.h"
#include "size_class.h"
#include "thread_stats.h"

struct hk_thread;

enum { HK_TLS_ENDS = hk_secure_on ? HK_CODES : 0 };

/* All that a thread keeps in static TLS: about 1.1 KiB, little enough for dlopen (glibc spares some
 * 1.6 KiB for libraries loaded late). */
struct hk_tls {
    void *head[HK_CODES];
    uint16_t room[HK_HEADER_CODES];
    uint16_t ends[HK_TLS_ENDS];        /* offset of the last word, in the variant `secure` */
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

HK_INLINE void *hk_to_return(void *value) {
    __asm__("" : "+a"(value));
    return value;
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

HK_INLINE size_t hk_tls_end(uintptr_t offset, size_t cls) {
    size_t end;
    __asm__("movzwl %%fs:%c3(%1,%2,2), %k0"
            : "=r"(end)
            : "r"(offset), "r"(cls), "i"(offsetof(struct hk_tls, ends)));
    return end;
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

HK_INLINE void *hk_to_return(void *value) {
    return value;
}

HK_INLINE void hk_tls_set_head(uintptr_t offset, size_t cls, void *head) {
    (void)offset;
    hk_tls.head[cls] = head;
}

HK_INLINE size_t hk_tls_end(uintptr_t offset, size_t cls) {
    (void)offset;
    return hk_secure_on ? hk_tls.ends[cls] : 0;
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

#endif
