/* The only calls to the system for memory. All keep errno: whoever fails a request sets it. */
#ifndef HK_OS_H
#define HK_OS_H

#include "base.h"

/* Bytes of a page, read at run time: 4, 16 or 64 KiB. */
size_t hk_os_page(void);

/* Zeroed, readable and writable memory at a multiple of `alignment` (a power of two, at least a
 * page); NULL if the system refuses. `size` is a multiple of the page size. */
void *hk_os_map(size_t size, size_t alignment);
bool hk_os_unmap(void *address, size_t size);

/* Readable zeroes that cost nothing until hk_os_commit makes a part of them writable. */
void *hk_os_reserve(size_t size);
void *hk_os_reserve_at(void *address, size_t size);
bool hk_os_commit(void *address, size_t size);

/* Makes the pages unusable: whoever touches them dies. */
bool hk_os_guard(void *address, size_t size);

/* Gives the pages back; they read as zero afterwards. False: they still hold their content. */
bool hk_os_purge(void *address, size_t size);

/* Asks for huge pages; or for none, for the system may give them to everybody (to ask it would take
 * three calls at every start). Advice: a refusal changes nothing, and near the container's limit it
 * asks for none. */
void hk_os_huge(void *address, size_t size, bool wanted);

/* Says of each page, one byte a page, whether it is resident: its lowest bit. False: nobody knows.
 */
bool hk_os_look(void *address, size_t size, unsigned char *pages);

/* Moves the pages of a mapping to `to`, a mapping of at least that size, which they replace. */
bool hk_os_move(void *from, size_t size, void *to);

/* Keeps all later mappings inside [low, high). */
void hk_os_confine(uintptr_t low, uintptr_t high);

/* Milliseconds of a monotonic clock that is cheap and coarse. */
uint64_t hk_os_clock_ms(void);

#if HK_OS_FAULTS
#include "events.h"
/* Test builds only: the test decides whether a call to the system fails. */
bool hk_os_fault(enum hk_os_call call);
#endif

#endif
