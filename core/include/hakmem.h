/* hakmem: a drop-in malloc. Link it, or preload it; malloc, free and their kin need no header.
 * This one declares what hakmem offers beyond them. All functions may be called from any thread. */
#ifndef HAKMEM_H
#define HAKMEM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* malloc and free that name the place of the request. `site` is any value that identifies it, such
 * as a return address; NULL is allowed. Blocks may be mixed freely with those of malloc and free.
 */
void *hak_alloc_at(size_t size, const void *site);
void hak_free_at(void *block, size_t size, const void *site);

/* free by somebody who knows the size. The size is a hint: a wrong one does no harm. */
void hak_free_sized(void *block, size_t size);

/* Bytes that may be written at `block`, at least what was asked for; 0 for NULL. */
size_t hak_usable_size(const void *block);

/* Gives back to the system what the calling thread's cache, the shared caches and free pages hold.
 * Returns 1 if anything was given back, else 0. */
int hak_trim(void);

/* What the library did. Derived from what the slow paths keep, at no cost to malloc and free.
 * Exact when no other thread is inside malloc or free at the time; else off by the calls that
 * other threads made meanwhile. Bytes count whole blocks, not what was asked for. */
struct hak_stats {
    uint64_t allocs;       /* blocks handed out since the start of the process */
    uint64_t frees;        /* blocks taken back */
    uint64_t live_bytes;   /* in blocks that the program holds */
    uint64_t cached_bytes; /* in free blocks of caches and slabs, resident or not */
    uint64_t dirty_bytes;  /* in free pages that have not been given back yet */
    uint64_t mapped_bytes; /* address space that blocks can live in */
    uint64_t peak_mapped_bytes;
    uint64_t threads; /* threads that have a cache */
};

/* Fills the first `size` bytes of `stats` (pass sizeof *stats: a program built with an older and
 * smaller struct keeps working). Returns the bytes filled. */
size_t hak_stats_read(struct hak_stats *stats, size_t size);

/* Writes the configuration as it took effect to a descriptor, one `NAME=value` a line. */
void hak_config_print(int fd);

/* In a library that learns (docs/variants.md): writes what it knows of each call site, a line each,
 * to a descriptor. Returns 0, or ENOSYS in a library that does not. Not for signal handlers. */
int hak_learn_print(int fd);

/* In a library built with counters (docs/counters.md): writes them as one JSON document to `path`,
 * whole or not at all; NULL: to a numbered file beside the one that HAKMEM_COUNTERS names. Returns
 * 0 or an errno value, ENOSYS in a library without counters. Not for signal handlers. */
int hak_counters_dump(const char *path);

#ifdef __cplusplus
}
#endif

#endif
