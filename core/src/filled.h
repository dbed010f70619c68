/* What large blocks hold when they are freed: all of their pages, or few. Huge pages are for sizes
 * whose blocks were filled, for in others they make memory of what nobody touches.
 *
 * Only a block that was mapped for its owner tells: one from the Whale cache holds pages of others
 * too. Without a lock of its own: hk_filled_is needs none, whoever calls the others holds one. */
#ifndef HK_FILLED_H
#define HK_FILLED_H

#include "base.h"

enum { HK_HUGE_PAGE = 2 << 20 };

/* Whether nearly every page of a block that is being freed was used. With huge pages all of them
 * are resident, and those without a byte that is not zero count as unused. */
bool hk_filled_is(void *start, size_t bytes, bool huge);

/* A block of that size was filled, or was not. */
void hk_filled_learn(size_t bytes, bool filled);

/* Whether a new block of that size is likely to be filled, while `unproven` bytes of live blocks
 * have huge pages for the same reason and were not looked at yet. */
bool hk_filled_expect(size_t bytes, size_t unproven);

#endif
