/* What every file of hakmem may use: attributes, and the way to die. */
#ifndef HK_BASE_H
#define HK_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HK_EXPORT   __attribute__((visibility("default")))
#define HK_NOINLINE __attribute__((noinline))
#define HK_COLD     __attribute__((noinline, cold))
#define HK_INLINE   static inline __attribute__((always_inline))
/* A function whose hit path should lie in one line of the instruction cache: one that straddles two
 * costs up to a cycle a call. */
#define HK_HOT __attribute__((aligned(64)))
/* Runs at every start, and lies beside what the loader reads: one part of the file is mapped in. */
#define HK_AT_START __attribute__((section(".text.startup")))
/* Arrays of which small programs touch little: not in the page of all other data (hakmem.ld). */
#define HK_SPARSE      __attribute__((section(".bss.sparse")))
#define HK_LIKELY(x)   __builtin_expect(!!(x), 1)
#define HK_UNLIKELY(x) __builtin_expect(!!(x), 0)

#define HK_KIB ((size_t)1 << 10)
#define HK_MIB ((size_t)1 << 20)
#define HK_GIB ((size_t)1 << 30)

/* Every block is aligned to this, whatever its size: what max_align_t needs. */
#define HK_ALIGNMENT 16

/* The granule of the class map, of slabs and of runs. */
#define HK_UNIT_SHIFT 16
#define HK_UNIT       ((size_t)1 << HK_UNIT_SHIFT)

HK_INLINE size_t hk_round_up(size_t value, size_t power_of_two) {
    return (value + power_of_two - 1) & ~(power_of_two - 1);
}

HK_INLINE bool hk_is_power_of_two(size_t value) {
    return value && (value & (value - 1)) == 0;
}

/* Says "hakmem: WHAT ADDRESS" on stderr and aborts. The program broke the contract of malloc. */
_Noreturn void hk_fatal(const char *what, const void *address);

/* A line on stderr, without allocating: the three parts one after another. */
void hk_say(const char *first, const char *second, const char *third);

#endif
