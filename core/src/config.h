/* HAKMEM_* in the environment, read once, at start. Unknown names and bad values are named on
 * stderr and otherwise ignored. Whoever allocates before that sees the defaults. */
#ifndef HK_CONFIG_H
#define HK_CONFIG_H

#include "base.h"

struct hk_config {
    size_t cache_kib; /* HAKMEM_CACHE_KIB: a thread's list of one class starts with this limit */
    size_t cache_max_kib; /* HAKMEM_CACHE_MAX_KIB: and grows to this one, or eight times it above 1
                             KiB */
    size_t budget_mib;    /* HAKMEM_CACHE_BUDGET_MIB: limits of all threads together */
    size_t decay_ms;      /* HAKMEM_DECAY_MS: free pages stay resident for about this long */
    size_t
        dirty_mib; /* HAKMEM_DIRTY_MIB: free pages that may stay resident however small the heap */
    size_t huge_mib;   /* HAKMEM_HUGE_MIB: huge pages are asked for beyond so much in blocks up to 4
                          KiB, and in a block of so much */
    size_t huge_learn; /* HAKMEM_HUGE_LEARN: 0 asks for none in smaller blocks, 1 does where blocks
                          of their size were filled */
    size_t whale_capacity;          /* HKM_WHALE_CAPACITY: cached mappings */
    size_t whale_mib;               /* HAKMEM_WHALE_MIB: bytes in them at most */
    size_t magazine, mini_magazine; /* HAKMEM_MAGAZINE, HAKMEM_MINI_MAGAZINE: 0 turns off the one
                                       that fast paths use, or the spare one (variant `magazine`) */
    size_t zero_on_free; /* HAKMEM_ZERO_ON_FREE: 1 zeroes what is freed, in the variant `secure` */
    size_t print;        /* HAKMEM_PRINT_CONFIG: 1 prints the configuration at start */
};

extern struct hk_config hk_config __attribute__((visibility("hidden")));

void hk_config_read(void);

/* The configuration as lines of NAME=VALUE: to a descriptor, or as a string. */
void hk_config_write(int fd);
enum { HK_CONFIG_TEXT_BYTES = 1024 };
void hk_config_text(char *text);

#endif
